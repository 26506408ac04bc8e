import numpy as np
import pytest

from visualization import figures, search_figures


def texts(axes):
    return [one.get_text() for one in axes.get_yticklabels()]


def test_trials_stand_with_their_intervals_the_best_first():
    figure = search_figures.trials(
        ["trial 3", "trial 0"], [0.9, 0.8], [(0.7, 0.95), None], "AUC", noise=0.05
    )
    (axes,) = figure.axes
    assert texts(axes) == ["trial 3", "trial 0"]
    first, last = axes.get_ylim()
    assert first > last  # Counted from above.
    lines = [one.get_xdata().tolist() for one in axes.lines]
    assert lines == [[0.7, 0.95], [0.9], [0.8]]
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((0.85, 0.1))
    assert axes.get_xlabel() == "lines: 95 % intervals; grey: what seeds alone do"


def test_changes_stand_beside_a_line_at_none():
    figure = search_figures.changes(
        ["learning_rate = 0.001", "training_stream.augment = @strong/augment()"],
        [0.01, -0.02],
        [(-0.01, 0.03), None],
        "AUC",
    )
    (axes,) = figure.axes
    assert texts(axes) == [
        "learning_rate = 0.001",
        "training_stream.augment =\n@strong/augment()",
    ]
    zero, ends, *dots = [one.get_xdata() for one in axes.lines]
    assert (list(zero), list(ends)) == ([0, 0], [-0.01, 0.03])
    assert [list(one) for one in dots] == [[0.01], [-0.02]]
    assert axes.get_xlabel().startswith("change of AUC")


def test_of_many_trials_the_best_are_drawn():
    names = [f"trial {number}" for number in range(60)]
    values = np.linspace(0.9, 0.5, 60).tolist()
    figure = search_figures.trials(names, values, [None] * 60, "AUC")
    assert texts(figure.axes[0]) == names[:40]


def test_a_parameter_is_drawn_to_its_scale():
    columns = {
        "learning_rate": [1e-3, 1e-2, 1e-4],
        "batch_size": [4, 2, 8],
        "loss": ["@focal()", "@focal()", "@huber()"],
        "clip": [True, False, True],
    }
    figure = search_figures.parameters(columns, [0.9, 0.8, 0.7], "AUC")
    rate, size, loss, clip = figure.axes
    assert [one.get_xscale() for one in figure.axes] == ["log", *["linear"] * 3]
    assert [one.get_text() for one in rate.get_xticklabels()] == (
        ["0.0001", "0.001", "0.01"]
    )
    assert size.get_xticks().tolist() == [2, 4, 8]
    assert [one.get_text() for one in loss.get_xticklabels()] == (
        ["@focal()", "@huber()"]
    )
    assert [one.get_text() for one in clip.get_xticklabels()] == ["False", "True"]
    every, best = size.lines  # The best on top of all.
    assert every.get_xydata().tolist() == [[4, 0.9], [2, 0.8], [8, 0.7]]
    assert best.get_xydata().tolist() == [[4, 0.9]]


def test_panels_of_a_single_trial_fill_their_figure():
    figure = search_figures.parameters({"rate": [1e-3], "size": [4]}, [0.9], "AUC")
    figures.to_rgb(figure)
    upper, lower = (one.get_position() for one in figure.axes)
    assert upper.height == pytest.approx(lower.height, abs=0.01) and lower.height > 0.3


def test_importance_is_said_in_percent():
    figure = search_figures.importance({"learning_rate": 0.75, "batch_size": 0.25})
    (axes,) = figure.axes
    assert texts(axes) == ["learning_rate", "batch_size"]
    assert [one.get_text() for one in axes.texts] == ["75 %", "25 %"]
    assert [one.get_width() for one in axes.patches] == [0.75, 0.25]
