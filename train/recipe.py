"""What a config decides about a training."""

import dataclasses
import typing
from collections.abc import Callable, Sequence

import gin
import keras
import tensorflow as tf
import typeguard

from input_pipeline import pipeline, tasks
from models import outputs
from train import distillation as distilling
from train import phases as training_phases

_ALL = typeguard.CollectionCheckStrategy.ALL_ITEMS

MONITORS = {
    "val_loss": "min",
    "val_accuracy": "max",
    "val_balanced_accuracy": "max",
    "val_auc": "max",
    "val_quadratic_kappa": "max",
}
"""Validation metrics by which an epoch can be the best, and which way is better."""

LOGS = (*MONITORS, "val_sensitivity", "val_specificity", "loss", "accuracy")
"""What callbacks can monitor."""

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


@gin.register("train")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a config decides about a training.

    What creates variables is handed over uncalled: it is built in the strategy's scope.

    Attributes:
        task: What the model learns.
        model: `(image_size=..., num_outputs=...) -> keras.Model`.
        optimizer: `() -> keras.optimizers.Optimizer`.
        loss: A loss of integer labels and logits; one that the output accepts.
        stream: How photographs become batches.
        epochs: How many epochs the whole model trains, as far as its builder froze
            nothing; with `extend_from`, those of the earlier run count.
        output: What logits mean, and so how they become probabilities.
        first_phases: What trains before, such as the head alone, each phase for epochs
            of its own.
        init_from: Directory of a finished run whose weights the model begins with; the
            head is made anew if the task or the output is another.
        extend_from: Directory of a finished run to train further: from its last epoch's
            weights, with the state of its optimizer.
        distillation: The finished run that the model learns from beside the labels.
        dtype_policy: Keras' name of the precision in which the model computes; its
            weights and logits are float32 in any case.
        monitor: The validation metric that says which epoch is the best.
        keep: Which weights the finished model has: those of the "best" epoch or the
            "last". Both are decided without the test photographs.
        callbacks: Keras callbacks that act on epochs; what they remember is
            checkpointed too.
        checkpoint_every_epochs: Epochs between two checkpoints.
        checkpoint_every_minutes: Minutes after which there is one anyway.
        keep_checkpoints: How many of the last checkpoints are kept.
        seed: At least 0; decides first weights, dropout, order and augmentation.
        strategy: `() -> tf.distribute.Strategy`; by default one device. One of several
            workers is made on each of them, before TensorFlow does anything else.
        require_gpu: Whether to refuse to train on anything else.
    """

    task: tasks.Task
    model: Callable[..., keras.Model]
    optimizer: Callable[..., keras.optimizers.Optimizer]
    loss: keras.losses.Loss
    stream: pipeline.TrainingStream
    epochs: int
    output: outputs.Output = dataclasses.field(default_factory=outputs.Softmax)
    first_phases: Sequence[training_phases.Phase] = ()
    init_from: str | None = None
    extend_from: str | None = None
    distillation: distilling.Distillation | None = None
    dtype_policy: typing.Literal["float32", "mixed_bfloat16", "mixed_float16"] = (
        "float32"
    )
    monitor: str = "val_loss"
    keep: typing.Literal["best", "last"] = "best"
    callbacks: Sequence[keras.callbacks.Callback] = ()
    checkpoint_every_epochs: int = 5
    checkpoint_every_minutes: float = 10.0
    keep_checkpoints: int = 3
    seed: int = 0
    strategy: Callable[..., tf.distribute.Strategy] = tf.distribute.get_strategy
    require_gpu: bool = False

    def __post_init__(self):
        for name, hint in typing.get_type_hints(type(self)).items():
            try:
                typeguard.check_type(
                    getattr(self, name), hint, collection_check_strategy=_ALL
                )
            except typeguard.TypeCheckError as error:
                raise ValueError(
                    f"`train.{name}` is of the wrong type: {error}."
                ) from None
        if self.monitor not in MONITORS:
            raise ValueError(
                f"`train.monitor` must be one of {list(MONITORS)}. "
                f"Received: {self.monitor!r}."
            )
        for name in ("epochs", "checkpoint_every_epochs", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`train.{name}` must be at least 1. "
                    f"Received: {getattr(self, name)}."
                )
        if self.seed < 0:
            raise ValueError(f"`train.seed` must be at least 0. Received: {self.seed}.")
        if self.extend_from and (self.init_from or self.first_phases):
            raise ValueError(
                "`train.extend_from` goes on with a run's last phase. Take out "
                f"`train.{'init_from' if self.init_from else 'first_phases'}`, and "
                "what is bound for it alone."
            )
        num_classes = len(self.task.class_names)
        object.__setattr__(self, "output", self.output.for_classes(num_classes))
        self.output.check_loss(self.loss)
        if self.distillation and not isinstance(self.output, outputs.Softmax):
            raise ValueError(
                "`train.distillation` softens a softmax. Received: the output "
                f"{self.output.name!r}. Bind train.output = @softmax() here and in the "
                "teacher's run."
            )
        self.stream.check_classes(self.task.class_names)
        for one in self.callbacks:
            _check_callback(one)

    @property
    def phases(self) -> tuple[training_phases.Phase, ...]:
        """All phases; the last trains the whole model."""
        whole = training_phases.Phase(
            epochs=self.epochs, optimizer=self.optimizer, trains=training_phases.ALL
        )
        return (*self.first_phases, whole)

    @property
    def total_epochs(self) -> int:
        """How many epochs there are in all phases, unless a callback stops one."""
        return sum(one.epochs for one in self.phases)


def _check_callback(callback: keras.callbacks.Callback) -> None:
    """Raises for a callback that could not do what its user expects."""
    name = type(callback).__name__
    for hook in _BATCH_HOOKS:
        inherited = getattr(keras.callbacks.Callback, hook)
        if hook in vars(callback) or getattr(type(callback), hook) is not inherited:
            raise ValueError(
                f"`train.callbacks` act on epochs: steps are taken many at a time, in "
                f"one graph. Received: {name}, which has {hook}()."
            )
    monitor = getattr(callback, "monitor", None)
    if monitor is None:
        return
    if monitor not in LOGS:
        raise ValueError(
            f"{name}.monitor must be one of {list(LOGS)}. Received: {monitor!r}."
        )
    known = monitor in ("loss", "val_loss")
    if getattr(callback, "mode", None) == "auto" and not known:
        raise ValueError(
            f"Keras does not know which way {monitor!r} is better. Bind it: "
            f"{name}.mode = 'max'."
        )
