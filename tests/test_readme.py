"""The README's commands: CI runs the first block as written, and this the others."""

import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA_COMMANDS = [
    command.strip()
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for command in block.strip().splitlines()
]


def test_ci_runs_the_two_commands_as_written():
    (block,) = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    assert block.split("\n")[:-1] == ["make demo", "make test"]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in ci


def test_there_are_commands_for_real_data():
    assert len(DATA_COMMANDS) >= 2


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_a_command_for_real_data_is_right(command, real_idrid, tmp_path):
    """All but the hours: the same words, with a dry run."""
    program, *arguments = shlex.split(command.replace("<IDRiD>", str(real_idrid)))
    assert program == "python"
    arguments += ["--dry_run", f"--run_dir={tmp_path}", f"--prepared_dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("heading", ["Results", "Speed"])
def test_there_is_a_table_of(heading):
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert section.count("\n| ") >= 3


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)", README)))
)
def test_what_the_readme_points_to_is_there(target):
    assert (ROOT / target).exists()


def test_folders_of_the_layout_table_are_there():
    names = re.findall(r"^\| `([\w.]+)/?`", README, re.MULTILINE)
    assert len(names) > 5
    for name in names:
        assert (ROOT / name).exists(), name
