"""The notebook of the guide runs as it is, and is kept without what it shows."""

import json
import pathlib
import re

import pytest

NOTEBOOK = pathlib.Path(__file__).parents[1] / "docs" / "quickstart.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_notebook_is_kept_without_outputs():
    code = [one for one in CELLS if one["cell_type"] == "code"]
    assert len(code) > 5
    assert all(not one["outputs"] and one["execution_count"] is None for one in code)


def test_the_notebook_runs_and_shows_its_figures(monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")  # It says so itself.
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    ).execute()
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    pictures = [one for one in outputs if "image/png" in one.get("data", {})]
    assert len(pictures) == 4
    said = "".join(one["text"] for one in outputs if one.get("name") == "stdout")
    assert "75 train, 25 validate, 30 test" in said
    assert said.count("Photographs by true class") == 3
    noise = "".join(one["text"] for one in outputs if one.get("name") == "stderr")
    assert "epoch 30/30" in noise
    assert not re.findall(
        r"^(?:[EIW]\d{4} .*|WARNING.*|.*cuda.*)$", noise, re.MULTILINE
    )
