import math

import numpy as np
import pytest

from input_pipeline import shortcut

N = 400
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, N)
GROUPS = [f"patient {number}" for number in range(N)]
UNRELATED = {
    "width": RNG.choice([1024, 2048, 4288], N).tolist(),
    "camera": RNG.choice(["Canon CR-1", "Topcon NW8", "Kowa VX-10"], N).tolist(),
}


def test_a_size_that_decides_the_grade_is_found():
    known = UNRELATED | {"height": np.where(LABELS, 2848, 1536).tolist()}
    score = shortcut.score(known, LABELS, GROUPS)
    assert score.auc > 0.99
    assert score.by_column["height"] > 0.99
    assert score.by_column["width"] == pytest.approx(0.5, abs=0.12)
    assert score.reason is None


def test_a_camera_that_decides_the_grade_is_found():
    cameras = [
        ("Canon", "Topcon", None)[label + late]
        for label, late in zip(LABELS, RNG.integers(0, 2, N), strict=True)
    ]
    score = shortcut.score({"camera": cameras}, LABELS, GROUPS)
    # Topcon is half of the healthy and half of the sick, and the others are told:
    # area 1 - 0.5 * 0.5 * 0.5.
    assert score.auc == pytest.approx(0.875, abs=0.03)
    assert score.low < 0.875 < score.high


def test_what_is_not_related_to_the_grade_scores_as_chance():
    score = shortcut.score(UNRELATED, LABELS, GROUPS)
    assert score.auc == pytest.approx(0.5, abs=0.1)
    assert score.low < score.auc < score.high


def test_metadata_that_do_not_vary_score_half_and_say_why():
    known = {"width": [4288] * N, "format": ["JPEG"] * N, "camera": [None] * N}
    score = shortcut.score(known, LABELS, GROUPS)
    assert score == shortcut.Score(
        0.5, None, None, {}, "All photographs have the same metadata."
    )


@pytest.mark.parametrize("labels", [np.zeros(N), np.eye(1, N)[0]])
def test_too_few_of_a_label_are_not_scored(labels):
    score = shortcut.score(UNRELATED, labels, GROUPS)
    assert score.auc is None
    assert score.reason == "Each label must be seen in at least two groups."


def test_a_group_is_never_on_both_sides():
    # Each patient has a size of his own: it tells the grade of his other photographs,
    # and nothing of other patients.
    patients = np.arange(N) // 4
    labels = RNG.permutation(np.arange(N // 4) % 2)[patients]
    sizes = RNG.permutation(N // 4)[patients].tolist()
    together = shortcut.score({"width": sizes}, labels, patients)
    apart = shortcut.score({"width": sizes}, labels, np.arange(N))
    assert together.auc < 0.65 < apart.auc


def test_the_interval_is_hanley_and_mcneils():
    # By hand: Q1 = 0.80668, Q2 = 0.84252, (0.09555 + 50 (Q1 - 0.79745)
    # + 57 (Q2 - 0.79745)) / (51 * 58) = 0.0010568.
    assert shortcut._standard_error(0.893, 51, 58) == pytest.approx(0.03251, abs=1e-5)


def test_probabilities_cover_all_classes_and_sum_to_one():
    known = {"width": [1.0, 2.0, None] * 100, "format": ["JPEG", "PNG", None] * 100}
    labels = np.array([0, 2, 4] * 100)
    # A width, a type and an absence that were never seen.
    others = {"width": [2.0, 9.0, None], "format": ["PNG", "TIFF", None]}
    probabilities = shortcut.fit_predict(known, labels, others, num_classes=5)
    assert probabilities.shape == (3, 5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities[0].argmax() == 2
    assert probabilities[2].argmax() == 4
    assert probabilities[:, [1, 3]].max() == 0


def test_text_where_none_was_learnt_counts_as_unknown():
    known = {"camera": [None] * 40, "width": [1, 2] * 20}
    others = {"camera": ["Canon"], "width": [2]}
    probabilities = shortcut.fit_predict(known, np.array([0, 1] * 20), others, 2)
    assert probabilities[0, 1] > 0.9


def test_a_single_class_is_predicted_for_all():
    probabilities = shortcut.fit_predict(
        {"width": [1, 2]}, np.array([1, 1]), {"width": [3]}, num_classes=3
    )
    np.testing.assert_array_equal(probabilities, [[0, 1, 0]])


def test_hundreds_of_cameras_are_no_error():
    cameras = [f"camera {number}" for number in range(N)]
    score = shortcut.score({"camera": cameras}, LABELS, GROUPS)
    assert math.isfinite(score.auc)


def test_columns_come_from_the_prepared_records(prepared):
    ids = [one.id for one in prepared.photographs[:3]]
    known = shortcut.columns(prepared, ids)
    assert known["width"] == [536] * 3
    assert known["aspect"] == [536 / 356] * 3
    assert known["format"] == ["JPEG"] * 3
    assert known["dataset"] == ["drawn"] * 3
