"""Settings that results spell are the same objects again, or nobody's."""

import pytest

from evaluation import operating_point, own_settings, recalibration

SETTINGS = (
    operating_point.Fixed(threshold=0.3),
    operating_point.Youden(),
    operating_point.SensitivityAtLeast(value=0.9),
    operating_point.SpecificityAtLeast(value=0.8),
    operating_point.SensitivityAssured(value=0.85, confidence=0.9),
    recalibration.Recalibration(
        photographs=None,
        rule=operating_point.SensitivityAssured(value=0.9),
        split="valid",
        seed=3,
    ),
)


@pytest.mark.parametrize("one", SETTINGS, ids=lambda one: type(one).__name__)
def test_what_a_setting_is_spelled_as_gives_it_back(one):
    assert own_settings.read(repr(one)) == one


@pytest.mark.parametrize(
    "text",
    [
        "Mine(x=1)",
        "mine.Fixed(threshold=0.3)",
        "<function mine at 0x7f0>",
        "Recalibration(photographs=3, rule=Mine(), split=None, seed=0)",
    ],
)
def test_rules_of_others_are_not_made(text):
    assert own_settings.read(text) is None


def test_impossible_settings_are_an_error():
    with pytest.raises(ValueError, match=r"must be from 0 to 1\. Received: 3"):
        own_settings.read("Fixed(threshold=3)")
