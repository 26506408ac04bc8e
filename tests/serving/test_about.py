import pytest

from input_pipeline import tasks
from serving import about, card

POINT = {
    "rule": "specificity at least 0.907",
    "sensitivity": 0.961,
    "specificity": 0.927,
    "n_diseased": 254,
    "n_healthy": 151,
}
FIXED = {"operating_point": POINT | {"rule": "fixed"}, "calibration": None}
CARD = {
    "datasets": ["idrid"],
    "task": tasks.referable().description(),
    "decision": {
        "operating_point": POINT,
        "calibration": {"method": "temperature"},
        "chosen_on": "405 validation photographs",
    },
    "photographs": {"train": 0, "valid": 405, "test": 103},
    "figures": {
        "test": {
            "sensitivity": {"value": 0.9, "low": 0.615, "high": 0.927, "n": 60},
            "specificity": {"value": 0.8, "low": 0.733, "high": 0.943, "n": 40},
        }
    },
}


def test_how_often_it_was_right():
    assert about.track_record(CARD) == (
        "On the 100 test photographs of IDRiD, which decided nothing about the model, "
        "it found 90 of 100 with referable diabetic retinopathy (95 % interval 62-93, "
        "from 60 photographs), and let pass 80 of 100 without (95 % interval 73-94, "
        "from 40 photographs)."
    )


@pytest.mark.parametrize(
    "figures", [{}, {"test": {"sensitivity": {"value": None}, "specificity": None}}]
)
def test_without_test_photographs_nothing_is_claimed(figures):
    card = CARD | {"figures": figures}
    assert about.track_record(card) == "It was never examined on test photographs."
    text = about.meaning({"diseased": True}, card)
    assert "calibrated on 405" in text and "Bayes" not in text


def test_what_an_answer_means_where_fewer_are_ill():
    # Of 1000, 100 of them ill: 90 found, 180 alarmed; 720 cleared, 10 missed.
    found = about.predictive_values(CARD)
    assert found == pytest.approx({"positive": 90 / 270, "negative": 720 / 730})
    # 254 of 405 are 0.627.
    positive = about.meaning({"diseased": True}, CARD)
    assert positive.startswith(
        "That number was calibrated on 405 photographs, of which 63 of 100 show "
        "referable diabetic retinopathy, and holds where as many do. Where 10 of 100 "
        "have it, 33 of 100 positive answers would be right, sure and unsure"
    )
    negative = about.meaning({"diseased": False}, CARD)
    assert "99 of 100 negative answers would be right" in negative


def test_who_was_not_calibrated_says_so():
    text = about.meaning({"diseased": True}, CARD | {"decision": FIXED})
    assert text.startswith("That number is not calibrated: a score rather than a")


def test_a_model_that_says_always_the_same_has_no_predictive_values():
    same = {"value": 0.0, "n": 60}, {"value": 1.0, "n": 40}
    figures = dict(zip(("sensitivity", "specificity"), same, strict=True))
    assert about.predictive_values(CARD | {"figures": {"test": figures}}) is None


def test_where_the_threshold_comes_from():
    text = about.threshold(CARD)
    assert text.startswith("The threshold was chosen on 405 other photographs of IDRiD")
    assert "found 96 of 100 with referable" in text
    assert "let pass 93 of 100 without, each judged by networks that had not" in text
    of_one = CARD | {"photographs": {"train": 332, "valid": 81, "test": 103}}
    assert about.threshold(of_one).endswith("without.")
    fixed = CARD | {"decision": FIXED}
    assert about.threshold(fixed) == "The threshold was fixed beforehand."


