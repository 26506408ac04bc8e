import numpy as np
import pytest
from sklearn import metrics

from evaluation import intervals, scoring
from visualization import comparison_figures, figures

LABELS = (np.arange(40) % 3 == 0).astype(int)


def probabilities(seed):
    generator = np.random.default_rng(seed)
    disease = np.clip(0.25 * LABELS + 0.7 * generator.random(40), 0, 1)
    return np.stack([1 - disease, disease], axis=1)


def scores(labels=LABELS, **seeds):
    return {
        name: intervals.score_with_intervals(
            labels, probabilities(seed), (1,), threshold=0.5, resamples=200
        )
        for name, seed in seeds.items()
    }


def words(figure):
    return [
        text.get_text()
        for axes in figure.axes
        for text in [*axes.texts, axes.title, axes._left_title]
    ]


def test_values_has_a_panel_a_metric_and_a_row_a_run():
    found = scores(a=0, b=1)
    figure = comparison_figures.values(found, ["auc", "brier"])
    assert len(figure.axes) == 2
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["AUC", "Brier (less is better)"]
    entry = found["b"]["metrics"]["auc"]
    text = f"{entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})"
    assert text in words(figure)
    drawn = [tuple(line.get_xdata()) for line in figure.axes[0].lines]
    assert (entry["low"], entry["high"]) in drawn and (entry["value"],) in drawn
    assert figures.to_rgb(figure).shape[1] == 370


def test_a_figure_that_is_undefined_has_its_row():
    figure = comparison_figures.values(scores(0 * LABELS, a=0, b=1), ["auc"])
    assert words(figure).count("undefined") == 2
    assert figures.to_rgb(figure).any()


def pair(first, second, difference, low=None, high=None):
    row = {"difference": difference, "low": low, "high": high}
    return {"first": first, "second": second, "differences": {"auc": row}}


def test_differences_stand_beside_zero_and_the_noise_of_seeds():
    pairs = [pair("a", "b", 0.1, 0.02, 0.18), pair("a", "c", -0.05)]
    noise = {"deviation": 0.02, "reach": 0.06, "runs": 4}
    figure = comparison_figures.differences(pairs, {"auc": noise})
    (axes,) = figure.axes
    (band,) = axes.patches
    assert band.get_extents().transformed(axes.transData.inverted()).intervalx == (
        pytest.approx((-0.06, 0.06))
    )
    assert "+0.100 (+0.020 to +0.180)" in words(figure)
    assert "a less c" in words(figure) and "-0.050" in words(figure)


def test_noise_without_end_leaves_the_differences_legible():
    noise = {"deviation": 3.0, "reach": 40.0, "runs": 2}
    pairs = [pair("a", "b", 0.1, 0.02, 0.18)]
    (axes,) = comparison_figures.differences(pairs, {"auc": noise}).axes
    assert -0.1 < axes.get_xlim()[0] < 0 and 0.18 < axes.get_xlim()[1] < 0.3
    (axes,) = comparison_figures.differences(pairs, {"auc": None}).axes
    assert not axes.patches and axes.get_xlabel() == ""


def test_the_roc_curves_are_scikit_learns_with_the_operating_points():
    scorers = {
        name: scoring.Scorer(LABELS, probabilities(seed), (1,), threshold=0.5)
        for name, seed in (("a", 0), ("b", 1))
    }
    figure = comparison_figures.roc(scorers, scores(a=0, b=1))
    curves = [line for line in figure.axes[0].lines if line.get_label()[0] in "ab"]
    for seed, line in enumerate(curves):
        disease = probabilities(seed)[:, 1]
        expected = metrics.roc_curve(LABELS, disease, drop_intermediate=False)[:2]
        np.testing.assert_allclose(line.get_xydata().T, expected)
        said = disease >= 0.5
        point = (said[LABELS == 0].mean(), said[LABELS == 1].mean())
        dots = [tuple(one.get_xydata()[0]) for one in figure.axes[0].lines]
        assert point in [pytest.approx(dot) for dot in dots]


def test_without_two_groups_the_roc_figure_says_so():
    labels = 0 * LABELS
    scorer = scoring.Scorer(labels, probabilities(0), (1,), threshold=0.5)
    figure = comparison_figures.roc({"a": scorer}, scores(labels, a=0))
    assert "undefined: no photograph with\nthe disease" in words(figure)


def test_long_names_get_the_room_they_need():
    name = "a_run_with_a_name_of_more_letters_than_there_is_room_for"
    short = comparison_figures.values(scores(a=0), ["auc"])
    long = comparison_figures.values(scores(**{name: 0}), ["auc"])
    assert long.get_figheight() > short.get_figheight()
