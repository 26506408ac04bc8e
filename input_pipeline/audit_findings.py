"""What an audit says: the content of its files, in numbers and by photograph."""

import collections
import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from input_pipeline import duplicates, leakage, photograph, records, shortcut


def gather(
    collection: records.Collection,
    copies: Sequence[leakage.Copy],
    decisions: leakage.Decisions,
    policy: leakage.Policy,
) -> dict[str, Any]:
    """Every finding and decision.

    Args:
        collection: All photographs of an experiment.
        copies: Which of them show the same picture.
        decisions: What was decided about them.
        policy: By what.

    Returns:
        What `audit.json` holds beside its format and the policy, JSON-ready.
    """
    photographs = collection.photographs
    disputed = {
        one
        for name in policy.must_agree
        for one in leakage.disputed(
            photographs, copies, decisions.split, operator.attrgetter(name)
        )
    }
    return {
        "copies": [_describe(one, collection, policy.must_agree) for one in copies],
        "split": dict(decisions.split),
        "left_out": {
            key: dataclasses.asdict(why) for key, why in decisions.left_out.items()
        },
        "groups": dict(decisions.groups),
        "disputed": [one.id for one in photographs if one.id in disputed],
        "patients_across_splits": _patients_across_splits(photographs, policy.test_on),
        "shortcut": _shortcut(collection, decisions),
    }


def certify(
    collection: records.Collection, findings: Mapping[str, Any]
) -> dict[str, Any]:
    """What was compared, found and done, in numbers.

    Args:
        collection: The photographs.
        findings: What `audit.json` holds of them.

    Returns:
        The content of `leakage.json`, JSON-ready; the checksum of `audit.json` is
        still to come.
    """
    photographs = collection.photographs
    kinds = collections.Counter(one["kind"] for one in findings["copies"])
    split = leakage.official(photographs, findings["policy"]["test_on"])
    across = [
        one for one in findings["copies"] if split[one["first"]] != split[one["second"]]
    ]
    kept = collections.Counter(findings["split"].values())
    done = collections.Counter(one["kind"] for one in findings["left_out"].values())
    return {
        "format": findings["format"],
        "datasets": [
            {
                "name": one.dataset,
                "photographs": len(one.photographs),
                "unreadable": len(one.manifest["unreadable"]),
                "fingerprint": one.fingerprint,
            }
            for one in collection.folders
        ],
        "policy": findings["policy"],
        "compared": {
            "photographs": len(photographs),
            "pairs": len(photographs) * (len(photographs) - 1) // 2,
            "with_a_known_patient": sum(one.patient is not None for one in photographs),
            "by": [
                "SHA-256 of the original files",
                "mean absolute difference of 64x64 thumbnails of the retina, at most "
                f"{findings['policy']['near_identical']} grey levels, and correlation "
                f"of their fine detail, at least {duplicates.MIN_AGREEMENT}",
                "names of Roboflow re-exports, and APTOS 2019's codes",
                "the publisher's names of patients",
            ],
        },
        "found": {
            **{f"{kind}_pairs": kinds[kind] for kind in leakage.KINDS},
            "pairs_across_splits": len(across),
            "contradictory_pairs": sum(
                one["conflict"] is not None for one in findings["copies"]
            ),
            "patients_across_splits": len(findings["patients_across_splits"]),
        },
        "left_out": dict(done),
        "kept": {name: kept[name] for name in photograph.SPLITS if kept[name]},
        "disputed_test_photographs": findings["disputed"],
    }


def _describe(
    copy: leakage.Copy, collection: records.Collection, must_agree: Sequence[str]
) -> dict[str, Any]:
    pair = collection.photograph(copy.first), collection.photograph(copy.second)
    conflict = leakage.contradiction(*pair, must_agree)
    return dataclasses.asdict(copy) | {"conflict": conflict}


def _patients_across_splits(
    photographs: Sequence[photograph.Photograph], test_on: Sequence[str]
) -> list[str]:
    """Patients whose photographs were in more than one split before the audit."""
    split = leakage.official(photographs, test_on)
    places = collections.defaultdict(set)
    for one in photographs:
        if one.patient is not None:
            places[f"{one.origin}/{one.patient}"].add(split[one.id])
    return [name for name, splits in places.items() if len(splits) > 1]


def _shortcut(
    collection: records.Collection, decisions: leakage.Decisions
) -> dict[str, Any]:
    """How well metadata alone tell the sick from the healthy; no test photograph."""
    training = [
        one
        for one in collection.photographs
        if decisions.split.get(one.id, "test") != "test"
    ]
    questions = {
        "any retinopathy": {one.id: one.any_dr for one in training},
        "referable retinopathy, grade >= 2": {
            one.id: None if one.grade is None else one.grade >= 2 for one in training
        },
    }
    scores = {}
    for question, answers in questions.items():
        ids = [key for key, sick in answers.items() if sick is not None]
        if not ids:
            continue
        score = shortcut.score(
            shortcut.columns(collection, ids),
            np.array([answers[one] for one in ids], int),
            [decisions.groups[one] for one in ids],
        )
        scores[question] = dataclasses.asdict(score) | {"photographs": len(ids)}
    return scores
