import collections
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence

import gin
import pytest

from configs import statements, value_types


class Eye: ...


class LeftEye(Eye): ...


class Schedule:
    def __call__(self, step: int) -> float: ...


class Unpublished:
    def __call__(self, step): ...


# One registration for all tests of a session: gin keeps what is registered.
@gin.register(module="toys")
def toy_left() -> LeftEye: ...


@gin.register(module="toys")
def toy_unknown(size): ...


@gin.register(module="toys")
def toy_factory() -> Callable[[int], Eye]: ...


@gin.register(module="toys")
def toy_schedule() -> Schedule: ...


@gin.register(module="toys")
def toy_object() -> Unpublished: ...


def made(name):
    return statements.Reference("", name, called=True)


def handed_over(name):
    return statements.Reference("", name, called=False)


Anything = typing.TypeVar("Anything")
MAKES_EYE, MAKES_FLOAT = Callable[..., Eye], Callable[[int], float]


class Settings(typing.TypedDict):
    size: int


class Readable(typing.Protocol):
    def read(self) -> str: ...


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, int),
        (1, float),
        (1.5, float),
        (True, bool),
        ("a", str),
        (None, int | None),
        (None, typing.Optional[int]),  # noqa: UP045 - as older code has it.
        (3, typing.Union[str, int]),  # noqa: UP007
        ((1, 2, 3), tuple[int, ...]),
        ((), tuple[int, ...]),
        ((1, "a"), tuple[int, str]),
        ([1, 2.5], list[float]),
        (["a"], Sequence[str]),
        (("a",), Sequence[str]),
        ("abc", Sequence),
        ({"a": (1, None)}, dict[str, tuple[int | None, ...]]),
        ({"a": 1}, Mapping[str, int]),
        ({"a": 1}, dict),
        ("best", typing.Literal["best", "last"]),
        (3, typing.Any),
        (3, object),
        (3, Anything),
        (3, typing.Annotated[int, "pixels"]),
        (3, Readable),  # Not for us to say.
        ({}, Settings),
        (3, typing.NewType("Pixels", int)),
        (made("toy_left"), LeftEye),
        (made("toy_left"), Eye),
        (made("toy_left"), Eye | None),
        (made("toy_unknown"), Eye),
        ((made("toy_left"), made("toy_left")), Sequence[Eye]),
        ({"left": made("toy_left")}, dict[str, Eye]),
        (handed_over("toy_left"), MAKES_EYE),
        (handed_over("toy_unknown"), MAKES_EYE),
        (handed_over("toy_unknown"), Callable),
        (made("toy_factory"), MAKES_EYE),
        (made("toy_schedule"), MAKES_FLOAT),
        (made("toy_object"), MAKES_FLOAT),
    ],
)
def test_a_value_fits_its_type(value, hint):
    assert value_types.fits(value, hint)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("1", int),
        (1.0, int),
        (True, int),
        (True, float),
        (1, bool),
        (1, str),
        (None, int),
        ("a", int | None),
        ([1], tuple[int, ...]),
        (1, tuple[int, ...]),
        ((1, "a"), tuple[int, ...]),
        ((1,), tuple[int, int]),
        ((1,), list[int]),
        ([1, "a"], list[int]),
        ("abc", Sequence[str]),
        ({"a": "b"}, dict[str, int]),
        ({1: 2}, dict[str, int]),
        (["a"], Mapping[str, int]),
        ("worst", typing.Literal["best", "last"]),
        (True, typing.Literal[1]),
        ("a", typing.Annotated[int, "pixels"]),
        (5, Callable),
        (5, MAKES_EYE),
        (made("toy_left"), Schedule),
        (made("toy_left"), int),
        ((made("toy_left"), made("toy_schedule")), Sequence[Eye]),
        (handed_over("toy_left"), Eye),
        (handed_over("toy_schedule"), MAKES_EYE),
        (made("toy_left"), MAKES_EYE),
        (made("toy_unknown"), MAKES_EYE),
        (made("toy_schedule"), MAKES_EYE),
    ],
)
def test_a_value_of_another_type_does_not(value, hint):
    assert not value_types.fits(value, hint)


def parameter(default=inspect.Parameter.empty):
    return inspect.Parameter("x", inspect.Parameter.KEYWORD_ONLY, default=default)


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [
        (2, 0.5, ""),
        (None, 0.5, "a number, like its default 0.5"),
        (True, 3, "a number, like its default 3"),
        (0, False, "True or False, like its default False"),
        (None, "adam", ""),
        (3, "adam", "a text, like its default 'adam'"),
        ("anything", None, ""),
        ("anything", inspect.Parameter.empty, ""),
        (made("toy_unknown"), 0.5, ""),
        (handed_over("toy_unknown"), 0.5, "@toy_unknown(), called"),
    ],
)
def test_without_a_type_the_default_speaks_for_it(value, default, expected):
    assert value_types.mismatch(value, parameter(default), None) == expected


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int, ""),
        ("1", int, "of type int"),
        (1, tuple[int, ...], "of type tuple[int, ...], as in (1,), with a comma"),
        (1, collections.OrderedDict[str, int], "of type OrderedDict[str, int]"),
        (made("toy_left"), MAKES_EYE, "@toy_left, uncalled, without ()"),
        (handed_over("toy_left"), Eye, "@toy_left(), called, with ()"),
        ({"a": handed_over("toy_left")}, dict, ""),
        (
            {"a": handed_over("toy_left")},
            dict[str, Eye],
            "{'a': @toy_left()}, called, with ()",
        ),
        ("b", typing.Literal["best", "last"], "one of 'best', 'last'"),
    ],
)
def test_what_is_expected_is_said_in_words(value, hint, expected):
    assert value_types.mismatch(value, parameter(), hint) == expected
