"""What an evaluation states of other datasets, computed again."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from evaluation import (
    assessment,
    decision,
    external,
    findings,
    operating_point,
    own_settings,
    predictions,
    recalibration,
)
from input_pipeline import records, whole_files


class Others:
    """The other datasets of one folder of results.

    Attributes:
        parts: Name of a part of the results -> ids of its photographs, in order.
        disputed: Ids of those that have a copy with other labels.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        content: Mapping[str, Any],
        settings: Mapping[str, Any],
        found: findings.Findings,
    ):
        """Reads which photographs they are.

        Args:
            folder: Holds `external.json` and `local/`.
            content: What its `metrics.json` holds.
            settings: The settings in there.
            found: Receives what differs.

        Raises:
            ValueError: `external.json` is damaged.
        """
        self._folder, self._content, self._found = folder, content, found
        self._names, self._recalibrate = settings["on"], settings["recalibrate"]
        self._path = folder / external.FILE
        self._metrics = folder / "metrics.json"
        described = {}
        if self._names and self._path.exists():
            described = whole_files.read_json(self._path)
        try:
            self._counts = {
                name: external.count(name, one) for name, one in described.items()
            }
            self.parts = {
                part: ids
                for one in described.values()
                for part, ids in one["parts"].items()
            }
            self.disputed = {
                key for one in described.values() for key in one["disputed"]
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self._path} is damaged: {type(error).__name__}, {error}. Restore it "
                "from a copy, or evaluate in another --run_dir."
            ) from error

    def verify(
        self,
        said: Mapping[str, predictions.Predictions],
        decided: decision.Decision,
        settings: assessment.Settings,
    ) -> None:
        """Compares photographs, counts and thresholds of their own.

        Args:
            said: Split or part -> what the model said of it.
            decided: The run's own decision.
            settings: How figures are computed.
        """
        if self._names:
            noted = self._content.get("external_sha256")
            if noted is not None and self._path.exists():
                checksum = records.file_sha256(self._path)
                self._found.compare(
                    self._path, "its SHA-256", checksum, noted, "metrics.json notes"
                )
            listed = list(self._counts)
            self._found.compare(
                self._path,
                "datasets",
                listed,
                list(self._names),
                "metrics.json asks for",
            )
            counts = ", ".join(
                f"{one['photographs']} photographs of {name}"
                for name, one in self._counts.items()
            )
            self._found.note(self._path, f"{counts}, as metrics.json counts them")
        stored = self._content.get("others", {})
        self._found.compare(
            self._metrics, "others", stored, self._counts, "external.json lists"
        )

        recalibrated = self._content.get("recalibrated", {})
        expected = list(self._names) if self._recalibrate else []
        names = sorted(recalibrated), sorted(expected)
        key, by = "the datasets of recalibrated", "its evaluation.on asks for"
        self._found.compare(self._metrics, key, *names, by)
        for name in expected:
            if name in recalibrated:
                sample, rest = said.get(f"{name} sample"), said.get(name)
                self._verify_local(
                    name, recalibrated[name], sample, rest, decided, settings
                )

    def _verify_local(
        self,
        name: str,
        stored: Mapping[str, Any],
        sample: predictions.Predictions | None,
        rest: predictions.Predictions | None,
        decided: decision.Decision,
        settings: assessment.Settings,
    ) -> None:
        """Chooses a site's own threshold again, and computes what it does."""
        path = self._folder / "local" / name / decision.FILE
        in_file = whole_files.read_json(path) if path.exists() else findings.NOTHING
        by = "metrics.json has"
        self._found.compare(path, "", in_file, stored["decision"], by, tolerance=0)
        how = own_settings.read(self._recalibrate)
        try:
            if how is None:
                local = decision.from_description(stored["decision"])
                note = f"not chosen again: {self._recalibrate} has a rule not of ours"
            elif sample is None:
                raise ValueError(f"predictions.csv has no sample of {name}")
            else:
                local = how.choose(sample, settings.disease_classes, decided, name)
                note = f"chosen again on {local.chosen_on}"
                if local.operating_point.rule == operating_point.FIXED:
                    note = "its threshold was fixed beforehand"
            again = recalibration.describe(local, rest, settings)
        except (ValueError, TypeError, KeyError) as error:
            text = (
                f"the threshold cannot be chosen again: {str(error).removesuffix('.')}"
            )
            self._found.fail(path, text)
            return
        key = f"recalibrated.{name}"
        again = json.loads(json.dumps(again))
        by = "predictions.csv gives"
        self._found.compare(self._metrics, key, stored, again, by)
        self._found.note(path, note)
