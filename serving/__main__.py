"""Starts the API and the page on this machine, and stops both with Ctrl-C.

python -m serving
python -m serving runs/idrid_resnet_v2/export/default
"""

import argparse
import errno
import importlib.util
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from serving import settings

_PACKAGES = (
    "numpy",
    "cv2",
    "openvino",
    "fastapi",
    "uvicorn",
    "prometheus_client",
    "streamlit",
    "fpdf",
)
"""Of those that API and page import, the ones that some environments lack."""

_HOST = f"{settings.Api.PREFIX}HOST"
_PORTS = {
    "The API": f"{settings.Api.PREFIX}PORT",
    "The page": f"{settings.Page.PREFIX}PORT",
}

_USAGE = f"""\
environment variables (docs/serving.md has all of them):
  {_PORTS["The API"]}   port of the API [{settings.Api.port}]
  {_PORTS["The page"]}  port of the page [{settings.Page.port}]
  {_HOST}   address that both listen on [{settings.Api.host}]
  {settings.KEY}    key that the API asks for [none]
"""


def main(arguments: list[str]) -> int:
    """Runs both until one of them ends, or the person ends them.

    Args:
        arguments: The folder of the exported model; none for the one that comes with
            the project.

    Returns:
        The exit status.
    """
    given = _parse(arguments)
    try:
        model = _model(given)
        os.environ[f"{settings.Api.PREFIX}MODEL"] = model
        api = settings.Api.from_environment()
        page = settings.Page.from_environment()
        _check_ports(api.host, {"The API": api.port, "The page": page.port})
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    addresses = {"The API": _address(api.host, api.port)}
    addresses["The page"] = _address(api.host, page.port)
    os.environ[f"{settings.Page.PREFIX}API"] = addresses["The API"]
    script = pathlib.Path(__file__).with_name("app.py")
    commands = {
        "The API": ["serving.api"],
        "The page": [
            *("streamlit", "run", os.fspath(script)),
            *(f"--server.address={api.host}", f"--server.port={page.port}"),
        ],
    }
    health = {"The API": "/healthz", "The page": "/_stcore/health"}
    # Both leave together, also where the signal reaches this process alone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"Starting with {model}.", flush=True)
    started: dict[str, subprocess.Popen] = {}
    try:
        for name, command in commands.items():
            started[name] = _start(command)
            if not _answers(addresses[name] + health[name], started[name]):
                break
        else:
            for name, address in addresses.items():
                print(f"{name}: {address}")
            print("Ctrl-C stops both.", flush=True)
        while all(one.poll() is None for one in started.values()):
            time.sleep(0.2)
        for name, one in started.items():
            if one.poll() is not None:
                print(f"error: {name} has ended, see above.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(list(started.values()))


def _parse(arguments: list[str]) -> str | None:
    """The model's folder, if one is named; ends the process where help is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Starts the API and the page on this machine. Ctrl-C stops both.",
        epilog=_USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        nargs="?",
        help="folder of an exported model [the one that comes with the project]",
    )
    known, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(
            f"unexpected {' '.join(unknown)}. All but the model is set by environment "
            "variables: --help names them."
        )
    return known.model


def _model(given: str | None) -> str:
    """The folder of an exported model, which is there.

    Raises:
        ModuleNotFoundError: A package is not installed.
        OSError: There is no model.
        ValueError: It is damaged.
    """
    missing = [one for one in _PACKAGES if importlib.util.find_spec(one) is None]
    if missing:
        raise OSError(
            f"{sys.executable} lacks {', '.join(missing)}. `make serve` installs all "
            "that is needed into .venv-serving; anywhere else do: pip install "
            "--requirement serving/requirements-page.txt"
        )
    from serving import card

    named = given or os.environ.get(f"{settings.Api.PREFIX}MODEL")
    model = pathlib.Path(named or card.PRETRAINED)
    card.load(model)
    return os.fspath(model)


def _check_ports(host: str, ports: dict[str, int]) -> None:
    """Raises unless both ports of this machine can be listened on."""
    if len(set(ports.values())) < len(ports):
        raise ValueError(
            f"{' and '.join(_PORTS.values())} must not be the same. Received: "
            f"{' and '.join(map(str, ports.values()))}."
        )
    for name, port in ports.items():
        if port == 0:
            raise ValueError(
                f"{_PORTS[name]} must be a port that the page can know: not 0, which "
                "is any. Received: 0."
            )
        try:
            _listen(host, port)
        except (OSError, UnicodeError) as error:  # The latter of a..b, for one.
            unknown = isinstance(error, socket.gaierror | UnicodeError)
            if unknown or error.errno == errno.EADDRNOTAVAIL:
                raise ValueError(
                    f"{_HOST} must be an address of this machine, such as 127.0.0.1, "
                    f"::1, or 0.0.0.0 for all. Received: {host!r}."
                ) from error
            raise OSError(
                f"{name} cannot listen on port {port} of {host}: {error.strerror}. "
                f"Name another port with {_PORTS[name]}, or stop what has this one."
            ) from error


def _listen(host: str, port: int) -> None:
    """Takes a port, as a server does, and lets it go."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind, protocol) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)


def _address(host: str, port: int) -> str:
    """Where this machine finds what listens on a host."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _start(module: list[str]) -> subprocess.Popen:
    """Starts a module that ends when this process does, or closes the pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "serving.child", *module],
        stdin=subprocess.PIPE,
        process_group=0,  # Ctrl-C is for this process, which stops both in order.
    )


def _answers(address: str, process: subprocess.Popen) -> bool:
    """Whether a server comes to answer, rather than to its end."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None:
        try:
            with opener.open(address, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def _stop(processes: list[subprocess.Popen]) -> None:
    """Lets both finish what they accepted; a second Ctrl-C does not wait for it."""
    for one in processes:
        one.stdin.close()
    try:
        for one in processes:
            one.wait()
    except KeyboardInterrupt:
        for one in processes:
            one.kill()
            one.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
