"""The report: all sections from the facts of any evaluation, in one file."""

import dataclasses
import html
import re
import shutil

import numpy as np
import pytest

from evaluation import charts, facts, gallery, report, seal
from input_pipeline import records, tasks

SECTIONS = (
    "Summary",
    "Data",
    "Training",
    "All metrics",
    "Confusion matrices",
    "ROC and precision-recall",
    "Calibration",
    "Referral",
    "Scores by grade",
    "Mistakes and successes",
    "Subgroups",
    "Patients",
    "Config",
    "Environment",
    "Test ledger",
)


def words(page):
    page = re.sub(r"<style>.*?</style>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def table(page, caption):
    """Rows of cells of the table with a caption."""
    for found in re.findall(r"<table.*?</table>", page, re.DOTALL):
        head, _, body = found.partition("</caption>")
        if words(head) == caption:
            rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
            cells = r"<t[hd][ >].*?</t[hd]>"
            return [
                [words(one) for one in re.findall(cells, r, re.DOTALL)] for r in rows
            ]
    raise AssertionError(f"no table {caption!r}")


@pytest.fixture
def drawn(drawn_run, audited):
    return facts.read(drawn_run, drawn_run, audited)


@pytest.fixture(scope="module")
def page(drawn_run, audited):
    return report.render(facts.read(drawn_run, drawn_run, audited))


def test_every_section_is_there_and_in_the_contents(page):
    headings = [words(one) for one in re.findall(r"<h2>.*?</h2>", page)]
    assert tuple(headings) == SECTIONS
    ids = re.findall(r'<section id="([\w-]+)">', page)
    links = re.findall(r'<li><a href="#([\w-]+)">', page)
    assert ids == links and len(ids) == len(SECTIONS)


def test_the_page_needs_nothing_else(page):
    assert not re.search(r"<script|<link|@import|url\(|https?://", page)
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert sources and all(one.startswith("data:image/") for one in sources)
    assert len(page) < 5_000_000


def test_every_picture_has_words_and_every_id_is_one_of_a_kind(page):
    pictures = re.findall(r"<img[^>]*>", page)
    alts = [re.search(r'alt="([^"]+)"', one) for one in pictures]
    assert all(alts)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for label in re.findall(r'aria-labelledby="([^"]+)"', page):
        assert label in ids


def test_the_rule_is_spelt_out_in_the_summary(page):
    text = words(page)
    assert (
        "The question: referable diabetic retinopathy: grade >= 2, moderate or worse. "
        "Grades are those of the International Clinical Diabetic Retinopathy scale: "
        "0 none, 1 mild, 2 moderate, 3 severe, 4 proliferative. Macular edema plays no "
        "part in it."
    ) in text
    assert "at least 0.500 , a threshold that was fixed beforehand." in text
    assert "On 12 test photographs of drawn, of which 7 are diseased, with 95 %" in text


def test_the_tables_have_the_figures_of_the_metrics(page, drawn):
    rows = {
        row[0]: row[1:]
        for row in table(page, "Every metric of drawn, with 95 % intervals")
    }
    assert rows["Metric"] == ["test", "valid"]
    assert rows["photographs"] == ["12", "8"]
    for name in drawn.scores["metrics"]:
        cells = rows[drawn.label(name, drawn.scores)]
        for part, cell in zip(("test", "valid"), cells, strict=True):
            entry = drawn.content["results"][part]["metrics"][name]
            if entry["value"] is None:
                assert cell == f"undefined: {entry['reason']}"
            elif entry["low"] is None:
                assert cell == f"{entry['value']:.3f} no interval: {entry['reason']}"
            else:
                low, high = f"{entry['low']:.3f}", f"{entry['high']:.3f}"
                assert cell == f"{entry['value']:.3f} {low} to {high}"


def test_metadata_alone_stand_beside_the_model(page, drawn):
    rows = table(page, "The same beside each other, on drawn")
    assert rows[0] == ["Metric", "test", "metadata alone"]
    alone = {row[0]: row[-1] for row in rows[1:]}
    assert alone["AUC"] == f"{drawn.scores['metadata_alone']['auc']:.3f}"
    assert alone["sensitivity"] == "-"


def test_the_data_are_counted_by_split_and_grade(page):
    rows = table(page, "Photographs of drawn by split and grade")
    # Fold 0 of 5 of 14, 2, 14, 6 and 4 training drawings validates; 4, 1, 4, 2, 1 test.
    assert rows[3][:8] == ["test", "4", "1", "4", "2", "1", "0", "12"]
    both = np.array([[int(cell) for cell in row[1:8]] for row in rows[1:3]]).sum(axis=0)
    assert both.tolist() == [14, 2, 14, 6, 4, 0, 40]


def test_a_confusion_matrix_has_counts_and_shares(page, drawn):
    matrix = drawn.scores["confusion_matrix"]
    rows = table(page, "drawn, test")
    assert rows[0] == ["", "not referable", "referable"]
    for name, counts, row in zip(rows[0][1:], matrix, rows[1:], strict=True):
        assert row[0] == name
        assert [cell.split()[0] for cell in row[1:]] == [str(one) for one in counts]
        share = 100 * counts[0] / sum(counts)
        assert row[1].split(" ", 1)[1] == f"{share:.0f} %"


def test_config_environment_and_ledger_are_shown(page):
    text = words(page)
    assert "What was asked train.epochs = 2" in text
    assert "What was used, defaults included train.seed = 0" in text
    assert "20 epochs in 2.0 minutes. The model has the weights of epoch 17" in text
    assert "python 3.11.7" in text and "devices CPU, GPU" in text
    assert table(page, "Starts of the run") == [
        ["Time", "Tensorflow", "Command"],
        ["2026-01-01 10:00:00 UTC", "2.20.0", "main.py '--gin_file=my file.gin'"],
        ["2026-01-02 10:00:00 UTC", "2.21.0", "main.py '--gin_file=my file.gin'"],
    ]
    assert "This run has read them once ." in text
    assert table(page, "Readings of test photographs") == [
        ["Number", "When", "Mode", "Split", "photographs", "By"],
        ["1", "2026-01-02 11:12:13 UTC", "run", "test", "12", "weights abababababab"],
    ]


def test_the_ledger_shows_which_config_read_where_it_was_noted(drawn):
    (entry,) = drawn.ledger
    later = entry | {"config_sha256": "cd" * 32, "mode": "evaluate"}
    text = report.render(dataclasses.replace(drawn, ledger=[entry, later]))
    rows = table(text, "Readings of test photographs")
    assert [row[-1] for row in rows] == ["Config", "not noted", "cdcdcdcdcdcd"]
    assert "This run has read them 2 times ." in words(text)


def test_the_same_facts_give_the_same_text(page, drawn):
    assert report.render(drawn) == page


def test_only_the_photographs_that_are_shown_are_read(drawn, monkeypatch):
    read, read_image = [], records.Prepared.read_image

    def note(self, photograph_id):
        read.append(photograph_id)
        return read_image(self, photograph_id)

    monkeypatch.setattr(records.Prepared, "read_image", note)
    report.render(drawn)
    assert sorted(set(read)) == sorted(report.shown(drawn))


def test_heat_maps_stand_beside_their_photographs(drawn):
    one, *_ = report.shown(drawn)
    picture = np.full((64, 64, 3), 80, np.uint8)
    heatmap = gallery.HeatMap(picture, "Grad-CAM: what speaks for <illness>")
    text = report.render(drawn, {one: heatmap}.get)
    words = "Grad-CAM: what speaks for &lt;illness&gt;"
    assert text.count(f'alt="Heat map of {one}. {words}"') == 1
    assert text.count(f"\n{words}<br>") == 1
    assert "Beside each is its heat map" in text
    assert "Beside each is its heat map" not in report.render(drawn)
    assert text.count('alt="Heat map of') == 1
    assert len(re.findall(r'<img class="photograph"', text)) > 1


def test_the_written_report_is_sealed_and_has_a_card_beside_it(
    drawn_run, audited, tmp_path
):
    folder = shutil.copytree(drawn_run, tmp_path / "run")
    report.write(facts.read(folder, folder, audited), folder)
    text = (folder / "report.html").read_text()
    assert seal.read(text) == {
        "metrics": records.file_sha256(folder / "metrics.json"),
        "predictions": records.file_sha256(folder / "predictions.csv"),
        "report": seal.text_sha256(text),
    }
    card = (folder / "model_card.md").read_text()
    assert card.startswith("# Model card: run\n")
    assert not list(folder.glob("*.partial"))


def test_predictions_of_no_run_are_reported_without_a_card(made_up, tmp_path):
    labels, disease = [0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.9] * 5
    report.write(made_up(labels, disease), tmp_path)
    text = words((tmp_path / "report.html").read_text())
    for expected in (
        "The photographs themselves are not at hand",
        "How the model was trained is not known here.",
        "The predictions came without a config.",
        "Where the predictions were made is not known.",
        "Nobody kept a ledger",
        "far does not say whose eye a photograph shows",
        "Not calibrated: nobody asked for it.",
        "Scores by class",
    ):
        assert expected in text
    assert not (tmp_path / "model_card.md").exists()


def test_test_and_test_without_conflicts_stand_beside_each_other(made_up):
    known = {"disputed": ["1"] + [""] * 19}
    found = made_up([0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.9] * 5, known=known)
    rows = table(report.render(found), "The same beside each other, on far")
    assert rows[0] == ["Metric", "test", "test without conflicts"]
    assert rows[1] == ["photographs", "20", "19"]


def test_a_split_of_one_class_has_reasons_in_place_of_figures(made_up):
    text = words(report.render(made_up([1] * 6, [0.2, 0.6, 0.7, 0.8, 0.9, 0.9])))
    assert "AUC undefined no photograph without the disease" in text
    assert "not referable 0 none there 0 none there" in text
    assert "False alarms Healthy, but called diseased. There are none." in text


def test_five_grades_have_a_matrix_of_grades_and_one_of_the_disease(made_up):
    probabilities = np.full((10, 5), 0.05) + 0.75 * np.eye(5)[[*range(5)] * 2]
    found = made_up(
        [*range(5)] * 2, probabilities=probabilities, task=tasks.icdr_grades()
    )
    text = report.render(found)
    assert table(text, "far, test, by class")[5] == [
        *("4 proliferative", "0 0 %", "0 0 %", "0 0 %", "0 0 %", "2 100 %")
    ]
    assert table(text, "far, test, by disease")[2] == ["diseased", "0 0 %", "6 100 %"]
    assert "Of the classes" in words(text) and "Of the disease" in words(text)


def test_a_run_without_test_photographs_is_reported_on_its_validation(
    write_run, audited, tmp_path
):
    folder = write_run(tmp_path, tasks.referable(), splits=("valid",))
    text = words(report.render(facts.read(folder, folder, audited)))
    assert "On 8 validation photographs of drawn" in text
    assert "This run has read them never ." in text
    assert "The validation photographs helped to choose the model" in text


def test_patients_have_figures_of_their_own(made_up):
    patients = [f"p{number // 2}" for number in range(20)]
    found = made_up(
        [0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.9] * 5, known={"patient": patients}
    )
    rows = table(report.render(found), "Patients of far")
    # The worse of both eyes: of five patients each 0.6 of the healthy, 0.9 of the ill.
    assert rows[1][:3] == ["greatest", "10", "5"]
    assert rows[1][3].startswith("1.000 ") and rows[1][4].startswith("0.000 ")


def test_one_photograph_a_patient_needs_no_figures_by_patient(made_up):
    found = made_up([0, 1], [0.1, 0.9], known={"patient": ["a", "b"]})
    assert "nobody has more than one photograph here" in words(report.render(found))


def test_subgroups_stand_in_their_order(made_up):
    brightness = [str(number) for number in range(30)]
    found = made_up([0, 1] * 15, [0.3, 0.6] * 15, known={"brightness": brightness})
    rows = table(report.render(found), "By brightness, on far")
    assert [row[0] for row in rows[1:]] == [
        "lowest third",
        "middle third",
        "highest third",
    ]


def test_a_chosen_threshold_is_shown_beside_even_odds(made_up):
    found = made_up(
        [0, 0, 1, 1] * 5,
        [0.1, 0.45, 0.42, 0.9] * 5,
        threshold=0.44,
        rule="Youden's index",
        promised=(0.9, 0.8),
    )
    text = report.render(found)
    assert "chosen on 20 validation photographs: Youden's index. Pr" in words(text)
    rows = {row[0]: row[1:] for row in table(text, "Operating points on far")}
    assert rows["20 validation photographs"] == ["0.440", "0.900", "0.800"]
    assert [cell.split()[0] for cell in rows["test"]] == ["0.440", "0.500", "0.500"]
    assert rows["test, at even odds"] == ["0.500", "0.500", "1.000"]


def test_names_of_others_are_text_and_nothing_else(made_up):
    found = made_up([0, 1], [0.1, 0.9], known={"dataset": ["<b>&", "<b>&"]})
    text = report.render(found)
    assert "<b>" not in text and "&lt;b&gt;&amp;" in text


def test_the_card_and_the_report_agree(page, drawn_run, audited, tmp_path):
    found = facts.read(drawn_run, drawn_run, audited)
    auc = found.scores["metrics"]["auc"]
    cell = f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
    assert f"| AUC | {cell} |" in report.model_card.render(found)


def test_what_is_shown_are_the_galleries_photographs_once(drawn):
    ids = [one for group in gallery.choose(drawn, "test") for one in group.ids]
    assert report.shown(drawn) == list(dict.fromkeys(ids))


@pytest.fixture(scope="module")
def on_a_site(elsewhere, tmp_path_factory):
    """Facts of a run that was evaluated on another site too."""
    folder = tmp_path_factory.mktemp("elsewhere")
    audited = elsewhere(folder, ("valid", "test"))
    return facts.read(folder / "run", folder / "run", audited)


@pytest.fixture(scope="module")
def site_page(on_a_site):
    return report.render(on_a_site)


def test_another_site_stands_beside_the_runs_own_photographs(site_page, on_a_site):
    headings = [words(one) for one in re.findall(r"<h2>.*?</h2>", site_page)]
    assert headings == ["Summary", "Other datasets", *SECTIONS[1:]]
    caption = "In-domain and other photographs side by side, with 95 % intervals"
    head, *rows = table(site_page, caption)
    assert head == ["Metric", "test, in-domain", "site", "site, own threshold"]
    rows = {row[0]: row[1:] for row in rows}
    results = on_a_site.content["results"]
    local = on_a_site.content["recalibrated"]["site"]
    n = results["site"]["n"]
    assert rows["photographs"] == ["12", str(n), str(n)]
    point = local["decision"]["operating_point"]
    assert rows["threshold"] == ["0.500", "0.500", f"{point['threshold']:.3f}"]
    columns = results["test"], results["site"], local["results"]["site"]
    for cell, one in zip(rows["sensitivity"], columns, strict=True):
        value = one["metrics"]["sensitivity"]["value"]
        assert cell.startswith("undefined" if value is None else f"{value:.3f} ")
    assert (
        f"site 's own threshold {point['threshold']:.3f}: {point['rule']}, chosen on "
        f"6 labelled photographs of site, {point['n_diseased']} of them diseased."
    ) in words(site_page)


def test_who_is_left_out_of_another_site_is_named(site_page, on_a_site):
    (row,) = table(site_page, "Whose photographs, and who is left out")[1:]
    n = on_a_site.content["results"]["site"]["n"]
    # 16 are there, one without a grade; six patients are in the sample.
    drawn = 16 - 1 - 6 - n
    assert row == [
        *("site", "all of it", str(n), "6"),
        f"1 without a label for the task, {drawn} of patients in the sample",
    ]
    why = dict(table(site_page, "Left out of site")[1:])
    assert len(why) == 1 + drawn
    assert why["site/ p1_right"] == "without a label that the task asks for"


def test_photographs_of_another_site_are_shown_with_their_grades(
    site_page, on_a_site, monkeypatch
):
    read, read_image = [], records.Prepared.read_image

    def note(self, photograph_id):
        read.append(photograph_id)
        return read_image(self, photograph_id)

    monkeypatch.setattr(records.Prepared, "read_image", note)
    assert report.render(on_a_site) == site_page
    assert sorted(set(read)) == sorted(report.shown(on_a_site))
    assert {one.partition("/")[0] for one in read} == {"drawn", "site"}
    pictures = re.findall(
        r'<img class="photograph" src="data:\S+" alt="([^"]+)"', site_page
    )
    assert {f"Photograph {one}" for one in read} == set(pictures)
    assert "Found on site" in words(site_page)
    rows = {
        row[0]: row
        for row in table(site_page, "Photographs of drawn and site by split and grade")[
            1:
        ]
    }
    labels = [int(one) for one in rows["site"][1:6]]
    diseased = on_a_site.content["results"]["site"]["disease_matrix"][1]
    assert sum(labels[2:]) == sum(diseased) and labels[1] == labels[4] == 0


def test_a_site_that_is_no_longer_prepared_has_words_alone(on_a_site, caplog):
    (site,) = on_a_site.audited.collection.folders[0].folder.parent.glob("site-*")
    hidden = site.rename(site.with_name("hidden"))
    try:
        run = on_a_site.audited.collection.folders[0].folder.parent.parent / "run"
        found = facts.read(run, run, on_a_site.audited)
    finally:
        hidden.rename(site)
    assert "'site' no more as it was: nothing of it is shown" in caplog.text
    text = report.render(found)
    assert 'alt="Photograph drawn/' in text and 'alt="Photograph site/' not in text


def test_referral_has_a_curve_for_each_way_to_tell_who_is_certain(site_page, on_a_site):
    rows = table(
        site_page, "Mean gain where up to half are referred, on drawn and site"
    )
    assert rows[0] == [
        "Photographs",
        "by entropy",
        "by spread",
        "by mutual information",
    ]
    gains = {row[0]: row[1:] for row in rows[1:]}
    scores = on_a_site.content["results"]["test"]
    curves = [scores["referral"], *scores["referral_by"].values()]
    expected = [
        "undefined" if c["gain"] is None else f"{c['gain']:.3f}" for c in curves
    ]
    assert gains["test"] == expected
    chart = charts.referral(on_a_site, "test")
    assert "By spread: 0 % referred: " in chart.alt
    assert "By mutual information: 0 % referred: " in chart.alt


def test_without_its_own_test_photographs_the_site_comes_first(elsewhere, tmp_path):
    audited = elsewhere(tmp_path, ("valid",))
    found = facts.read(tmp_path / "run", tmp_path / "run", audited)
    text = words(report.render(found))
    assert found.headline == "site"
    n = found.scores["n"]
    assert f"On {n} photographs of site" in text
    assert "The figures hold for photographs like those of site" in text
