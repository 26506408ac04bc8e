"""The mode `compare`: evaluated runs, on the photographs that all of them have.

Runs that ask the same of a photograph are compared pair by pair; runs that ask
different things have figures in common, such as how often both are right. No model is
loaded, no photograph is read, and TensorFlow is not imported.
"""

import dataclasses
import hashlib
import itertools
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import gin

from evaluation import (
    alignment,
    compared_runs,
    comparison,
    comparison_page,
    comparison_text,
    intervals,
    joint,
    non_inferiority,
)
from input_pipeline import whole_files
from visualization import comparison_figures, figures

_CONFIDENCE = 0.95


@gin.register("compare")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparer:
    """How runs are compared.

    Attributes:
        metrics: Which figures, by their names in `metrics.json`. Name few: each one
            more makes all of them harder to tell from chance.
        split: Whose photographs; never "train".
        resamples: Bootstrap resamples behind an interval.
        seed: Decides the resamples.
        margin: By how much a run may be worse than the first and still count as not
            inferior to it, 0-1 exclusive; `None` judges none. Choose it before
            anything is compared.
    """

    metrics: Sequence[str] = ("auc", "balanced_accuracy")
    split: str = "test"
    resamples: int = 2000
    seed: int = 0
    margin: float | None = None

    def __post_init__(self):
        if isinstance(self.metrics, str) or not self.metrics:
            raise ValueError(
                "`compare.metrics` must be a list of names. Received: "
                f"{self.metrics!r}."
            )
        if len(set(self.metrics)) < len(self.metrics):
            raise ValueError(
                "`compare.metrics` must name each figure once. Received: "
                f"{self.metrics!r}."
            )
        if self.split == "train":
            raise ValueError(
                "`compare.split` must not be 'train': what runs say of photographs "
                "that they have learnt tells nothing. Compare on 'valid' or 'test'."
            )
        if self.seed < 0:
            raise ValueError(
                f"`compare.seed` must be at least 0. Received: {self.seed}."
            )
        if self.margin is not None and not 0 < self.margin < 1:
            raise ValueError(
                "`compare.margin` must be above 0 and below 1: by how much a run may "
                f"be worse than the first. Received: {self.margin!r}. To judge none: "
                "compare.margin = None."
            )
        intervals.check_settings(self.resamples, _CONFIDENCE)

    def run(self, run_dirs: Sequence[pathlib.Path], dry_run: bool = False) -> str:
        """Compares runs, and writes the result beside the first of them.

        `comparison.json`, figures and a page go to `compare/<name>/` in the first
        run's folder, where the name is made of the others and of settings that are not
        usual.

        Args:
            run_dirs: Folders of two or more evaluated runs, or of evaluations.
            dry_run: Whether to stop before anything is computed or written.

        Returns:
            The comparison as text.

        Raises:
            ValueError: The runs cannot be compared; says why.
            FileNotFoundError: A folder holds no evaluated run.
        """
        runs = compared_runs.read(run_dirs, self.split)
        aligned, left_out = alignment.on_common_photographs(runs)
        questions = alignment.questions(aligned)
        for question in questions:
            self._check_metrics(question)
        if self.margin is not None:
            _check_reference(runs[0].name, questions)
        folder = run_dirs[0] / "compare" / self._name(run_dirs)
        if dry_run:
            names = ", ".join(run.name for run in runs)
            count = len(aligned[0].predictions)
            return f"Would compare {names} on {count:,} photographs: {folder}."

        patients = _patients(aligned)
        result = {
            "settings": dataclasses.asdict(self) | {"metrics": list(self.metrics)},
            "photographs": len(aligned[0].predictions),
            "left_out": left_out,
            "notes": _notes(runs, self.split),
            "runs": {
                run.name: {"folder": str(run.folder), "rule": run.task["rule"]}
                for run in runs
            },
            "questions": [
                self._compare(one, patients, runs[0].name) for one in questions
            ],
            "joint": [
                dataclasses.asdict(
                    joint.both_right(*pair, groups=patients, confidence=_CONFIDENCE)
                )
                for pair in itertools.combinations(aligned, 2)
                if not any(
                    all(run.name in one.names for run in pair) for one in questions
                )
            ],
        }
        drawn = [
            _draw(content, question)
            for content, question in zip(result["questions"], questions, strict=True)
        ]
        folder.mkdir(parents=True, exist_ok=True)
        for number, pictures in enumerate(drawn, start=1):
            several = f"_{number}" if len(drawn) > 1 else ""
            for name, figure in pictures.items():
                figures.save(figure, folder / f"{name}{several}.png")
        page = comparison_page.render(result, drawn)
        whole_files.write_text(folder / "comparison.html", page)
        whole_files.write_json(folder / "comparison.json", result)
        return f"{comparison_text.report(result)}\n\nEverything is in {folder}."

    def _check_metrics(self, question: alignment.Question) -> None:
        known = list(question.runs[0].scorer.figures)
        for name in self.metrics:
            if name not in known:
                raise ValueError(
                    f"`compare.metrics` names {name!r}, which is no figure of "
                    f"{' and '.join(question.names)}, compared on: {question.rule}. "
                    f"Choose from {', '.join(known)}."
                )

    def _compare(
        self,
        question: alignment.Question,
        patients: list[str | None] | None,
        reference: str,
    ) -> dict[str, Any]:
        """Runs that ask the same: each one's figures, and those of every pair."""
        runs = question.runs
        settings = {
            "groups": patients,
            "resamples": self.resamples,
            "seed": self.seed,
            "confidence": _CONFIDENCE,
        }
        content = {
            "rule": question.rule,
            "tasks": list(question.tasks),
            "class_names": runs[0].task["class_names"],
            "confidence": _CONFIDENCE,
            "runs": {
                run.name: intervals.score_with_intervals(
                    run.predictions.labels,
                    run.predictions.probabilities,
                    run.disease_classes,
                    threshold=run.threshold,
                    **settings,
                )
                for run in runs
            },
            "repeats": alignment.repeats(runs),
            "noise": {},
            "pairs": [],
            "non_inferiority": [],
        }
        if len(runs) > 1:
            compared = comparison.compare(
                runs[0].predictions.labels,
                {run.name: run.predictions.probabilities for run in runs},
                runs[0].disease_classes,
                compared=self.metrics,
                thresholds={run.name: run.threshold for run in runs},
                repeats=content["repeats"],
                **settings,
            )
            content |= {name: compared[name] for name in ("noise", "pairs")}
        if self.margin is not None:
            content["non_inferiority"] = [
                dataclasses.asdict(
                    non_inferiority.judge(
                        reference, pair["second"], name, row, self.margin
                    )
                )
                for pair in content["pairs"]
                if pair["first"] == reference
                for name, row in pair["differences"].items()
            ]
        return content

    def _name(self, run_dirs: Sequence[pathlib.Path]) -> str:
        """Of the other runs and the settings: as "focal" or "focal-split-valid"."""
        beside = run_dirs[0].resolve().parent
        parts = [os.path.relpath(one.resolve(), beside) for one in run_dirs[1:]]
        usual = Comparer()
        for field in dataclasses.fields(self):
            value, other = (getattr(one, field.name) for one in (self, usual))
            if field.name == "metrics":
                value, other = "-".join(value), "-".join(other)
            if value != other:
                parts.append(f"{field.name}-{value}")
        name = _slug("-".join(parts))
        if len(name) <= 120:
            return name
        # File systems end names at 255 bytes.
        return f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _check_reference(reference: str, questions: Sequence[alignment.Question]) -> None:
    """Refuses runs that cannot be judged against the first."""
    beside = {name for one in questions if reference in one.names for name in one.names}
    for question in questions:
        for name in question.names:
            if name not in beside:
                raise ValueError(
                    "`compare.margin` judges each run against the first, "
                    f"{reference}, but {name} asks something else of a photograph: "
                    f"{question.rule}. Leave it out, or compare without a margin."
                )


