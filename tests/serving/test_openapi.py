"""The API against its own description, by Schemathesis.

That has many packages and so an environment of its own, as CI makes it. The variable
RETINOGRAD_SCHEMATHESIS names its program; without it this is skipped.
"""

import os
import pathlib
import subprocess

import pytest

from tests.serving import servers

SETTINGS = pathlib.Path(__file__).with_name("schemathesis.toml")


@pytest.mark.parametrize("key", [None, "the key"], ids=["open", "with a key"])
def test_the_api_is_as_it_describes_itself(exported, key, tmp_path):
    program = os.environ.get("RETINOGRAD_SCHEMATHESIS")
    if not program:
        pytest.skip("set RETINOGRAD_SCHEMATHESIS to the path of schemathesis")
    # As many clients ask at once as there are examples; all shall be answered.
    settings = {"most_waiting": 200} | ({"key": key} if key else {})
    command = [program, f"--config-file={SETTINGS}", "run", "--seed=1"]
    command += ["--max-examples=40", "--workers=2", "--request-timeout=60"]
    command += ["--generation-deterministic", "--no-color"]
    command += ["--header", f"Authorization: Bearer {key}"] if key else []
    with servers.serve(exported, settings) as server:
        done = subprocess.run(
            [*command, f"{server.address}/openapi.json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        assert "Tested: 8" in done.stdout, done.stdout
        answered = server.get("/healthz").status_code
        assert answered == 200
        assert not [line for line in server.log if line["level"] == "error"]
