"""Figures: what they show, whether it can be read, and what they refuse."""

import itertools
import subprocess
import sys

import cv2
import numpy as np
import pytest
from matplotlib import colors

from visualization import figures

GRADES = ("no DR", "mild", "moderate", "severe", "proliferative")
LONG = tuple(f"{grade} non-proliferative" for grade in GRADES)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def luminance(color):
    channels = np.array(colors.to_rgb(color))
    linear = ((channels + 0.055) / 1.055) ** 2.4
    linear = np.where(channels <= 0.04045, channels / 12.92, linear)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_importing_figures_loads_neither_pyplot_nor_tensorflow():
    code = (
        "import sys, visualization.figures; "
        "print([m for m in ('matplotlib.pyplot', 'tensorflow') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_confusion_matrix_shows_counts_and_shares_of_the_row():
    matrix = np.array([[1500, 500], [1, 3]])
    figure = figures.confusion_matrix(matrix, ["healthy", "diseased"], "any title")
    shown = texts(figure)
    assert shown[:8] == ["1,500", "75 %", "500", "25 %", "1", "25 %", "3", "75 %"]
    assert {"healthy", "diseased", "any title", "true class"} <= set(shown)


def test_rounding_hides_neither_few_mistakes_nor_few_successes():
    matrix = np.array([[999, 1], [0, 7]])
    shown = texts(figures.confusion_matrix(matrix, ["a", "b"], ""))
    assert shown[:7] == ["999", ">99 %", "1", "<1 %", "0", "7", "100 %"]


def test_an_absent_class_is_drawn_grey_and_without_shares():
    matrix = np.array([[4, 1], [0, 0]])
    figure = figures.confusion_matrix(matrix, ["a", "b"], "")
    assert texts(figure)[4:6] == ["0", "0"]
    assert len(figure.artists) == 4
    for cell in figure.artists[2:]:
        red, green, blue, _ = cell.get_facecolor()
        assert red == green == blue < 1


def test_every_cell_is_legible_whatever_its_colour():
    for share in range(1, 100, 3):
        matrix = np.array([[share, 100 - share], [0, 0]])
        figure = figures.confusion_matrix(matrix, ["a", "b"], "")
        # Two texts in each cell of the first row, a zero in each of the second.
        grounds = np.repeat(figure.artists, [2, 2, 1, 1])
        for text, ground in zip(figure.texts[:6], grounds, strict=True):
            one, other = luminance(text.get_color()), luminance(ground.get_facecolor())
            # WCAG 2 asks 4.5 of text of this size.
            assert (max(one, other) + 0.05) / (min(one, other) + 0.05) >= 4.5


@pytest.mark.parametrize("names", [("no", "yes"), GRADES, LONG])
def test_texts_of_the_confusion_matrix_neither_overlap_nor_leave_the_figure(names):
    matrix = np.full((len(names), len(names)), 12345)
    title = "Validation split of a data set with a long name, referable, epoch 12"
    figure = figures.confusion_matrix(matrix, names, title)
    height, width, _ = figures.to_rgb(figure).shape
    boxes = [text.get_window_extent() for text in figure.texts]
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_confusion_matrix_needs_a_name_for_each_class():
    with pytest.raises(ValueError, match=r"each of the 3 names .* shape=\(2, 2\)\."):
        figures.confusion_matrix(np.eye(2, dtype=int), ["a", "b", "c"], "")


def test_score_distribution_counts_every_photograph_in_its_class():
    labels = np.array([0, 0, 0, 2, 2])
    # A sum of float32 probabilities can pass 1 by a little.
    probability = np.array([0.01, 0.02, 0.62, 1.0, 1.0 + 1e-7])
    figure = figures.score_distribution(
        labels,
        probability,
        ["no DR", "mild", "worse"],
        "title",
        disease_classes=(2,),
        threshold=0.25,
    )
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["worse\nn = 2", "mild\nn = 0", "no DR\nn = 3"]
    filled = [patch for patch in axes.patches if patch.get_fill()]
    tops = [np.flatnonzero(p.get_data().values > p.get_data().baseline) for p in filled]
    assert [top.tolist() for top in tops] == [[0, 12], [19]]
    assert [colors.to_hex(p.get_facecolor()).upper() for p in filled] == [
        figures.HEALTHY_COLOR,
        figures.DISEASE_COLOR,
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-1] == "threshold 0.25"


@pytest.mark.parametrize(
    ("labels", "probability", "message"),
    [
        ([0, 1], [0.5], r"shapes \(2,\) and \(1,\)\. Sum the probabilities"),
        ([0, 5], [0.5, 0.5], r"`labels` must be from 0 to 4\. Received: 5\."),
        ([0, 1], [0.5, 7.2], r"from 0 to 1\. Received: 7\.2\. Logits must go through"),
        ([0, 1], [0.5, np.nan], r"from 0 to 1\. Received: nan\."),
    ],
)
def test_scores_that_do_not_fit_are_refused(labels, probability, message):
    with pytest.raises(ValueError, match=message):
        figures.score_distribution(
            np.array(labels), np.array(probability), GRADES, "", disease_classes=(4,)
        )


@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.5, 0.7, 1])
def test_a_share_has_the_matrixs_colour_and_a_legible_ink(share):
    ground, ink = figures.share_colors(share)
    matrix = np.array([[round(100 * share), round(100 - 100 * share)], [1, 1]])
    figure = figures.confusion_matrix(matrix, ["a", "b"], "")
    assert ground == colors.to_hex(figure.artists[0].get_facecolor())
    light, dark = sorted((luminance(ground), luminance(ink)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def photographs(n, height=40, width=60):
    generator = np.random.default_rng(0)
    return generator.integers(256, size=(n, height, width, 3), dtype=np.uint8)


def test_grid_holds_every_photograph_unchanged_in_reading_order():
    images = photographs(5)
    grid = figures.photograph_grid(images, None, 3)
    # A margin of 6 pixels around each: 3 * 66 + 6 wide, 2 * 46 + 6 high.
    assert grid.shape == (98, 204, 3)
    for number, (top, left) in enumerate(
        [(6, 6), (6, 72), (6, 138), (52, 6), (52, 72)]
    ):
        np.testing.assert_array_equal(
            grid[top : top + 40, left : left + 60], images[number]
        )
    assert np.ptp(grid[52:92, 138:198]) == 0


def test_grid_is_no_wider_than_its_photographs():
    assert figures.photograph_grid(photographs(2), None, 8).shape == (52, 138, 3)
    two_lines = figures.photograph_grid(photographs(2), ["a\nb", "c"], 8)
    assert two_lines.shape == (52 + 2 * 22, 138, 3)


def test_titles_stay_above_their_photograph_however_long():
    images = photographs(2)
    plain = figures.photograph_grid(images, ["", ""], 2)
    titled = figures.photograph_grid(images, ["severe", "proliferative " * 9], 2)
    assert plain.shape == titled.shape
    rows, columns = np.nonzero((plain != titled).any(axis=-1))
    assert rows.max() < plain.shape[0] - 40 - 6
    assert set(np.unique(columns)) <= {*range(5, 67), *range(71, 133)}
    assert columns.min() < 66 and columns.max() > 72


@pytest.mark.parametrize(
    ("images", "titles", "columns", "message"),
    [
        (np.zeros((2, 4, 4, 3)), None, 2, r"must be uint8 .* dtype=float64\."),
        (np.zeros((4, 4, 3), np.uint8), None, 2, r"Received: shape=\(4, 4, 3\)"),
        (np.zeros((0, 4, 4, 3), np.uint8), None, 2, "at least one photograph"),
        (
            np.zeros((2, 4, 4, 3), np.uint8),
            ["a"],
            2,
            r"the 2 photographs\. Received: 1",
        ),
        (np.zeros((2, 4, 4, 3), np.uint8), None, 0, r"least 1\. Received: columns=0"),
    ],
)
def test_grid_refuses_what_is_no_stack_of_photographs(images, titles, columns, message):
    with pytest.raises(ValueError, match=message):
        figures.photograph_grid(images, titles, columns)


def test_to_rgb_gives_pixels_and_saving_gives_the_same_picture(tmp_path):
    figure = figures.confusion_matrix(np.array([[3, 1], [0, 2]]), ["a", "b"], "title")
    pixels = figures.to_rgb(figure)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    path = tmp_path / "new" / "figure.png"
    figures.save(figure, path, dpi=100)
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], pixels)
    first = path.read_bytes()
    figures.save(figure, path, dpi=100)
    assert path.read_bytes() == first
