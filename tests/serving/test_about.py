import pytest

from input_pipeline import tasks
from serving import about

POINT = {
    "rule": "specificity at least 0.907",
    "sensitivity": 0.961,
    "specificity": 0.927,
    "n_diseased": 254,
    "n_healthy": 151,
}
CARD = {
    "datasets": ["idrid"],
    "task": tasks.referable().description(),
    "decision": {"operating_point": POINT},
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
    assert about.meaning({"diseased": True}, card) == ""


def test_what_an_answer_means_where_fewer_are_ill():
    # Of 1000, 100 of them ill: 90 found, 180 alarmed; 720 cleared, 10 missed.
    found = about.predictive_values(CARD)
    assert found == pytest.approx({"positive": 90 / 270, "negative": 720 / 730})
    positive = about.meaning({"diseased": True}, CARD)
    assert positive.startswith("60 of 100 test photographs show it. Where 10 of 100 ")
    assert "a positive answer would be right in 33 of 100 cases" in positive
    negative = about.meaning({"diseased": False}, CARD)
    assert "a negative answer would be right in 99 of 100 cases" in negative


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
    fixed = CARD | {"decision": {"operating_point": POINT | {"rule": "fixed"}}}
    assert about.threshold(fixed) == "The threshold was fixed beforehand."


def test_how_far_a_heat_map_can_be_believed():
    assert "Grad-CAM points at lesions was not measured" in about.believed(
        CARD, "grad_cam"
    )
    measured = {
        "method": "grad_cam",
        "photographs": 51,
        "pointing": {
            "hard_exudates": {"value": 0.882, "chance": 0.119},
            "optic_disc": {"value": 0.0, "chance": 0.04},
        },
    }
    card = CARD | {"lesion_agreement": measured}
    text = about.believed(card, "grad_cam")
    assert text.startswith("On 51 photographs in which experts outlined lesions")
    assert text.endswith("beside a hard exudate in 88 of 100 (by chance 12).")
    assert "Occlusion points at lesions was not" in about.believed(card, "occlusion")


def test_figures_keep_the_terms_of_the_trade():
    interval = {"value": 0.932, "low": 0.863, "high": 0.968}
    test = CARD["figures"]["test"] | {"auc": interval}
    columns = about.figures(CARD | {"figures": {"test": test}})
    rows = dict(zip(columns["figure"], columns["test photographs"], strict=True))
    assert rows["sensitivity"] == "0.90 (0.61-0.93)"
    assert rows["AUC"] == "0.93 (0.86-0.97)"
    assert rows["prevalence"] == "0.60"
    assert rows["PPV at prevalence 0.1, calculated"] == "0.33"
    assert columns["validation, which chose"] == [""] * 6
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