def _patients(runs: Sequence[compared_runs.Run]) -> list[str | None] | None:
    """The patient of each photograph, from the first run that knows any."""
    known = (run.predictions.patients for run in runs)
    return next((one for one in known if one is not None), None)


def _notes(runs: Sequence[compared_runs.Run], split: str) -> list[str]:
    """What a reader must know of the photographs, in sentences."""
    notes = []
    if split == "test":
        notes.append(
            "These are test photographs: report such a comparison, and choose between "
            "runs by one on 'valid'."
        )
    if split == "valid":
        notes.append(
            "These are validation photographs: epoch, calibration and threshold may "
            "have been chosen on them, so the figures are kinder than on others."
        )
    for run in runs:
        if run.seen is None:
            notes.append(
                f"{run.name} does not say what it was trained on, so it may have seen "
                "these photographs."
            )
    return notes


def _draw(
    content: dict[str, Any], question: alignment.Question
) -> dict[str, comparison_figures.Figure]:
    """File name -> figure."""
    scorers = {run.name: run.scorer for run in question.runs}
    names = list(content["pairs"][0]["differences"]) if content["pairs"] else []
    pictures = {"roc": comparison_figures.roc(scorers, content["runs"])}
    if names:
        pictures["values"] = comparison_figures.values(content["runs"], names)
        pictures["differences"] = comparison_figures.differences(
            content["pairs"], content["noise"]
        )
    return pictures


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-.")
