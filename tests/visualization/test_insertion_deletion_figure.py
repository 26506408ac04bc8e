import numpy as np

from visualization import figures, insertion_deletion_figure

CHANGED = [0.0, 0.5, 1.0]
CURVES = {
    "insertion": {"grad_cam": [0.1, 0.8, 0.9], "chance": [0.1, 0.4, 0.9]},
    "deletion": {"grad_cam": [0.9, 0.2, 0.1], "chance": [0.9, 0.5, 0.1]},
}


def test_each_method_has_a_line_in_both_panels_and_chance_is_the_dashed_one():
    figure = insertion_deletion_figure.draw(CHANGED, CURVES, "chance")
    titles = [axes.get_title().partition(":")[0] for axes in figure.axes]
    assert titles == ["insertion", "deletion"]
    for axes, by_method in zip(figure.axes, CURVES.values(), strict=True):
        for line, values in zip(axes.lines, by_method.values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), CHANGED)
            np.testing.assert_array_equal(line.get_ydata(), values)
        assert [one.get_linestyle() for one in axes.lines] == ["-", "--"]
    (legend,) = figure.legends
    assert [one.get_text() for one in legend.get_texts()] == ["grad cam", "chance"]
    assert figures.to_rgb(figure).shape == (460, 900, 3)


def test_many_methods_are_told_apart():
    names = [str(number) for number in range(12)]
    curves = {kind: {one: [0, 0.5, 1] for one in names} for kind in CURVES}
    axes, _ = insertion_deletion_figure.draw(CHANGED, curves, "chance").axes
    looks = {(one.get_color(), one.get_linestyle()) for one in axes.lines}
    assert len(looks) == len(names)
