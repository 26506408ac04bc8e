"""Runs a module as `python -m` does, but not for longer than who started it.

python -m serving.child serving.api

Standard input is a pipe of that process, which closes when it ends, killed or not.
"""

import os
import runpy
import signal
import sys
import threading
import time


def _stop_with_parent() -> None:
    """Asks this process to stop once the pipe is closed."""
    while os.read(0, 1):
        pass
    while True:  # A server that is just being set up may miss it.
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
