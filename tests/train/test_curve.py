import json

import pytest
import tensorflow as tf

from train import curve


def write(folder, name, values, first=1):
    folder = folder / "tensorboard" / "valid"
    with tf.summary.create_file_writer(str(folder)).as_default():
        for epoch, value in enumerate(values, start=first):
            tf.summary.scalar(name, value, step=epoch)
    # Files of one process and one second are numbered, and read in the order of texts.
    (made,) = folder.glob("*.v2")
    made.rename(folder / f"events.out.tfevents.{first}")


@pytest.mark.parametrize(
    ("bindings", "name", "direction", "sign"),
    [
        ({"train.monitor": "'val_auc'"}, "auc", "maximize", 1),
        ({"train.monitor": "'val_auc'"}, "auc", "minimize", -1),
        ({"train.monitor": "%a", "a": "%b", "b": "'val_auc'"}, "auc", "maximize", 1),
        ({}, "loss", "maximize", -1),
        ({}, "loss", "minimize", 1),
    ],
)
def test_the_monitored_curve_is_read_as_it_grows(
    tmp_path, bindings, name, direction, sign
):
    read = curve.Curve(tmp_path, direction)
    assert list(read.new()) == []
    (tmp_path / "bindings.json").write_text(json.dumps(bindings))
    write(tmp_path, name, [0.5, 0.25])
    assert list(read.new()) == [(1, sign * 0.5), (2, sign * 0.25)]
    assert list(read.new()) == []
    # A run that was resumed repeats the epochs after its checkpoint.
    write(tmp_path, name, [0.25, 0.125], first=2)
    assert list(read.new()) == [(3, sign * 0.125)]
