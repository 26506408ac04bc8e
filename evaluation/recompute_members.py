"""What an evaluation states of the members of an ensemble, computed again."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluation import (
    assessment,
    decision,
    findings,
    members,
    networks,
    predictions,
    uncertainty,
)
from input_pipeline import records, splits
from models import outputs


class Members:
    """`members.csv` of one folder of results; without one there is nothing to verify.

    Attributes:
        disagree: Whether photographs of some split have several answers.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        run: pathlib.Path,
        content: Mapping[str, Any],
        found: findings.Findings,
    ):
        """Reads what each member said.

        Args:
            folder: Holds `members.csv`.
            run: Directory of the run, whose members lie in it.
            content: What its `metrics.json` holds.
            found: Receives what differs.

        Raises:
            ValueError: `members.csv` is damaged.
            FileNotFoundError: It is missing.
        """
        self._folder, self._content, self._found = folder, content, found
        self._run = run
        self._path = folder / members.FILE
        self._said = members.read_csv(self._path) if "members" in content else []
        self._several = {
            one.split: several
            for one in self._said
            if (several := members.several(one.logits)) is not None
        }
        self.disagree = bool(self._several)

    def verify(
        self,
        together: Mapping[str, predictions.Predictions],
        output: outputs.Output,
        decided: decision.Decision,
        settings: assessment.Settings,
    ) -> None:
        """Compares logits, disagreement and figures with what the members said.

        Args:
            together: Split -> what they said together.
            output: How logits become probabilities.
            decided: Calibration and threshold of the ensemble.
            settings: How figures are computed.
        """
        if not self._said:
            return
        found, csv = self._found, self._folder / "predictions.csv"
        noted = self._content.get("members_sha256", findings.NOTHING)
        checksum, by = records.file_sha256(self._path), "metrics.json notes"
        found.compare(self._path, "its SHA-256", checksum, noted, by)
        for one in self._said:
            if one.split not in together or [*one.ids] != [*together[one.split].ids]:
                text = f"its photographs of {one.split!r} are not those of"
                found.fail(self._path, f"{text} predictions.csv")
                return
            self._verify_who_answers(one)
            stored = together[one.split]
            columns = [f"logit {number}" for number in range(one.logits.shape[-1])]
            mean = members.together(one.logits)
            by = "the mean of members.csv is"
            found.compare_arrays(csv, one.ids, columns, stored.logits, mean, by)
            if one.split in self._several and stored.disagreement:
                probabilities = [
                    decided.probabilities(output, logits)
                    for logits in self._several[one.split]
                ]
                again = uncertainty.disagreement(
                    np.stack(probabilities), settings.disease_classes
                )
                for name, values in stored.disagreement.items():
                    key = [f"disagreement {name}"]
                    pair = values[:, None], again[name][:, None]
                    by = "the answers in members.csv give"
                    found.compare_arrays(csv, one.ids, key, *pair, by)
        scores = members.score(
            self._said, list(together.values()), output, decided, settings
        )
        again = json.loads(json.dumps(scores))
        path = self._folder / "metrics.json"
        by = "members.csv gives"
        found.compare(path, "members", self._content["members"], again, by)
        text = "of members that have not trained on the photographs"
        found.note(self._path, f"the logits of predictions.csv are their mean, {text}")

    def _verify_who_answers(self, said: members.Said) -> None:
        """Compares who answers with what the members' splits say that they know."""
        names, known_to = list(members.histories(self._run)), []
        for name in names:
            path = self._run / members.FOLDER / name / "split.json"
            split = splits.Split.load(path)
            known_to.append(frozenset([*split.train, *split.not_drawn]))
        answered = {
            name: np.isfinite(logits).all(axis=-1)
            for name, logits in zip(said.names, said.logits, strict=True)
        }
        nothing = np.zeros(len(said.ids), bool)
        expected = networks.answering(known_to, said.ids)
        for name, asked in zip(names, expected, strict=True):
            for place in np.flatnonzero(answered.get(name, nothing) != asked):
                text = "has not trained on it" if asked[place] else "may know it"
                answers = "no answer" if asked[place] else "an answer"
                key = said.ids[place]
                text = f"it has {answers} of {name} to {key}, and {name} {text}"
                self._found.fail(self._path, text)
