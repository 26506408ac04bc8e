import subprocess
import sys

import numpy as np
import pytest

from input_pipeline import colors


def test_mean_and_deviation_of_all_but_the_test_photographs(prepared):
    training = [one.id for one in prepared.photographs if one.split != "test"]
    pixels = np.stack([prepared.read_image(one) for one in training]).reshape(-1, 3)
    mean, deviation, count = colors.measure(prepared)
    assert count == len(training) == 40
    np.testing.assert_allclose(mean, pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation, pixels.std(axis=0), rtol=1e-6)


def test_test_photographs_alone_are_refused(prepared, monkeypatch):
    tests = [one for one in prepared.photographs if one.split == "test"]
    monkeypatch.setattr(prepared, "photographs", tests)
    with pytest.raises(ValueError, match=r"test photographs, which decide nothing"):
        colors.measure(prepared)


def test_the_command_prints_lines_of_gin(prepared):
    folder = prepared.folders[0].folder
    done = subprocess.run(
        [sys.executable, "-m", "input_pipeline.colors", f"--prepared={folder}"],
        capture_output=True,
        text=True,
        check=True,
    )
    mean, deviation, _ = colors.measure(prepared)
    comment, first, second = done.stdout.strip().splitlines()
    assert comment == "# Of 40 photographs, without those of the test split."
    assert first == f"pretrained.mean = {tuple(round(one, 1) for one in mean)}"
    assert second.startswith("pretrained.deviation = (")
    assert str(round(deviation[2], 1)) in second


def test_a_missing_folder_is_one_readable_message(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "input_pipeline.colors", f"--prepared={tmp_path}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "error: " in done.stderr and "--mode=prepare" in done.stderr
    assert "Traceback" not in done.stderr
