"""Nobody is told that the software is used."""

import os
import subprocess
import sys

from tests.serving import servers

IMPORTS = """
import sys
def see(event, _):
    if event in ("os.fork", "socket.connect", "socket.getaddrinfo", "urllib.Request"):
        print(event)
sys.addaudithook(see)
import serving.predictor
import openvino, openvino.tools.ovc.convert_impl, nncf
openvino.convert_model  # It sends from threads that end with the process.
"""


def test_openvino_and_nncf_tell_nobody_that_they_are_used(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORTS],
        cwd=servers.ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert [path.name for path in tmp_path.rglob("*openvino*")] == []
