import cv2
import numpy as np
import pytest
from matplotlib import colors

from visualization import explanation_figures, figures

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def texts(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_each_method_stands_beside_the_photograph_and_none_is_hidden():
    blob = np.zeros((64, 64))
    blob[20:40, 20:40] = 1
    lesion = np.zeros((64, 64), bool)
    lesion[5:9, 5:9] = True
    figure = explanation_figures.side_by_side(
        IMAGE,
        {"grad_cam": blob, "occlusion": np.zeros((64, 64))},
        "a title\nof two lines",
        lesions={"hard_exudates": lesion, "optic_disc": np.zeros((64, 64), bool)},
        note="a note",
    )
    assert texts(figure) == ["photograph", "grad cam", "occlusion: no evidence"]
    written = [one.get_text() for one in figure.texts]
    assert written == ["a title", "of two lines", "a note"]
    (legend,) = figure.legends
    assert [one.get_text() for one in legend.get_texts()] == [
        "half of the map's maximum",
        "its maximum",
        "outlined by an expert: hard exudates",
    ]
    # The ring is about the middle of the blob; where nothing is, there is none.
    marked, empty = (axes.lines for axes in figure.axes[1:3])
    assert [one.get_xydata().tolist() for one in marked] == [[[29.5, 29.5]]] * 2
    assert not empty
    assert figures.to_rgb(figure).shape[2] == 3


def extent(contour):
    """Left, top, right and bottom of a contour's lines."""
    return contour.get_datalim(contour.axes.transData).extents.tolist()


def test_half_of_the_maximum_and_lesions_are_outlined_and_the_colours_explained():
    blob = np.zeros((64, 64))
    blob[20:40, 24:40] = 1
    lesion = np.zeros((64, 64), bool)
    lesion[5:9, 5:11] = True
    figure = explanation_figures.side_by_side(
        IMAGE,
        {"grad_cam": blob, "occlusion": np.zeros((64, 64))},
        "a title",
        lesions={"hard_exudates": lesion},
    )
    *panels, bar = figure.axes
    drawn = [
        [
            (colors.to_hex(one.get_edgecolor()[0]), extent(one))
            for one in axes.collections
        ]
        for axes in panels
    ]
    # Midway between the pixels within and those around them.
    expert = ("#ffffff", [4.5, 4.5, 10.5, 8.5])
    half = ("#000000", [23.5, 19.5, 39.5, 39.5])
    assert drawn == [[expert], [expert, half], [expert]]
    assert bar.get_ylabel() == "evidence, of its maximum"
    assert bar.get_ylim() == (0, 1)
    assert bar.get_position().x0 > max(one.get_position().x1 for one in panels)


def test_a_gallery_has_the_map_below_its_photograph():
    heatmaps = np.zeros((2, 64, 64))
    heatmaps[:, 5, 5] = 1e-9  # Evidence, though none that could be seen.
    grid = explanation_figures.gallery(
        np.stack([IMAGE, IMAGE]), heatmaps, ["a", "b"], columns=2
    )
    rows = [
        place
        for place in range(grid.shape[0] - 63)
        if (grid[place : place + 64, 6:70] == IMAGE).all()
    ]
    assert len(rows) == 2 and rows[1] - rows[0] == 64


def test_a_gallery_says_which_map_has_no_evidence():
    heatmaps = np.zeros((2, 64, 64))
    heatmaps[0, 5, 5] = 1
    both = np.stack([IMAGE, IMAGE])
    grid = explanation_figures.gallery(both, heatmaps, ["a\nb", "a\nb"])
    plain = figures.photograph_grid(np.hstack([both, both]), ["a\nb\nc"] * 2, 6)
    assert grid.shape == plain.shape
    third = grid[6 + 44 : 6 + 66]
    assert (third[:, 6:70] == 16).all() and (third[:, 76:140] > 200).any()


@pytest.mark.parametrize(("side", "smoothed"), [(1, True), (20, False), (0, False)])
def test_only_a_map_of_single_pixels_is_smoothed(side, smoothed):
    heatmap = np.zeros((64, 64))
    heatmap[10 : 10 + side, 10 : 10 + side] = 1
    shown, was = explanation_figures.visible(heatmap)
    assert was == smoothed
    assert shown.max() == pytest.approx(heatmap.max())
    assert (shown > 0).sum() > side**2 if smoothed else (shown == heatmap).all()


def test_a_gallery_is_written_as_it_is(tmp_path):
    explanation_figures.save(IMAGE, tmp_path / "new" / "a.png")
    again = cv2.imread(str(tmp_path / "new" / "a.png"))[..., ::-1]
    np.testing.assert_array_equal(again, IMAGE)
