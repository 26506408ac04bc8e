import numpy as np
import pytest

from evaluation import operating_point, recalibration


def rule(**settings):
    return recalibration.Recalibration(**{"photographs": 5} | settings)


GROUPS = {f"{number}": f"patient {number // 3}" for number in range(30)}


def test_a_sample_is_of_as_many_patients_one_photograph_each():
    drawn = rule().draw(list(GROUPS), GROUPS, "site")
    assert len(drawn) == len({GROUPS[one] for one in drawn}) == 5
    assert drawn == rule().draw(list(GROUPS), GROUPS, "site")
    assert list(drawn) == [one for one in GROUPS if one in drawn]
    assert drawn != rule(seed=1).draw(list(GROUPS), GROUPS, "site")


def test_patients_are_drawn_alike_however_many_photographs_they_have():
    groups = {
        f"{number}": "many" if number < 40 else f"{number}" for number in range(50)
    }
    drawn = [
        one
        for seed in range(300)
        for one in rule(photographs=1, seed=seed).draw(list(groups), groups, "site")
    ]
    share = np.mean([groups[one] == "many" for one in drawn])
    assert share == pytest.approx(1 / 11, abs=4 * (10 / 121 / 300) ** 0.5)
    assert len({one for one in drawn if groups[one] == "many"}) > 5


def test_none_draws_one_of_every_patient():
    drawn = rule(photographs=None).draw(list(GROUPS), GROUPS, "site")
    assert len(drawn) == len(set(GROUPS.values()))


def test_more_than_there_are_patients_cannot_be_drawn():
    message = (
        r"asks for 11 photographs of 'site', each of another patient\. There are 10"
    )
    with pytest.raises(ValueError, match=message):
        rule(photographs=11).draw(list(GROUPS), GROUPS, "site")


def test_a_sample_too_small_is_refused_with_what_it_takes():
    diseased = [True] * 10 + [False] * 90
    message = (
        r"sample of 100 photographs of 'site' is too small\. A sensitivity of at least "
        r"0\.9 with a confidence of 0\.95 takes at least 29 diseased photographs\. "
        r"Received: 10\. Where 10 % are diseased, 379 photographs, each of another "
        r"patient, hold as many with a probability of 0\.95\. Raise `recalibration\."
    )
    with pytest.raises(ValueError, match=message):
        rule().check(diseased, "site")
    rule().check([True] * 29, "site")
    with pytest.raises(ValueError, match=r"Received: 0\. Raise `recalibration\.photo"):
        rule().check([False] * 100, "site")


def test_a_rule_that_promises_nothing_takes_any_sample():
    rule(rule=operating_point.Youden()).check([False], "site")


def test_the_promise_holds_at_a_site_of_other_scores():
    """Of many samples, the share whose threshold keeps the sensitivity there."""
    rng = np.random.default_rng(0)
    assured = operating_point.SensitivityAssured(value=0.8, confidence=0.9)
    kept = []
    for _ in range(2000):
        thresholds = assured(np.ones(30, bool), rng.random(30)).threshold
        kept.append(1 - thresholds >= 0.8)  # Of uniform scores, exactly.
    # P(Binomial(30, 0.2) >= k) is 0.956 at k = 3 and 0.877 at 4: the third counts.
    assert np.mean(kept) == pytest.approx(0.956, abs=4 * (0.956 * 0.044 / 2000) ** 0.5)


@pytest.mark.parametrize(
    "settings", [{"photographs": 0}, {"photographs": 5, "seed": -1}]
)
def test_settings_out_of_range_are_refused(settings):
    name = list(settings)[-1]
    with pytest.raises(ValueError, match=rf"`recalibration\.{name}` must be at least"):
        recalibration.Recalibration(**settings)
