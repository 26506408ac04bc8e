"""The page of a comparison: what it says, and that it is sound HTML."""

import base64
import re
import xml.etree.ElementTree

import pytest

from evaluation import compare
from input_pipeline import tasks
from tests.evaluation import drawn_runs
from tests.input_pipeline import test_audit_page


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Two seeds, five grades and edema; one has trained on four of the photographs."""
    folder = tmp_path_factory.mktemp("runs")
    names = drawn_runs.ids(60)
    edema = {"task": tasks.macular_edema(), "label": lambda grade: min(grade, 2)}
    folders = [
        drawn_runs.write_run(folder / name, names=names, **one)
        for name, one in {
            "a<b>": {"skill": 3.0},
            "again": {"seed": 1, "skill": 3.0, "bindings": {"train.seed": "1"}},
            "grades": {"task": tasks.icdr_grades(), "label": int, "skill": 0.1},
            "edema": edema | {"train": names[:4]},
        }.items()
    ]
    compare.Comparer(resamples=200).run(folders)
    (path,) = folders[0].glob("compare/*/comparison.html")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def read(page):
    return test_audit_page.Page(page)


def test_the_page_is_one_file_and_escapes_names(page):
    assert not re.search(r"<script|<link|@import|https?://(?!www\.w3)", page)
    assert "<b>" not in page and "a&lt;b&gt;" in page


def test_each_difference_has_its_sentence_and_answer(read):
    # Three pairs of the first question, two metrics each.
    assert read.text.count("Does it mean anything?") == 6
    assert read.text.count("so this is noise. Does it mean anything? No.") == 2
    assert "Does it mean anything? Yes." in read.text


def test_tables_hold_runs_differences_tests_and_joint_figures(read):
    runs = read.tables["Each run, with 95 % intervals"]
    assert runs[0] == [
        "Run",
        "AUC",
        "interval",
        "balanced accuracy",
        "interval",
        "threshold",
    ]
    differences = read.tables["Differences in AUC"]
    assert [row[0] for row in differences[1:]] == [
        "a<b> less again",
        "a<b> less grades",
        "again less grades",
    ]
    assert [row[3] for row in differences[1:]] == ["no", "yes", "yes"]
    caption = "How many photographs each is right about, at its threshold"
    assert all(sum(map(int, row[1:5])) == 56 for row in read.tables[caption][1:])
    joint = read.tables["Photographs by who is right"]
    assert [row[0] for row in joint[1:]] == [
        "a<b> and edema",
        "again and edema",
        "grades and edema",
    ]
    assert all(sum(map(int, row[3:])) == 56 for row in joint[1:])


def test_a_margin_has_sentences_a_table_and_a_method(tmp_path, read):
    runs = {"teacher": {"skill": 3.0}, "student": {"skill": 0.3, "seed": 1}}
    folders = [
        drawn_runs.write_run(tmp_path / name, **one) for name, one in runs.items()
    ]
    compare.Comparer(resamples=200, margin=0.05).run(folders)
    (path,) = folders[0].glob("compare/*/comparison.html")
    judged = test_audit_page.Page(path.read_text(encoding="utf-8"))
    assert "student is inferior to teacher in AUC by more than the margin" in (
        judged.text
    )
    rows = judged.tables["Not inferior to teacher by a margin of 0.05"]
    assert rows[0] == ["Run", "figure", "difference", "interval", "answer"]
    assert rows[1][:2] == ["student", "AUC"] and rows[1][4] == "inferior"
    assert rows[1][2].startswith("-")
    assert "Non-inferiority is judged by the same intervals" in judged.text
    assert "inferior" not in read.text.lower()


def test_what_was_left_out_is_told(read):
    rows = read.tables["Photographs that were left out"][1:]
    assert ["grades", "4", "edema has trained on them"] in rows


def test_every_figure_says_what_it_is_and_is_sound(read):
    images = read.all("img")
    assert [one["alt"].split(" of")[0] for one in images] == [
        "ROC curves",
        "Each run's figures",
        "Differences",
        "ROC curves",
    ]
    for one in images:
        content = base64.b64decode(one["src"].partition(",")[2])
        assert xml.etree.ElementTree.fromstring(content).tag.endswith("svg")


def test_the_contents_lead_to_sections(read):
    targets = [one["href"][1:] for one in read.all("a") if one["href"][0] == "#"]
    ids = {one["id"] for _, one in read.tags if "id" in one}
    assert set(targets) <= ids
    headers = [one for name, one in read.tags if name == "th"]
    assert headers and all(one.get("scope") in ("col", "row") for one in headers)