def test_how_far_a_heat_map_can_be_believed():
    found, cleared = {"diseased": True}, {"diseased": False}
    text = about.believed(CARD, found, "referable", "grad_cam")
    assert "How often Grad-CAM points at lesions is not on this model's card" in text
    measured = {
        "method": "grad_cam",
        "photographs": 51,
        "pointing": {
            "hard_exudates": {"value": 0.882, "chance": 0.119},
            "optic_disc": {"value": 0.0, "chance": 0.04},
        },
    }
    card = CARD | {"lesion_agreement": measured}
    text = about.believed(card, found, "referable", "grad_cam")
    assert text.startswith("On 51 photographs in which experts outlined lesions")
    assert text.endswith("beside a hard exudate in 88 of 100 (by chance 12).")
    text = about.believed(card, found, "referable", "occlusion")
    assert "How often Occlusion points at lesions is not on" in text
    # It was measured of what speaks for the disease, where there are lesions.
    text = about.believed(card, found, "not referable", "grad_cam")
    assert text.startswith("What speaks for 'not referable' is no lesion.")
    text = about.believed(card, cleared, "referable", "grad_cam")
    assert text.startswith("The answer is negative: what is red here")
    text = about.believed(card, cleared, "not referable", "grad_cam")
    assert "exudate" not in text


def test_figures_keep_the_terms_of_the_trade():
    interval = {"value": 0.932, "low": 0.863, "high": 0.968}
    test = CARD["figures"]["test"] | {"auc": interval}
    columns = about.figures(CARD | {"figures": {"test": test}})
    rows = dict(zip(columns["figure"], columns["test photographs"], strict=True))
    assert rows["sensitivity"] == "0.90 (0.61-0.93)"
    assert rows["AUC"] == "0.93 (0.86-0.97)"
    assert rows["prevalence"] == "0.60"
    assert rows["PPV at prevalence 0.1, calculated"] == "0.33"
    chose = "validation, which chose threshold and calibration"
    assert columns[chose] == [""] * 6
    # Where all were ill there is none.
    nothing = {"value": None, "n": 64, "reason": "one class"}
    test = CARD["figures"]["test"] | {"auc": nothing}
    columns = about.figures(CARD | {"figures": {"test": test}})
    assert columns["test photographs"][2] == ""


def test_an_ensemble_of_folds_learnt_from_what_also_validates():
    of_one = {"train": 332, "valid": 81, "test": 103}
    words = about.learnt(CARD | {"photographs": of_one})
    assert words.startswith("It learnt from 332 photographs of IDRiD; 81 others chose")
    words = about.learnt(CARD)
    assert words.startswith("Its networks learnt from 405 photographs of IDRiD, each")
    assert words.endswith(
        "What each said of the others chose threshold and calibration."
    )


def test_a_fixed_threshold_was_chosen_by_nobody():
    ensemble = CARD | {"decision": FIXED}
    assert about.learnt(ensemble).endswith("each from a part of them.")
    of_one = ensemble | {"photographs": {"train": 332, "valid": 81, "test": 103}}
    assert about.learnt(of_one).endswith("; 81 others chose nothing.")
    assert "validation" in about.figures(ensemble)
    calibrated = FIXED | {"calibration": {"method": "temperature"}}
    words = about.learnt(of_one | {"decision": calibrated})
    assert words.endswith("; 81 others chose its calibration.")


def test_what_was_counted_whole_is_said_whole():
    all_found = CARD["figures"]["test"]["sensitivity"] | {"value": 1.0}
    figures = {"test": CARD["figures"]["test"] | {"sensitivity": all_found}}
    assert "found 100 of 100 with" in about.track_record(CARD | {"figures": figures})


def test_a_card_can_be_read(exported):
    read = card.load(exported)
    running = {"variant": "float32", "precision": "f32"}
    rows = about.summary(read.description() | {"running": running})
    assert rows["question"] == "referable diabetic retinopathy: grade >= 2"
    assert rows["threshold"].startswith(f"{read.threshold:.3f} (Youden's index, chosen")
    assert rows["heat maps"] == "Grad-CAM, Occlusion"
    assert rows["sees"] == "the retina, reduced to 64 x 64 pixels"
    assert all(isinstance(text, str) and text for text in rows.values())
