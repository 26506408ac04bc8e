"""Which photographs would leak from one split into another, and what becomes of them.

Pure functions of labels and of the copies that were found: nothing here reads a file.
"""

import collections
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from input_pipeline import photograph

LABELS = {"grade": "grade", "any_dr": "any DR", "macular_edema": "macular edema"}
"""The labels that copies can contradict each other in, and what a reader calls them."""

KINDS = ("byte_identical", "near_identical", "renamed")
Kind = Literal["byte_identical", "near_identical", "renamed"]

_UNGRADABLE = "ungradable, as its publisher says"


@dataclasses.dataclass(frozen=True)
class Copy:
    """Two photographs that show the same picture.

    Attributes:
        first: Id of one.
        second: Id of the other.
        kind: How it is known: the same bytes, nearly the same pixels, or a name from
            which a re-export was made.
        distance: Mean absolute difference of the thumbnails, in grey levels; None
            where only the names tell.
    """

    first: str
    second: str
    kind: Kind
    distance: float | None = None


@dataclasses.dataclass(frozen=True)
class Policy:
    """What becomes of photographs that would leak.

    A test photograph is never removed, and neither copies of it nor photographs of its
    patient train or validate a model.

    Attributes:
        test_on: Names of datasets that only test, with all of their photographs.
        copies: Of several copies with the same labels among the training photographs,
            keep one or all.
        conflicting_copies: Of copies whose labels contradict each other, leave out or
            keep those among the training photographs.
        must_agree: The labels that count as contradictory where they differ: those
            that the experiment's task asks for.
        ungradable: Of graded photographs that their publisher calls ungradable, leave
            out or keep those among the training photographs.
    """

    test_on: Sequence[str] = ()
    copies: Literal["keep_one", "keep_all"] = "keep_one"
    conflicting_copies: Literal["leave_out", "keep_all"] = "leave_out"
    must_agree: Sequence[str] = ("grade", "any_dr")
    ungradable: Literal["leave_out", "keep_all"] = "leave_out"

    def __post_init__(self):
        if not set(self.must_agree) <= set(LABELS):
            raise ValueError(
                f"`audit.must_agree` must name some of {', '.join(LABELS)}. "
                f"Received: {self.must_agree!r}."
            )


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Why a photograph is in no split.

    Attributes:
        kind: "unlabelled"; "leak" where it belongs to a photograph that tests or
            validates; "ungradable" though it has a label; "copy" of a training
            photograph that is kept; "conflict" between the labels of copies.
        reason: The same with ids, in words that follow the photograph's id.
    """

    kind: Literal["unlabelled", "leak", "ungradable", "copy", "conflict"]
    reason: str


@dataclasses.dataclass(frozen=True)
class Decisions:
    """What was decided about every photograph before any fold is made.

    Attributes:
        split: Id -> the split of those that stay; "train" where there is none yet.
        left_out: Id -> why it is in no split.
        groups: Id -> a name that is shared by photographs that may not be separated:
            copies, and photographs of one patient.
    """

    split: Mapping[str, photograph.Split]
    left_out: Mapping[str, LeftOut]
    groups: Mapping[str, str]


def decide(
    photographs: Sequence[photograph.Photograph],
    copies: Sequence[Copy],
    policy: Policy,
) -> Decisions:
    """Decides what becomes of every photograph.

    Args:
        photographs: All of them, whatever their dataset and split.
        copies: Which of them show the same picture.
        policy: What becomes of those that would leak.

    Returns:
        The decisions.

    Raises:
        ValueError: `policy.test_on` names a dataset that is not there.
    """
    split = official(photographs, policy.test_on)
    same_picture = [(copy.first, copy.second) for copy in copies]
    pictures = _components(photographs, same_picture)
    groups = _components(photographs, same_picture + _of_one_patient(photographs))

    left_out = {one.id: _unlabelled(one) for one in photographs if not one.labelled}
    labelled = [one for one in photographs if one.labelled]
    left_out |= _across_splits(labelled, split, pictures, groups)
    if policy.ungradable == "leave_out":
        left_out |= {
            one.id: LeftOut("ungradable", _UNGRADABLE)
            for one in labelled
            if one.gradable is False
            and split[one.id] == "train"
            and one.id not in left_out
        }
    for alike in _members(labelled, pictures):
        training = [
            one for one in alike if split[one.id] == "train" and one.id not in left_out
        ]
        if training:
            left_out |= _within_training(training, policy)
    stay = {key: name for key, name in split.items() if key not in left_out}
    return Decisions(stay, left_out, groups)


def disputed(
    photographs: Sequence[photograph.Photograph],
    copies: Sequence[Copy],
    split: Mapping[str, photograph.Split],
    label: Callable[[photograph.Photograph], Any],
) -> list[str]:
    """Test photographs whose label may be wrong: a copy has another.

    Args:
        photographs: All of an experiment.
        copies: Which of them show the same picture.
        split: Id -> the split, of those that are in one.
        label: What is asked of a photograph; None where it is not known.

    Returns:
        Their ids, in order.
    """
    pictures = _components(photographs, [(one.first, one.second) for one in copies])
    labels = collections.defaultdict(set)
    for one in photographs:
        labels[pictures[one.id]].add(label(one))
    return [
        one.id
        for one in photographs
        if split.get(one.id) == "test"
        and label(one) is not None
        and len(labels[pictures[one.id]] - {None}) > 1
    ]


def known_to_model(
    photographs: Sequence[photograph.Photograph],
    copies: Sequence[Copy],
    seen: Collection[str],
) -> dict[str, str]:
    """Photographs that a model knows although it was never given them.

    Args:
        photographs: Those that it was given, and others.
        copies: Which of them show the same picture.
        seen: Ids of those that it was given.

    Returns:
        Id -> why, in words that follow the id: a copy of one that it was given, or of a
        patient of whom it was given one.
    """
    same_picture = [(copy.first, copy.second) for copy in copies]
    pictures = _components(photographs, same_picture)
    groups = _components(photographs, same_picture + _of_one_patient(photographs))
    why = {}
    for group in _members(photographs, groups):
        given = [one for one in group if one.id in seen]
        copied = {pictures[one.id]: one.id for one in reversed(given)}
        fellows = {(one.origin, one.patient): one.id for one in reversed(given)}
        for one in group:
            if given and one.id not in seen:
                why[one.id] = _link(one, given, copied, fellows, pictures)
    return why


def contradiction(
    one: photograph.Photograph,
    other: photograph.Photograph,
    must_agree: Sequence[str] = tuple(LABELS),
) -> str | None:
    """How the labels of two copies contradict each other, in words.

    Args:
        one: A photograph.
        other: A copy of it.
        must_agree: The labels that are compared.

    Returns:
        As in "grade 1 and 2", or None where all labels that both have are the same.
    """
    for name in must_agree:
        first, second = getattr(one, name), getattr(other, name)
        if first is not None and second is not None and first != second:
            return f"{LABELS[name]} {first} and {second}"
    return None


def official(
    photographs: Sequence[photograph.Photograph], test_on: Sequence[str]
) -> dict[str, photograph.Split]:
    """Id -> the publisher's split: "train" where there is none, "test" for `test_on`.

    Args:
        photographs: All of the experiment.
        test_on: Names of datasets that only test.

    Returns:
        The split of every photograph, before anything is left out.

    Raises:
        ValueError: `test_on` names a dataset that is not there.
    """
    origins = sorted({one.origin for one in photographs})
    for name in test_on:
        if name not in origins:
            raise ValueError(
                f"`audit.test_on` must name datasets of the experiment: {origins}. "
                f"Received: {name!r}."
            )
    return {
        one.id: "test" if one.origin in test_on else one.split or "train"
        for one in photographs
    }


def _unlabelled(one: photograph.Photograph) -> LeftOut:
    reason = _UNGRADABLE if one.gradable is False else "without any label"
    return LeftOut("unlabelled", reason)


def _of_one_patient(
    photographs: Iterable[photograph.Photograph],
) -> list[tuple[str, str]]:
    """Links each photograph with the first of its patient."""
    first: dict[tuple[str, str], str] = {}
    return [
        (first.setdefault((one.origin, one.patient), one.id), one.id)
        for one in photographs
        if one.patient is not None
    ]


def _across_splits(
    photographs: Sequence[photograph.Photograph],
    split: Mapping[str, photograph.Split],
    pictures: Mapping[str, str],
    groups: Mapping[str, str],
) -> dict[str, LeftOut]:
    """Id -> why, for what belongs to a photograph of a split that goes first."""
    order = ("test", "valid", "train")
    why = {}
    for group in _members(photographs, groups):
        owner = min((split[one.id] for one in group), key=order.index)
        kept = [one for one in group if split[one.id] == owner]
        copied = {pictures[one.id]: one.id for one in reversed(kept)}
        fellows = {(one.origin, one.patient): one.id for one in reversed(kept)}
        for one in group:
            if split[one.id] == owner:
                continue
            reason = _link(one, kept, copied, fellows, pictures)
            name = "test" if owner == "test" else "validation"
            why[one.id] = LeftOut("leak", f"{reason} of the {name} set")
    return why


def _link(
    one: photograph.Photograph,
    kept: Sequence[photograph.Photograph],
    copied: Mapping[str, str],
    fellows: Mapping[tuple[str, str | None], str],
    pictures: Mapping[str, str],
) -> str:
    """Of all that links a photograph to those kept, the plainest."""
    patient = (one.origin, one.patient)
    if pictures[one.id] in copied:
        return f"a copy of {copied[pictures[one.id]]}"
    if one.patient is not None and patient in fellows:
        return f"of the same patient as {fellows[patient]}"
    return f"linked by copies and patients to {kept[0].id}"


def _within_training(
    alike: Sequence[photograph.Photograph], policy: Policy
) -> dict[str, LeftOut]:
    """Id -> why, for copies of one picture that are all training photographs."""
    conflict = _conflict(alike, policy.must_agree)
    if conflict:
        if policy.conflicting_copies == "keep_all":
            return {}
        why = LeftOut("conflict", f"copies contradict each other: {conflict}")
        return {one.id: why for one in alike}
    if policy.copies == "keep_all":
        return {}
    kept, *others = alike
    return {
        one.id: LeftOut("copy", f"a copy of {kept.id}, which is kept") for one in others
    }


def _conflict(
    alike: Sequence[photograph.Photograph], must_agree: Sequence[str]
) -> str | None:
    """The first contradiction between copies, with their ids."""
    for name in must_agree:
        known = [one for one in alike if getattr(one, name) is not None]
        for one in known[1:]:
            if conflict := contradiction(known[0], one, [name]):
                return f"{known[0].id} and {one.id}, {conflict}"
    return None


def _members(
    photographs: Iterable[photograph.Photograph], names: Mapping[str, str]
) -> list[list[photograph.Photograph]]:
    """Photographs that share a name, list by list."""
    members = collections.defaultdict(list)
    for one in photographs:
        members[names[one.id]].append(one)
    return list(members.values())


def _components(
    photographs: Iterable[photograph.Photograph], links: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """Id -> the first id of all that are linked with it, directly or by others."""
    parent = {one.id: one.id for one in photographs}
    place = {one: number for number, one in enumerate(parent)}

    def root(one: str) -> str:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for first, second in links:
        one, other = sorted((root(first), root(second)), key=place.__getitem__)
        parent[other] = one
    return {one: root(one) for one in parent}
