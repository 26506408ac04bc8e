"""`python -m serving`, which is what `make serve` starts."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest
import requests

from serving import __main__ as command
from serving import settings
from tests.serving import servers


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(*arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "serving", *map(str, arguments)],
        cwd=servers.ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(address) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(address, timeout=30).ok
    return False


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("host", "end"),
    [
        ("127.0.0.1", signal.SIGKILL),
        pytest.param(
            "::1",
            signal.SIGTERM,
            marks=pytest.mark.skipif(not has_ipv6(), reason="needs IPv6"),
        ),
    ],
)
def test_api_and_page_come_and_go_together(exported, host, end):
    api, page = free_port(), free_port()
    variables = {"RETINOGRAD_API_PORT": str(api), "RETINOGRAD_PAGE_PORT": str(page)}
    named = f"[{host}]" if ":" in host else host
    api, page = f"http://{named}:{api}", f"http://{named}:{page}"
    addresses = f"{api}/readyz", f"{page}/_stcore/health"
    with start(exported, RETINOGRAD_API_HOST=host, **variables) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        assert said[0] == f"Starting with {exported}.\n"
        assert said[-3:] == [
            f"The API: {api}\n",
            f"The page: {page}\n",
            "Ctrl-C stops both.\n",
        ]
        assert all(map(answers, addresses))
        process.send_signal(end)
        assert process.wait(60) == (0 if end == signal.SIGTERM else -signal.SIGKILL)
        process.stdout.read()  # Comes to its end with the last of them.
        assert not any(map(answers, addresses))


def test_without_a_model_it_says_what_is_missing(tmp_path):
    with start(tmp_path, RETINOGRAD_API_PORT=str(free_port())) as process:
        message = process.stderr.read()
    assert process.returncode == 1
    assert "holds no exported model" in message and "Traceback" not in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "two"], "unexpected two. All but the model is set by environment var"),
        (["--port=9000"], "unexpected --port=9000. All but the model is set by enviro"),
    ],
)
def test_it_takes_one_folder_and_no_flags(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: python -m serving [-h] [model]\n")
    assert message in said


def test_help_names_the_variables_of_both_ports(capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for name, default in (("API", 8000), ("PAGE", 8501)):
        (line,) = [one for one in said.splitlines() if f"RETINOGRAD_{name}_PORT" in one]
        assert line.endswith(f"[{default}]")
    assert "RETINOGRAD_API_HOST" in said and settings.KEY in said


@pytest.fixture
def refused(exported, capsys, monkeypatch):
    """What is said with such variables, before anything is started."""
    monkeypatch.setattr(command, "_start", None)

    def run(model=exported, **variables):
        with monkeypatch.context() as patch:
            patch.setenv("RETINOGRAD_API_MODEL", "")  # It is put back afterwards.
            for name, value in variables.items():
                patch.setenv(name, value)
            assert command.main([str(model)]) == 1
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize("name", ["API", "PAGE"])
def test_a_port_that_is_taken_is_told_with_its_variable(refused, name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, other = server.getsockname()[1], free_port()
        ports = {"RETINOGRAD_API_PORT": str(other), "RETINOGRAD_PAGE_PORT": str(other)}
        said = refused(**ports | {f"RETINOGRAD_{name}_PORT": str(port)})
    assert f"cannot listen on port {port} of 127.0.0.1: Address already in use" in said
    assert f"Name another port with RETINOGRAD_{name}_PORT" in said


def test_api_and_page_need_a_port_each(refused):
    ports = {"RETINOGRAD_API_PORT": "9000", "RETINOGRAD_PAGE_PORT": "9000"}
    assert "must not be the same. Received: 9000 and 9000" in refused(**ports)


@pytest.mark.parametrize("host", ["[::1]", "192.0.2.1", "no such host", "a..b"])
def test_a_host_that_is_not_here_is_refused(refused, host):
    said = refused(RETINOGRAD_API_HOST=host)
    assert "RETINOGRAD_API_HOST must be an address of this machine" in said
    assert f"Received: {host!r}" in said


def test_a_run_in_place_of_its_export_is_told_where_that_is(refused, exported_run):
    said = refused(exported_run[0])
    assert "holds no exported model. Name the folder of one, such as" in said
    assert f"{exported_run[0] / 'export' / 'default'}." in said


def test_the_variable_of_the_api_names_the_model_too(tmp_path):
    with start(RETINOGRAD_API_MODEL=str(tmp_path / "none")) as process:
        assert "none holds no exported model" in process.stderr.read()


def test_without_its_packages_it_says_what_to_install():
    said = subprocess.run(
        [sys.executable, "-S", "-m", "serving"],  # Without site-packages.
        cwd=servers.ROOT,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 1
    assert "lacks numpy, cv2, openvino, fastapi, " in said.stderr
    assert "pip install --requirement serving/requirements-page.txt" in said.stderr
    assert "Traceback" not in said.stderr


def test_one_that_ends_takes_the_other_along_and_is_named(exported, tmp_path):
    ports = {"RETINOGRAD_API_PORT": free_port(), "RETINOGRAD_PAGE_PORT": free_port()}
    variables = {name: str(port) for name, port in ports.items()}
    with start(exported, RETINOGRAD_API_VARIANT="int9", **variables) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "int9" in said and said.endswith("error: The API has ended, see above.\n")


def test_a_port_that_the_page_cannot_know_is_refused(exported):
    with start(exported, RETINOGRAD_API_PORT="0") as process:
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.terminate()
    assert process.returncode == 1
    assert "RETINOGRAD_API_PORT must be a port that the page can know" in said
