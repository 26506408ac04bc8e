"""Other datasets beside the run's own: which figures stand side by side."""

from evaluation import sites

POINT = {"threshold": 0.1234, "rule": "sensitivity at least 0.9", "n_diseased": 31}
LOCAL = {"operating_point": POINT, "chosen_on": "100 labelled photographs of far"}
CONTENT = {
    "evaluation": {"splits": ["valid", "test"]},
    "results": {"valid": 1, "test": 2, "far": 3, "far sample": 4, "near sample": 5},
    "others": {"far": {}, "near": {}},
    "recalibrated": {
        "far": {"decision": LOCAL, "results": {"far": 6}},
        "near": {"decision": LOCAL, "results": {}},
    },
}


def test_each_dataset_stands_at_both_thresholds_beside_the_test_photographs():
    assert sites.columns(CONTENT) == {
        "test, in-domain": 2,
        "far": 3,
        "far, own threshold": 6,
        "near": 5,
    }


def test_without_test_photographs_the_last_split_is_home():
    content = CONTENT | {"evaluation": {"splits": ["train", "valid"]}}
    content |= {"recalibrated": {}}
    assert list(sites.columns(content)) == ["valid, in-domain", "far", "near"]


def test_who_is_left_out_is_counted_in_words():
    counts = {"left_out": {"unlabelled": 1234, "known": 4}}
    text = "4 known to the run, 1,234 without a label for the task"
    assert sites.left_out(counts) == text
    assert sites.left_out({"left_out": {}}) == "none"


def test_an_own_threshold_says_on_what_it_was_chosen():
    assert sites.own_threshold({"decision": LOCAL}) == (
        "0.123: sensitivity at least 0.9, chosen on 100 labelled photographs of far, "
        "31 of them diseased."
    )


def test_an_own_threshold_that_was_fixed_was_not_chosen():
    fixed = LOCAL | {"operating_point": POINT | {"rule": "fixed"}}
    assert sites.own_threshold({"decision": fixed}) == "0.123: fixed beforehand."
