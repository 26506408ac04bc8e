import pathlib

import pytest

from input_pipeline import photograph


def make(**labels):
    return photograph.Photograph(id="set/one", path=pathlib.Path("one.jpg"), **labels)


@pytest.mark.parametrize(
    ("grade", "any_dr"), [(0, False), (1, True), (2, True), (3, True), (4, True)]
)
def test_any_dr_follows_from_the_grade(grade, any_dr):
    assert make(grade=grade).any_dr is any_dr


def test_any_dr_stands_alone_where_there_is_no_grade():
    assert make(any_dr=True).any_dr is True
    assert make(any_dr=True).grade is None
    assert make().any_dr is None


@pytest.mark.parametrize("grade", [-1, 5, "2"])
def test_a_grade_outside_the_scale_is_an_error_that_names_the_photograph(grade):
    with pytest.raises(ValueError, match="grade of photograph set/one must be an ICDR"):
        make(grade=grade)


@pytest.mark.parametrize("risk", [-1, 3, "1"])
def test_a_risk_of_macular_edema_outside_0_to_2_is_an_error(risk):
    with pytest.raises(ValueError, match="edema of photograph set/one must be 0, 1 or"):
        make(macular_edema=risk)


def test_any_dr_may_not_contradict_the_grade():
    with pytest.raises(ValueError, match=r"3, so `any_dr` must be True\. Received"):
        make(grade=3, any_dr=False)
