"""Starts the API and the page on this machine, and stops both with Ctrl-C.

python -m serving
python -m serving runs/idrid_resnet_v2/export/default
"""

import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from serving import card, settings


def main(arguments: list[str]) -> int:
    """Runs both until one of them ends, or the person ends them.

    Args:
        arguments: The folder of the exported model; none for the one that comes with
            the project.

    Returns:
        The exit status.
    """
    if len(arguments) > 1:
        print("usage: python -m serving [folder of an exported model]", file=sys.stderr)
        return 2
    model = arguments[0] if arguments else os.fspath(card.PRETRAINED)
    os.environ[settings.Api.PREFIX + "MODEL"] = model
    try:
        api = settings.Api.from_environment()
        page = settings.Page.from_environment()
        if api.port == 0:
            raise ValueError(
                f"{settings.Api.PREFIX}PORT must be a port that the page can know: not "
                "0, which is any. Received: 0."
            )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    address = f"http://{api.host}:{api.port}"
    script = pathlib.Path(__file__).with_name("app.py")
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += [f"--server.address={api.host}", f"--server.port={page.port}"]
    of_page = {settings.Page.PREFIX + "API": address}
    # Both leave together, also where the signal reaches this process alone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = [subprocess.Popen([sys.executable, "-m", "serving.api"])]
    try:
        if not _answers(f"{address}/healthz", started[0]):
            return started[0].wait()
        started.append(subprocess.Popen(command, env=os.environ | of_page))
        print(f"The page: http://{api.host}:{page.port}  The API: {address}")
        while all(one.poll() is None for one in started):
            time.sleep(0.2)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for one in started:
            one.terminate()
        for one in started:
            one.wait()


def _answers(address: str, process: subprocess.Popen) -> bool:
    """Whether a server comes to answer, rather than to its end."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
