import numpy as np
import pytest

from evaluation import members, networks

NAN = np.nan


def test_those_answer_that_have_not_trained_on_a_photograph():
    asked = [
        networks.Network("a", None, ["1", "2"]),
        networks.Network("b", None, ["2", "3"]),
    ]
    # Of 2, which both have seen, both are asked; of 4, which none has, too.
    expected = [[False, True, True, True], [True, True, False, True]]
    np.testing.assert_array_equal(
        networks.answering([one.known for one in asked], ["1", "2", "3", "4"]), expected
    )


def test_none_answers_what_may_be_a_copy_of_what_it_trained_on():
    asked = [
        networks.Network("a", None, ["1"], not_drawn=["2"]),
        networks.Network("b", None, ["3"]),
    ]
    np.testing.assert_array_equal(
        networks.answering([one.known for one in asked], ["2", "4"]),
        [[False, True], [True, True]],
    )


def test_the_mean_is_that_of_the_answers():
    of_each = np.array([[[1.0, 3.0], [NAN, NAN]], [[2.0, 5.0], [7.0, 8.0]]], np.float32)
    expected = [[1.5, 4.0], [7.0, 8.0]]
    np.testing.assert_array_equal(members.together(of_each), expected)


def test_of_one_network_the_mean_is_its_answer_to_the_last_bit():
    answer = np.random.default_rng(0).normal(size=(1, 50, 3)).astype(np.float32)
    np.testing.assert_array_equal(members.together(answer), answer[0])


def test_several_answers_are_told_where_every_photograph_has_as_many():
    whole = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    np.testing.assert_array_equal(members.several(whole), whole)
    some = whole.copy()
    some[0, 0] = some[2, 1] = NAN
    expected = [[whole[1, 0], whole[0, 1]], [whole[2, 0], whole[1, 1]]]
    np.testing.assert_array_equal(members.several(some), expected)
    some[1, 0] = NAN
    assert members.several(some) is None  # One answer to the first, two to the other.
    assert members.several(whole[:1]) is None


def test_a_file_gives_back_what_was_written(tmp_path):
    logits = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    logits[0, 1] = NAN
    said = members.Said("valid", ["x", "y", "z"], ["a", "b"], logits)
    members.write_csv(tmp_path / "members.csv", [said])
    (back,) = members.read_csv(tmp_path / "members.csv")
    assert (back.split, back.ids, back.names) == ("valid", said.ids, said.names)
    np.testing.assert_array_equal(back.logits, logits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,split\n", "must have the columns id, split, member"),
        ("", "must have the columns"),
        ("id,split,member,logit 0\n", "and 0 rows"),
        ("id,split,member,logit 0\nx,test,a,nan\n", "line 2 must hold"),
        ("id,split,member,logit 0\nx,test,a,1\nx,test\n", "line 3 must hold"),
    ],
)
def test_a_damaged_file_is_told_with_its_line(tmp_path, text, message):
    path = tmp_path / "members.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        members.read_csv(path)
