import numpy as np
import pytest
from scipy import stats

from visualization import lesion_agreement

RETINA = np.ones((10, 10), bool)
RETINA[:, 8:] = False  # 80 of 100 pixels.
LESION = np.zeros((10, 10))
LESION[2:4, 2:4] = 1  # 4 pixels: 1/20 of the retina.


def score(heatmap, lesion=LESION, tolerance=0.1):
    return lesion_agreement.Target(lesion, RETINA, tolerance).score(heatmap)


def single(row, column, value=1.0):
    heatmap = np.zeros((10, 10))
    heatmap[row, column] = value
    return heatmap


@pytest.mark.parametrize(
    ("place", "hit"),
    [((3, 3), 1), ((3, 4), 1), ((1, 3), 1), ((3, 5), 0), ((4, 4), 0), ((9, 9), 0)],
)
def test_pointing_hits_within_the_tolerance(place, hit):
    # A tenth of 10 pixels is one pixel; (4, 4) is the square root of 2 away.
    assert score(single(*place))["pointing"] == hit


def test_chance_is_the_share_of_the_retina():
    found = score(single(3, 3))
    assert found["area"] == found["precision_chance"] == 4 / 80
    assert found["pointing_chance"] == (4 + 8) / 80  # The lesion and its neighbours.
    assert found["iou_chance"] == pytest.approx(0.05 / 1.95)


def test_energy_precision_and_iou_by_hand():
    heatmap = np.zeros((10, 10))
    heatmap[2, 2], heatmap[2, 3], heatmap[5, 5] = 0.5, 0.5, 1.0
    heatmap[6, 5] = 0.25
    found = score(heatmap)
    assert found["energy"] == pytest.approx(1 / 2.25)
    # The four highest are two of the lesion and two beside it: 2 of 4, and 2 of 6.
    assert found["precision"] == 0.5
    assert found["iou"] == pytest.approx(2 / 6)
    assert found["pointing"] == 0


def test_a_share_of_a_pixel_counts_as_that_share():
    lesion = np.zeros((10, 10))
    lesion[5, 5] = 0.25
    found = score(single(5, 5), lesion)
    assert (found["energy"], found["area"]) == (0.25, 0.25 / 80)
    assert (found["pointing"], found["precision"]) == (1, 1)


def test_a_map_spread_over_the_retina_is_what_chance_gives():
    found = score(RETINA.astype(float))
    assert found["energy"] == pytest.approx(found["area"])
    assert found["precision"] == pytest.approx(found["precision_chance"])
    assert found["pointing"] == pytest.approx(found["pointing_chance"])
    summary = lesion_agreement.summarize([found] * 3, resamples=50, seed=0)
    for name in lesion_agreement.METRICS:
        assert summary[name]["value"] == pytest.approx(summary[name]["chance"])


def test_a_map_without_evidence_has_missed_everything():
    found = score(np.zeros((10, 10)))
    assert [found[name] for name in ("pointing", "energy", "precision", "iou")] == [
        0
    ] * 4
    assert found["area"] == 4 / 80


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match=r"lesions' shape \(10, 10\)\. Received: \(5"):
        score(np.zeros((5, 5)))
    with pytest.raises(ValueError, match="must have one shape"):
        score(single(1, 1), np.zeros((5, 5)))
    with pytest.raises(ValueError, match="must cover something"):
        score(single(1, 1), np.zeros((10, 10)))
    with pytest.raises(ValueError, match="must hold a photograph"):
        lesion_agreement.summarize([], resamples=10, seed=0)


def test_the_summary_is_a_mean_with_its_bootstrap_interval():
    rng = np.random.default_rng(1)
    hits, energy = rng.integers(0, 2, 40).astype(float), rng.uniform(0, 1, 40)
    area = rng.uniform(0.01, 0.1, 40)
    scores = [
        score(single(3, 3)) | {"pointing": hit, "energy": inside, "area": share}
        for hit, inside, share in zip(hits, energy, area, strict=True)
    ]
    summary = lesion_agreement.summarize(scores, resamples=4000, seed=0)
    assert summary["photographs"] == 40
    assert summary["pointing"]["value"] == pytest.approx(hits.mean())
    assert summary["enrichment"]["value"] == pytest.approx(energy.mean() / area.mean())
    assert summary["enrichment"]["chance"] == 1
    assert summary["energy"]["chance"] == pytest.approx(area.mean())
    # The normal approximation, at 40 photographs.
    half = 1.96 * energy.std() / np.sqrt(40)
    assert summary["energy"]["low"] == pytest.approx(energy.mean() - half, abs=0.015)
    assert summary["energy"]["high"] == pytest.approx(energy.mean() + half, abs=0.015)


def test_one_photograph_has_no_interval():
    summary = lesion_agreement.summarize([score(single(3, 3))], resamples=10, seed=0)
    assert summary["pointing"] == {
        "value": 1.0,
        "low": None,
        "high": None,
        "chance": pytest.approx(12 / 80),
    }


def test_photographs_of_a_patient_are_drawn_together():
    found = [score(single(*place)) for place in ((3, 3), (9, 9), (3, 3), (9, 9))]
    own = lesion_agreement.summarize(found, resamples=2000, seed=0)["precision"]
    # Each patient has a hit and a miss: whoever is drawn, half of all hit.
    both = lesion_agreement.summarize(
        found, resamples=2000, seed=0, patients=["a", "a", "b", "b"]
    )["precision"]
    assert both["low"] == both["value"] == both["high"] == own["value"]
    assert own["low"] < own["value"] < own["high"]
    one = lesion_agreement.summarize(found, resamples=10, seed=0, patients=["a"] * 4)
    assert one["precision"]["low"] is None
    unknown = lesion_agreement.summarize(
        found, resamples=2000, seed=0, patients=[None] * 4
    )
    assert unknown["precision"] == own


@pytest.mark.parametrize("hits", [13, 6])
def test_pointing_has_wilsons_interval(hits):
    places = [(3, 3)] * hits + [(9, 9)] * (13 - hits)
    found = [score(single(*place)) for place in places]
    entry = lesion_agreement.summarize(found, resamples=10, seed=0)["pointing"]
    assert entry["value"] == hits / 13
    expected = stats.binomtest(hits, 13).proportion_ci(method="wilson")
    assert (entry["low"], entry["high"]) == pytest.approx((expected.low, expected.high))
    twice = lesion_agreement.summarize(
        found * 2, resamples=10, seed=0, patients=[*map(str, range(13))] * 2
    )["pointing"]
    assert twice["low"] <= entry["low"] + 0.02  # Seen twice, they are not 26 patients.
