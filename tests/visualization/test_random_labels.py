import json
import shutil

import keras
import numpy as np
import pytest
from scipy import stats

from input_pipeline import tasks
from models import outputs, resnet_v2
from visualization import random_labels


def network(size=64, num_outputs=2):
    return resnet_v2.resnet_v2(
        image_size=size, num_outputs=num_outputs, widths=(4,), depths=(1,)
    )


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    return network()


@pytest.fixture
def write(tmp_path, split):
    """Writes what is needed of a run: `write(model, task)`."""

    def run(model, task=None, output="softmax"):
        folder = tmp_path / "random"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        model.save(folder / "model.keras")
        split.save(folder / "split.json")
        task = task or tasks.random_labels(task=tasks.referable())
        content = {"task": task.description(), "output": output}
        (folder / "task.json").write_text(json.dumps(content))
        return folder

    return run


def test_a_run_on_random_labels_is_loaded(model, write, split):
    keras.utils.set_random_seed(2)
    other, task = network(), tasks.random_labels(task=tasks.referable())
    found = random_labels.load(
        write(other, task), model, tasks.referable(), outputs.Softmax()
    )
    pairs = zip(found.model.get_weights(), other.get_weights(), strict=True)
    for one, two in pairs:
        np.testing.assert_array_equal(one, two)
    assert found.known == {*split.train}


def test_a_run_that_does_not_fit_is_refused(model, write):
    def load(folder):
        random_labels.load(folder, model, tasks.referable(), outputs.Softmax())

    keras.utils.set_random_seed(2)
    with pytest.raises(ValueError, match=r"the classes and the output .* this run, "):
        load(write(network(), tasks.any_dr()))
    with pytest.raises(ValueError, match=r"Received: .* and 'ordinal'\."):
        load(write(network(num_outputs=1), output="ordinal"))
    with pytest.raises(ValueError, match=r"labels that mean nothing: .* 'referable'\."):
        load(write(network(), tasks.referable()))
    with pytest.raises(ValueError, match=r"size, \(64, 64\)\. Received: \(32, 32\)"):
        load(write(network(size=32)))
    with pytest.raises(ValueError, match=r"must be another model\. Received: the one"):
        load(write(model))
    folder = write(network())
    (folder / "ensemble.json").write_text(json.dumps({"members": {"fold-0": "ab"}}))
    member = folder / "members/fold-0"
    member.mkdir(parents=True)
    (member / "history.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"must be one training.*: {member}\."):
        load(folder)
    folder = write(network())
    (folder / "model.keras").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"model\.keras cannot be read: "):
        load(folder)
    (folder / "model.keras").unlink()
    with pytest.raises(FileNotFoundError, match=r"does not exist\. Name the directory"):
        load(folder)


def test_how_well_random_labels_were_learnt_is_the_last_accuracy(tmp_path):
    assert random_labels.by_heart(tmp_path) is None
    epochs = [{"loss": 0.7, "accuracy": 0.5}, {"loss": 0.1, "accuracy": 0.97}]
    (tmp_path / "history.json").write_text(json.dumps({"epochs": epochs}))
    assert random_labels.by_heart(tmp_path) == 0.97


def test_equal_maps_fail_and_unrelated_ones_pass():
    rng = np.random.default_rng(0)
    images = np.full((2, 32, 32, 3), 128, np.uint8)
    first, second = rng.random((2, 2, 32, 32)).astype(np.float32)
    same = random_labels.compare(first, first, images)
    assert same == {
        "photographs": 2,
        "correlation": pytest.approx(1),
        "ssim": pytest.approx(1),
        "passes": False,
    }
    found = random_labels.compare(first, second, images)
    expected = [
        stats.spearmanr(one.ravel(), two.ravel()).statistic
        for one, two in zip(first, second, strict=True)
    ]
    assert found["correlation"] == pytest.approx(np.mean(expected))
    assert found["passes"]
