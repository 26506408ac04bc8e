import keras
import pytest

from input_pipeline import pipeline, tasks
from models import losses, outputs, resnet_v2
from train import phases, recipe

HEAD_FIRST = phases.Phase(epochs=1, optimizer=keras.optimizers.Adam)


class EveryBatch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.seen = batch


def settings(**changes):
    return {
        "task": tasks.referable(),
        "model": resnet_v2.resnet_v2,
        "optimizer": keras.optimizers.Adam,
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "stream": pipeline.TrainingStream(),
        "epochs": 1,
    } | changes


def test_a_whole_recipe_is_accepted():
    assert recipe.Recipe(**settings()).monitor == "val_loss"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"monitor": "val_acc"}, r"`train.monitor` must be one of .*'val_acc'"),
        ({"epochs": 0}, r"`train.epochs` must be at least 1\. Received: 0"),
        ({"keep_checkpoints": 0}, r"`train.keep_checkpoints` must be at least 1"),
        ({"keep": "bset"}, r"`train.keep` is of the wrong type"),
        ({"task": resnet_v2.resnet_v2}, r"`train.task` is of the wrong type"),
        ({"optimizer": keras.optimizers.Adam()}, r"`train.optimizer` is of the wrong"),
        ({"loss": keras.losses.MeanSquaredError()}, r"models emit logits"),
        (
            {"callbacks": [keras.callbacks.Callback(), "EarlyStopping"]},
            r"callbacks. is",
        ),
        ({"seed": -1}, r"`train.seed` must be at least 0"),
        (
            {"callbacks": [keras.callbacks.EarlyStopping("val_acuracy")]},
            r"EarlyStopping.monitor must be one of .*'val_acuracy'",
        ),
        (
            {"callbacks": [keras.callbacks.EarlyStopping("val_quadratic_kappa")]},
            r"Bind it: EarlyStopping.mode = 'max'",
        ),
        (
            {"callbacks": [keras.callbacks.ReduceLROnPlateau("val_auc")]},
            r"Bind it: ReduceLROnPlateau.mode = 'max'",
        ),
        ({"first_phases": [keras.optimizers.Adam]}, r"first_phases. is of the wrong"),
        (
            {"extend_from": "runs/a", "init_from": "runs/b"},
            r"a run's last phase\. Take out `train\.init_from`",
        ),
        (
            {"extend_from": "runs/a", "first_phases": [HEAD_FIRST]},
            r"a run's last phase\. Take out `train\.first_phases`",
        ),
        ({"dtype_policy": "float16"}, r"`train.dtype_policy` is of the wrong type"),
        (
            {"callbacks": [keras.callbacks.LambdaCallback(), EveryBatch()]},
            r"Received: EveryBatch, which has on_train_batch_end\(\)",
        ),
        ({"epochs": "many"}, r"`train.epochs` is of the wrong type"),
        ({"output": outputs.Ordinal()}, r"fit the output 'ordinal' .*: @corn\(\)\. R"),
        ({"loss": losses.Corn()}, r"It goes with train\.output = @ordinal\(\)\.$"),
        ({"output": "ordinal"}, r"`train.output` is of the wrong type"),
        (
            {"stream": pipeline.TrainingStream(class_weights=(1.0, 2.0, 3.0))},
            r"a weight for each of not referable, referable\. Received: \(1\.0, 2",
        ),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        recipe.Recipe(**settings(**changes))


def test_an_output_is_told_the_classes_of_the_task():
    changes = {"output": outputs.Regression(), "loss": keras.losses.Huber()}
    a_recipe = recipe.Recipe(**settings(task=tasks.macular_edema(), **changes))
    assert a_recipe.output == outputs.Regression(num_classes=3)
