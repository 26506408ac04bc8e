"""One fundus photograph and what its publisher says of it."""

import dataclasses
import pathlib
from typing import Literal

GRADES = ("none", "mild", "moderate", "severe", "proliferative")
"""The International Clinical Diabetic Retinopathy scale (Wilkinson et al. 2003)."""

GRADE_OF_DIGIT = {"0": 0, "1": 1, "2": 2, "3": 3, "4": 4}
"""How most label files write a grade."""

Split = Literal["train", "valid", "test"]

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
"""The splits, in the order in which they are shown."""


@dataclasses.dataclass(frozen=True)
class Photograph:
    """One fundus image with its published labels; never a task's label.

    Attributes:
        id: Unique across datasets and splits, as in `idrid/train/IDRiD_001`.
        path: The image file.
        grade: ICDR grade, 0-4, or None where the source does not give one.
        any_dr: Whether there is any retinopathy. Follows from the grade; given alone
            where the source knows no more.
        macular_edema: Risk of macular edema, 0-2, or None.
        gradable: Whether the publisher found it good enough to grade, or None where
            the source does not say.
        patient: Whose eye it is, or None where the source does not say. A name within
            its dataset.
        eye: "left", "right" or None.
        split: The publisher's own split, or None.
    """

    id: str
    path: pathlib.Path
    grade: int | None = None
    any_dr: bool | None = None
    macular_edema: int | None = None
    gradable: bool | None = None
    patient: str | None = None
    eye: Literal["left", "right"] | None = None
    split: Split | None = None

    @property
    def origin(self) -> str:
        """Name of the dataset that it is from, the first part of its id."""
        return self.id.partition("/")[0]

    @property
    def labelled(self) -> bool:
        """Whether its source says anything that a task could be answered from."""
        return self.any_dr is not None or self.macular_edema is not None

    def __post_init__(self):
        if self.grade is not None:
            if self.grade not in range(len(GRADES)):
                raise ValueError(
                    f"The grade of photograph {self.id} must be an ICDR grade, 0-4. "
                    f"Received: {self.grade!r}. Correct the label file."
                )
            follows = self.grade >= 1
            if self.any_dr not in (None, follows):
                raise ValueError(
                    f"Photograph {self.id} has grade {self.grade}, so `any_dr` must be "
                    f"{follows}. Received: any_dr={self.any_dr}."
                )
            object.__setattr__(self, "any_dr", follows)
        if self.macular_edema not in (None, 0, 1, 2):
            raise ValueError(
                f"The risk of macular edema of photograph {self.id} must be 0, 1 or 2. "
                f"Received: {self.macular_edema!r}. Correct the label file."
            )
