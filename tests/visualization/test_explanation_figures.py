import cv2
import numpy as np
import pytest

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
        "a title",
        lesions={"hard_exudates": lesion},
    )
    assert texts(figure) == ["photograph", "grad cam", "occlusion: no evidence"]
    assert figure.get_suptitle() == "a title"
    (legend,) = figure.legends
    assert [one.get_text() for one in legend.get_texts()] == ["hard exudates"]
    assert figures.to_rgb(figure).shape[2] == 3


def test_a_gallery_has_the_map_below_its_photograph():
    heatmaps = np.zeros((2, 64, 64))
    grid = explanation_figures.gallery(
        np.stack([IMAGE, IMAGE]), heatmaps, ["a", "b"], columns=2
    )
    rows = [
        place
        for place in range(grid.shape[0] - 63)
        if (grid[place : place + 64, 6:70] == IMAGE).all()
    ]
    assert len(rows) == 2 and rows[1] - rows[0] == 64


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
