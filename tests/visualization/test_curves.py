"""Curves: they run through what scikit-learn computes, and say what is undefined."""

import numpy as np
import pytest
import sklearn.metrics

from evaluation import calibration, scoring, uncertainty
from visualization import curves, figures


def scores(n=80, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=n)
    probability = np.clip(generator.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    return labels, np.round(probability, 2 if n < 1000 else 9)


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def dots(figure):
    return {
        line.get_label(): line.get_xydata()[0].tolist()
        for line in figure.axes[0].lines
        if line.get_marker() == "o"
    }


def test_roc_runs_through_scikit_learns_points_and_states_its_area():
    labels, probability = scores()
    figure = curves.roc(labels, probability, "title", interval=(0.7, 0.8765))
    curve = figure.axes[0].lines[0].get_xydata()
    expected = sklearn.metrics.roc_curve(labels, probability, drop_intermediate=False)
    np.testing.assert_allclose(curve, np.stack(expected[:2], axis=1))
    area = sklearn.metrics.roc_auc_score(labels, probability)
    assert legend(figure)[0] == f"AUC {area:.3f} (0.700 to 0.876)"
    counts = f"{labels.sum()} diseased, {(1 - labels).sum()} healthy"
    assert figure.axes[0].get_legend().get_title().get_text() == counts


@pytest.mark.parametrize("draw", [curves.roc, curves.precision_recall])
@pytest.mark.parametrize(
    ("label", "reason"), [(0, "no photograph with"), (1, "no photograph without")]
)
def test_of_one_group_a_curve_says_why_there_is_none(draw, label, reason):
    figure = draw(np.full(3, label), np.array([0.1, 0.5, 0.9]), "title")
    said = " ".join(figure.axes[0].texts[0].get_text().split())
    assert said == f"undefined: {reason} the disease"
    assert not figure.axes[0].lines


@pytest.mark.parametrize("draw", [curves.roc, curves.precision_recall])
def test_bool_labels_are_taken_and_grades_refused(draw):
    draw(np.array([True, False]), np.array([0.2, 0.1]), "")
    with pytest.raises(ValueError, match=r"`labels` must be from 0 to 1\. Received: 4"):
        draw(np.array([0, 4]), np.array([0.2, 0.1]), "")


def test_the_area_under_the_drawn_steps_is_scikit_learns_average_precision():
    labels, probability = scores()
    figure = curves.precision_recall(labels, probability, "title")
    x, y = figure.axes[0].lines[0].get_xydata().T
    area = np.sum(np.diff(x) * y[1:])
    expected = sklearn.metrics.average_precision_score(labels, probability)
    assert area == pytest.approx(expected)
    assert legend(figure) == [
        f"PR AUC {expected:.3f}",
        f"chance, {labels.mean():.3f}",
    ]


def test_dots_mark_what_each_threshold_does():
    labels, probability = scores()
    points = 0.5, 0.25
    roc = dots(curves.roc(labels, probability, "", thresholds=points))
    pr = dots(curves.precision_recall(labels, probability, "", thresholds=points))
    assert list(roc) == list(pr) == ["threshold 0.500", "threshold 0.250"]
    for threshold in points:
        called = probability >= threshold
        name = f"threshold {threshold:.3f}"
        recall = sklearn.metrics.recall_score(labels, called)
        precision = sklearn.metrics.precision_score(labels, called)
        specificity = sklearn.metrics.recall_score(1 - labels, ~called)
        assert roc[name] == pytest.approx([1 - specificity, recall])
        assert pr[name] == pytest.approx([recall, precision])


def test_a_threshold_above_all_has_no_ppv_and_so_no_dot():
    labels, probability = np.array([0, 1]), np.array([0.2, 0.6])
    assert (
        dots(curves.precision_recall(labels, probability, "", thresholds=[0.9])) == {}
    )
    above = dots(curves.roc(labels, probability, "", thresholds=[0.9]))
    assert above == {"threshold 0.900": [0.0, 0.0]}


def test_thousands_of_points_become_those_that_print_tells_apart():
    labels, probability = scores(40_000)
    figure = curves.roc(labels, probability, "")
    x, y = figure.axes[0].lines[0].get_xydata().T
    assert len(x) < 3000
    fpr, tpr, _ = sklearn.metrics.roc_curve(labels, probability)
    assert np.abs(np.interp(fpr, x, y) - tpr).max() < 0.004
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = sklearn.metrics.roc_auc_score(labels, probability)
    assert legend(figure)[0] == f"AUC {area:.3f}"


def test_reliability_draws_the_shares_their_intervals_and_counts():
    diseased = np.array([False, False, True, True, True])
    bins = calibration.reliability(diseased, np.array([0.1, 0.12, 0.11, 0.9, 0.95]))
    before = calibration.reliability(diseased, np.array([0.3, 0.3, 0.3, 0.7, 0.7]))
    figure = curves.reliability(bins, "title", before=before)
    axes, counts = figure.axes
    _, earlier, reported = axes.lines
    np.testing.assert_allclose(earlier.get_xydata(), [[0.3, 1 / 3], [0.7, 1]])
    shares = [(0.11, 1 / 3), (0.9, 1.0), (0.95, 1.0)]
    np.testing.assert_allclose(reported.get_xydata(), shares)
    ends = [bar.get_segments()[0][:, 1].tolist() for bar in axes.collections]
    assert ends == [[one["low"], one["high"]] for one in bins if one["n"]]
    assert sum(bar.get_height() for bar in counts.patches) == 5
    assert len(curves.reliability(bins, "title").axes[0].lines) == 2


def test_referral_draws_the_curve_and_its_start():
    labels, probability = scores()
    both = np.stack([1 - probability, probability], axis=1)
    scorer = scoring.Scorer(labels, both, (1,), threshold=0.5)
    curve = uncertainty.referral_curve(
        scorer, uncertainty.entropy(both), "balanced_accuracy"
    )
    figure = curves.referral(curve, "balanced accuracy", "title")
    start, line = figure.axes[0].lines
    np.testing.assert_allclose(line.get_xdata(), curve["referred"])
    np.testing.assert_allclose(line.get_ydata(), curve["value"])
    expected = sklearn.metrics.balanced_accuracy_score(labels, probability >= 0.5)
    assert start.get_ydata()[0] == pytest.approx(expected)
    low, high = figure.axes[0].get_ylim()
    assert low < min(curve["value"]) and high > 1


def test_other_ways_to_refer_are_drawn_beside_the_first_and_named():
    first = {"referred": [0.0, 0.5], "n": [4, 2], "value": [0.8, 0.9]}
    ways = {
        "spread": first | {"value": [0.8, None]},
        "mutual information": first | {"value": [0.8, 0.2]},
    }
    figure = curves.referral(first, "balanced accuracy", "title", others=ways)
    _, *lines = figure.axes[0].lines
    labels = ["by entropy", "by spread", "by mutual information"]
    assert [line.get_label() for line in lines] == labels
    np.testing.assert_allclose(lines[1].get_ydata(), [0.8, np.nan])
    assert len({line.get_linestyle() for line in lines}) == 3
    assert figure.axes[0].get_ylim()[0] < 0.2


def test_a_referral_curve_that_is_undefined_says_so():
    curve = {"referred": [0.0, 0.5], "n": [2, 1], "value": [None, None]}
    figure = curves.referral(curve, "AUC", "title")
    assert figure.axes[0].texts[0].get_text() == "AUC is undefined"


def epochs(n):
    return [
        {"loss": 1.0 / (number + 1), "val_loss": 0.9, "val_auc": 0.5 + 0.01 * number}
        for number in range(n)
    ]


def test_learning_curves_show_losses_and_metrics_and_the_epoch_that_is_kept():
    figure = curves.learning_curves(epochs(12), "title", kept=7)
    losses, metrics = figure.axes
    assert [line.get_label() for line in losses.lines[:2]] == ["training", "validation"]
    np.testing.assert_allclose(losses.lines[0].get_ydata()[:3], [1, 1 / 2, 1 / 3])
    assert metrics.lines[0].get_label() == "AUC"
    for axes in figure.axes:
        assert axes.lines[-1].get_xdata() == [7, 7]
    assert metrics.get_xlabel() == "epoch; dashed: 7, which is kept"


def test_an_epoch_without_a_metric_leaves_a_gap():
    some = epochs(4)
    del some[1]["val_auc"]
    line = curves.learning_curves(some, "", kept=1).axes[1].lines[0]
    assert np.isnan(line.get_ydata()).tolist() == [False, True, False, False]


@pytest.mark.parametrize("width", [3.6, 6.4])
@pytest.mark.parametrize(
    "name", ["roc", "precision_recall", "reliability", "referral", "learning_curves"]
)
def test_no_text_leaves_a_figure_of_a_phones_width(name, width):
    labels, probability = scores()
    bins = calibration.reliability(labels.astype(bool), probability)
    curve = {"referred": [0.0, 0.5], "n": [80, 40], "value": [0.5, 0.9]}
    title = "drawn photographs, test without conflicts"
    draw = getattr(curves, name)
    figure = {
        "roc": lambda: draw(labels, probability, title, thresholds=[0.5], width=width),
        "precision_recall": lambda: draw(
            labels, probability, title, thresholds=[0.5], width=width
        ),
        "reliability": lambda: draw(bins, title, before=bins, width=width),
        "referral": lambda: draw(curve, "balanced accuracy", title, width=width),
        "learning_curves": lambda: draw(epochs(9), title, kept=3, width=width),
    }[name]()
    pixels = figures.to_rgb(figure)
    assert pixels.shape[1] == pytest.approx(100 * width, abs=1)
    border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == 255).all() for edge in border)
