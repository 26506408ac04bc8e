"""Tasks: how a photograph's published labels become the label a model learns."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

import gin

from input_pipeline import photograph


@dataclasses.dataclass(frozen=True)
class Task:
    """One question asked of a photograph; one model answers one task.

    Attributes:
        name: Short name.
        rule: The rule in words, printed wherever results are.
        class_names: Names of the classes, in the order of their labels.
        disease_classes: The classes that mean disease, for sensitivity, specificity
            and AUC.
        label: `(photograph) -> int`, or None where the source does not know.
        random: Whether labels mean nothing, so that copies may contradict each other.
    """

    name: str
    rule: str
    class_names: tuple[str, ...]
    disease_classes: tuple[int, ...]
    label: Callable[[photograph.Photograph], int | None]
    random: bool = False

    def labels(self, photographs: Sequence[photograph.Photograph]) -> list[int]:
        """The label of every photograph.

        Raises:
            ValueError: The source does not know what the task asks.
        """
        labels = [self.label(one) for one in photographs]
        unknown = [
            one.id
            for one, label in zip(photographs, labels, strict=True)
            if label is None
        ]
        if unknown:
            raise ValueError(
                f"The task {self.name!r} ({self.rule}) needs labels that the source of "
                f"{len(unknown)} photographs does not give. The first: {unknown[0]}. "
                f"Choose a task that the dataset answers{_answered(photographs)}."
            )
        return labels

    def description(self) -> dict:
        """What travels with checkpoints, exports and predictions, JSON-ready."""
        return {
            "name": self.name,
            "rule": self.rule,
            "class_names": list(self.class_names),
            "disease_classes": list(self.disease_classes),
        }


def _answered(photographs: Sequence[photograph.Photograph]) -> str:
    """The tasks that all photographs can be asked, as bindings; or nothing."""
    every = (any_dr(), referable(), icdr_grades(), sight_threatening(), macular_edema())
    fit = [
        f"--gin_bindings='train.task = @{task.name}()'"
        for task in every
        if not any(task.label(one) is None for one in photographs)
    ]
    return f": {' or '.join(fit)}" if fit else ""


@gin.register
def any_dr() -> Task:
    """Any retinopathy against none."""
    return Task(
        name="any_dr",
        rule="any diabetic retinopathy: grade >= 1",
        class_names=("no DR", "DR"),
        disease_classes=(1,),
        label=lambda one: None if one.any_dr is None else int(one.any_dr),
    )


@gin.register
def referable() -> Task:
    """Referable retinopathy, ICDR grade 2 and above."""
    return Task(
        name="referable",
        rule="referable diabetic retinopathy: grade >= 2",
        class_names=("not referable", "referable"),
        disease_classes=(1,),
        label=lambda one: None if one.grade is None else int(one.grade >= 2),
    )


@gin.register
def sight_threatening(*, include_macular_edema: bool = False) -> Task:
    """Sight-threatening retinopathy, ICDR grade 3 and above.

    Args:
        include_macular_edema: Whether a macular edema risk of 2 counts too.

    Returns:
        The task.
    """

    def label(one: photograph.Photograph) -> int | None:
        if one.grade is None or (include_macular_edema and one.macular_edema is None):
            return None
        return int(one.grade >= 3 or (include_macular_edema and one.macular_edema == 2))

    edema = " or macular edema risk 2" if include_macular_edema else ""
    return Task(
        name="sight_threatening",
        rule=f"sight-threatening diabetic retinopathy: grade >= 3{edema}",
        class_names=("not sight-threatening", "sight-threatening"),
        disease_classes=(1,),
        label=label,
    )


@gin.register
def icdr_grades() -> Task:
    """The five ICDR grades; the disease is referable retinopathy."""
    return Task(
        name="icdr_grades",
        rule="ICDR grade 0-4; disease: grade >= 2",
        class_names=photograph.GRADES,
        disease_classes=(2, 3, 4),
        label=lambda one: one.grade,
    )


@gin.register
def macular_edema() -> Task:
    """The risk of macular edema, 0-2; the disease is any risk."""
    return Task(
        name="macular_edema",
        rule="risk of macular edema 0-2; disease: risk >= 1",
        class_names=("no risk", "risk 1", "risk 2"),
        disease_classes=(1, 2),
        label=lambda one: one.macular_edema,
    )


@gin.register
def random_labels(*, task: Task, seed: int = 0) -> Task:
    """Another task's question with answers that mean nothing.

    A model that learnt such labels by heart is what a sanity check of explanations
    compares with (Adebayo et al., "Sanity Checks for Saliency Maps", 2018, section
    4.2). All classes are equally likely, and a photograph always has the same label.

    Args:
        task: The task whose classes are taken.
        seed: Decides the labels.

    Returns:
        The task.
    """

    def label(one: photograph.Photograph) -> int | None:
        if task.label(one) is None:
            return None
        drawn = hashlib.sha256(f"{seed}/{one.id}".encode()).digest()
        return int.from_bytes(drawn[:8]) % len(task.class_names)

    return dataclasses.replace(
        task,
        name=f"{task.name}_random_labels",
        rule=f"labels drawn at random, instead of {task.rule}",
        label=label,
        random=True,
    )
