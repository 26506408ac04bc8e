"""Another site: eight patients of its own, and photographs that the run knows."""

import csv
import hashlib
import json
import shutil

import cv2
import numpy as np
import pytest

from evaluation import external
from input_pipeline import photograph, prepare, tasks
from input_pipeline.datasets import csv_file
from tests.evaluation import drawn_sites, trained_runs
from tests.input_pipeline.datasets import trees

ON_SITE = ("evaluate.on = [@site/csv_file()]", "site/csv_file.name = 'site'")
ON_MIXED = ("evaluate.on = [@mixed/csv_file()]", "mixed/csv_file.name = 'mixed'")


@pytest.fixture(scope="module")
def start(tmp_path_factory, own_prepared_dir):
    """Does what a command does: `start("run", folder, "train.seed = 3", ...)`."""
    file = trained_runs.write_gin(tmp_path_factory.mktemp("gin"))

    def run(mode, folder, *lines, dry_run=False, **data_dirs):
        return trained_runs.start(
            mode,
            folder,
            *lines,
            gin_file=file,
            data_dirs=data_dirs,
            prepared_dir=own_prepared_dir,
            dry_run=dry_run,
        )

    return run


@pytest.fixture(scope="module")
def finished_once(start, trained_run, tmp_path_factory):
    """A finished run, not to be changed."""
    folder = shutil.copytree(trained_run, tmp_path_factory.mktemp("runs") / "tiny")
    start("run", folder)
    return folder


@pytest.fixture
def finished(finished_once, tmp_path):
    """A finished run of one test's own."""
    return shutil.copytree(finished_once, tmp_path / "runs" / "tiny")


@pytest.fixture(scope="module")
def stored(finished_once):
    return json.loads((finished_once / "split.json").read_text())


@pytest.fixture(scope="module")
def originals(idrid_like):
    """Id -> the file of each of the run's own photographs."""
    folder = idrid_like / "B. Disease Grading" / "1. Original Images"
    return {
        f"drawn/{half}/{path.stem}": path
        for half, name in (("train", "a. Training Set"), ("test", "b. Testing Set"))
        for path in (folder / name).glob("*.jpg")
    }


@pytest.fixture(scope="module")
def mixed(drawn_site, originals, stored, tmp_path_factory):
    """The same with copies of the run's photographs, and where they are from."""
    folder = shutil.copytree(drawn_site[0], tmp_path_factory.mktemp("mixed") / "site")
    train, valid, test = (stored[name][0] for name in ("train", "valid", "test"))
    renamed = next(  # A number that the test half has too says nothing.
        one for one in reversed(stored["train"]) if int(one[-3:]) > 12
    )
    shutil.copy(originals[train], folder / "bytes.jpg")
    image = cv2.imread(str(originals[valid]))
    image = cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "encoded.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 70])
    export = f"{renamed.rpartition('/')[2]}_jpg.rf.{'0a' * 16}.jpg"
    other = trees.photograph(2, (280, 200), np.random.default_rng(77))
    cv2.imwrite(str(folder / export), other[..., ::-1])
    shutil.copy(originals[test], folder / "of_test.jpg")
    fellow = trees.photograph(0, (300, 220), np.random.default_rng(78))
    cv2.imwrite(str(folder / "fellow.jpg"), fellow[..., ::-1])
    drawn_sites.write_list(
        folder,
        [
            *drawn_site[1],
            ("bytes.jpg", 2, "known", "left", ""),
            ("fellow.jpg", 0, "known", "right", ""),
            ("encoded.jpg", 2, "", "", ""),
            (export, 2, "", "", ""),
            ("of_test.jpg", 2, "", "", ""),
        ],
    )
    links = {
        "mixed/bytes": f"a copy of {train}",
        "mixed/fellow": f"linked by copies and patients to {train}",
        "mixed/encoded": f"a copy of {valid}",
        f"mixed/{export.removesuffix('.jpg')}": f"a copy of {renamed}",
    }
    return folder, links


def state(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def results(finished):
    (folder,) = (finished / "evaluate").iterdir()
    return folder, json.loads((folder / "metrics.json").read_text())


def rows_of(folder):
    return trained_runs.read_csv(folder / "predictions.csv")


def ledger(run):
    return [json.loads(one) for one in (run / "ledger.jsonl").read_text().splitlines()]


def test_what_the_run_knows_is_left_out_by_name_with_the_reason(start, finished, mixed):
    folder, links = mixed
    said = start("evaluate", finished, *ON_MIXED, mixed=folder)
    where, metrics = results(finished)
    listed = json.loads((where / "external.json").read_text())["mixed"]
    why = {
        one: f"{reason}, on which the run was trained or validated"
        for one, reason in links.items()
    }
    why["mixed/p1_right"] = "without a label that the task asks for"
    assert {one: found["reason"] for one, found in listed["left_out"].items()} == why
    evaluated = {row["id"] for row in rows_of(where) if row["split"] == "mixed"}
    own = {
        f"mixed/p{patient}_{eye}" for patient in range(8) for eye in ("left", "right")
    }
    assert evaluated == (own | {"mixed/of_test"}) - {"mixed/p1_right"}
    assert listed["parts"] == {"mixed": listed["parts"]["mixed"]}
    assert set(listed["parts"]["mixed"]) == evaluated
    assert metrics["others"]["mixed"] == {
        "read": "all of it",
        "photographs": 16,
        "sample": 0,
        "left_out": {"known": 4, "unlabelled": 1},
    }
    assert (
        "mixed: all of it, 16 photographs. Left out: 4 known to the run, 1 without a "
        "label for the task."
    ) in said.replace("\n", " ")


def test_what_an_earlier_run_has_seen_is_left_out_too(start, finished, drawn_site):
    folder = drawn_site[0]
    path = finished / "seen.json"
    seen = json.loads(path.read_text())
    # One by its name, another, under which name ever, by its bytes.
    (file,) = folder.glob("p5_left.*")
    seen["train"]["site/p3_left"] = "0" * 64
    seen["valid"]["elsewhere/1"] = hashlib.sha256(file.read_bytes()).hexdigest()
    path.write_text(json.dumps(seen))
    start("evaluate", finished, *ON_SITE, site=folder)
    where, _ = results(finished)
    listed = json.loads((where / "external.json").read_text())["site"]["left_out"]
    known = {
        one: why["reason"] for one, why in listed.items() if why["kind"] == "known"
    }
    assert sorted(known) == [
        f"site/p{n}_{eye}" for n in (3, 5) for eye in ("left", "right")
    ]
    assert known["site/p5_left"] == (
        "was seen by an earlier run that this one began with, or learned from"
    )
    assert "site/p3_left" in known["site/p3_right"]  # Of the same patient.


def test_the_decision_stays_the_runs_own(start, finished, drawn_site):
    start("evaluate", finished, *ON_SITE, site=drawn_site[0])
    where, metrics = results(finished)
    own = (finished / "decision.json").read_bytes()
    assert (where / "decision.json").read_bytes() == own
    assert metrics["decision"] == json.loads(own)
    threshold = metrics["decision"]["operating_point"]["threshold"]
    assert metrics["results"]["site"]["threshold"] == threshold
    rows = [row for row in rows_of(where) if row["split"] == "site"]
    hits = [
        float(row["probability referable"]) >= threshold
        for row in rows
        if row["label"] == "1"
    ]
    assert metrics["results"]["site"]["metrics"]["sensitivity"]["value"] == np.mean(
        hits
    )


def test_the_runs_own_photographs_are_not_read_again(
    start, finished, finished_once, drawn_site
):
    start("evaluate", finished, *ON_SITE, site=drawn_site[0])
    where, metrics = results(finished)
    before = rows_of(finished_once)
    assert [row for row in rows_of(where) if row["split"] != "site"] == before
    own = json.loads((finished_once / "metrics.json").read_text())["results"]
    assert {name: metrics["results"][name] for name in own} == own
    first, second = ledger(finished)
    assert first["split"] == "test"
    assert (second["mode"], second["split"]) == ("evaluate", "site")
    assert second["photographs"] == 15
    assert second["datasets"] == {"site": 15}
    bindings = (finished / "bindings.json").read_bytes()
    assert second["config_sha256"] == hashlib.sha256(bindings).hexdigest()
    assert second["weights_sha256"] == first["weights_sha256"]


def test_home_and_site_stand_side_by_side(start, finished, drawn_site):
    said = start("evaluate", finished, *ON_SITE, site=drawn_site[0])
    table = said.partition("Side by side\n\n")[2].splitlines()
    _, metrics = results(finished)
    assert table[0].split() == ["test", "site"]
    assert table[1].split() == ["in-domain"]
    assert table[3].split() == ["photographs", "12", "15"]
    (line,) = [one for one in table if one.startswith("AUC")]
    shown = [
        metrics["results"][part]["metrics"]["auc"]["value"] for part in ("test", "site")
    ]
    assert [float(one) for one in line.split()[1::2]] == pytest.approx(shown, abs=5e-4)
    assert "in this run: 1, of site 1." in said


def test_the_run_stays_finished_and_a_second_evaluation_changes_nothing(
    start, finished, drawn_site
):
    own = state(finished)
    said = start("evaluate", finished, *ON_SITE, site=drawn_site[0])
    after = state(finished)
    for name in ("ledger.jsonl", "report.html"):  # The report shows the ledger.
        del own[finished / name]
    assert own.items() <= after.items()
    assert start("evaluate", finished, *ON_SITE, site=drawn_site[0]) == said
    assert start("evaluate", finished, *ON_SITE) == said
    assert start("run", finished).startswith("Task: referable")
    assert state(finished) == after


def test_results_of_other_photographs_are_not_shown(start, finished, drawn_site, mixed):
    start("evaluate", finished, *ON_SITE, site=drawn_site[0])
    with pytest.raises(ValueError, match=r"has results on 'site', but not on the pho"):
        start("evaluate", finished, *ON_SITE, site=mixed[0])


def test_a_run_can_have_other_datasets_from_the_start(start, tmp_path, drawn_site):
    with pytest.raises(ValueError, match=r"--data_dir=other=<folder>"):
        start(
            "run",
            tmp_path / "run",
            "evaluate.on = [@other/csv_file()]",
            "other/csv_file.name = 'other'",
        )
    assert not (tmp_path / "run").exists()
    plan = start("run", tmp_path / "run", *ON_SITE, dry_run=True, site=drawn_site[0])
    assert "On site: all of it, 15 photographs, 1 more without a label" in plan
    start("run", tmp_path / "run", *ON_SITE, site=drawn_site[0])
    content = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {"valid", "test", "site"} <= content["results"].keys()
    assert [one["split"] for one in ledger(tmp_path / "run")] == ["site", "test"]
    assert "Side by side" in start("run", tmp_path / "run", *ON_SITE)
    with pytest.raises(ValueError, match="is finished and was evaluated with"):
        start("run", tmp_path / "run")


def test_mistakes_are_found_before_anything_is_read(start, finished, drawn_site):
    before = state(finished)
    cases = {
        ("train.task = @any_dr()",): "was begun with something else",
        ("evaluate.calibrate = 'isotonic'",): r"`evaluate\.calibrate` as temperature\.",
        ("evaluate.on_splits = ('test',)",): r"'site' has no published split 'test'",
        ("site/csv_file.name = 'drawn'",): r"other than the run's \(drawn\) and those",
    }
    for lines, message in cases.items():
        with pytest.raises(ValueError, match=message):
            start("evaluate", finished, *ON_SITE, *lines, site=drawn_site[0])
    message = r"no dataset 'sight'\. Expected: --data_dir=drawn=.* --data_dir=site=<f"
    with pytest.raises(ValueError, match=message):
        start("evaluate", finished, *ON_SITE, sight=drawn_site[0])
    message = r"`evaluate\.on_splits` is about other datasets, and `evaluate\.on` lists"
    with pytest.raises(ValueError, match=message):
        start("evaluate", finished, "evaluate.on_splits = ('test',)")
    assert state(finished) == before


def test_a_run_without_a_decision_has_none_to_use(start, finished, drawn_site):
    (finished / "metrics.json").unlink()
    with pytest.raises(FileNotFoundError, match="the run has no threshold yet that co"):
        start("evaluate", finished, *ON_SITE, site=drawn_site[0])


SAMPLE = (
    "evaluate.recalibrate = @recalibration()",
    "recalibration.photographs = 6",
    "recalibration.rule = @sensitivity_assured()",
    "sensitivity_assured.value = 0.5",
    "sensitivity_assured.confidence = 0.7",
)


def test_a_threshold_of_the_site_is_scored_on_the_patients_not_drawn(
    start, finished, drawn_site
):
    said = start("evaluate", finished, *ON_SITE, *SAMPLE, site=drawn_site[0])
    where, metrics = results(finished)
    rows = rows_of(where)
    sample, rest = (
        [row for row in rows if row["split"] == name]
        for name in ("site sample", "site")
    )
    drawn = [row["patient"] for row in sample]
    assert len(drawn) == len(set(drawn)) == 6
    assert not {row["patient"] for row in rest} & set(drawn)
    assert len({row["patient"] for row in rest}) == 2

    local = metrics["recalibrated"]["site"]
    scores = sorted(
        float(row["probability referable"]) for row in sample if row["label"] == "1"
    )
    point = local["decision"]["operating_point"]
    # Of n diseased, the k-th lowest: half of the diseased lie below it at most with a
    # confidence of P(Binomial(n, 1/2) >= k), counted here.
    ways = {3: (1, 3, 3, 1), 4: (1, 4, 6, 4, 1)}[len(scores)]
    proven = [k for k in range(1, len(ways)) if sum(ways[k:]) / sum(ways) >= 0.7]
    assert point["threshold"] == scores[max(proven) - 1]
    called = [
        float(row["probability referable"]) >= point["threshold"]
        for row in rest
        if row["label"] == "0"
    ]
    specificity = local["results"]["site"]["metrics"]["specificity"]["value"]
    assert specificity == pytest.approx(1 - np.mean(called))
    frozen = metrics["results"]["site"]
    assert frozen["threshold"] == metrics["decision"]["operating_point"]["threshold"]
    assert frozen["n"] == local["results"]["site"]["n"] == len(rest)
    saved = json.loads((where / "local" / "site" / "decision.json").read_text())
    assert saved == local["decision"]
    assert saved["calibration"] == metrics["decision"]["calibration"]
    assert "own threshold" in said.partition("Side by side")[2]
    assert [one["photographs"] for one in ledger(finished)] == [12, 6 + len(rest)]


def test_all_that_is_there_can_be_the_sample(start, finished, drawn_site):
    lines = (*SAMPLE, "recalibration.photographs = None")
    said = start("evaluate", finished, *ON_SITE, *lines, site=drawn_site[0])
    _, metrics = results(finished)
    assert metrics["recalibrated"]["site"]["results"] == {}
    assert metrics["others"]["site"]["sample"] == 8
    said = said.replace("\n", " ")
    assert "chosen on 8 labelled photographs of site, " in said


def test_a_sample_that_proves_nothing_is_refused_before_a_reading(
    start, finished, drawn_site
):
    lines = ("evaluate.recalibrate = @recalibration()", "recalibration.photographs = 6")
    message = (
        r"takes at least 29 diseased photographs\. Received: 7\. Where 47 % are "
        r"diseased, \d+ photographs, each of another patient, hold as many"
    )
    with pytest.raises(ValueError, match=message):
        start("evaluate", finished, *ON_SITE, *lines, site=drawn_site[0])
    assert len(ledger(finished)) == 1
    assert not (finished / "evaluate").exists()


def make(grade, split=None, gradable=None, number=[0]):  # noqa: B006, a counter
    number[0] += 1
    return photograph.Photograph(
        id=f"site/{number[0]}",
        path="x.jpg",
        grade=grade,
        gradable=gradable,
        split=split,
    )


def test_the_published_test_split_is_read_where_there_is_one():
    some = [make(0, "train"), make(2, "test"), make(None, "test", False)]
    chosen, left_out, read = external.choose("site", some, tasks.referable(), ())
    assert chosen == [some[1]]
    assert list(left_out) == [some[2].id]
    assert left_out[some[2].id].reason == "ungradable, as its publisher says"
    assert read == "its published test split"
    both = external.choose("site", some, tasks.referable(), ("train", "test"))
    assert both[0] == some[:2]


def test_a_task_that_a_dataset_does_not_answer_is_an_error():
    message = (
        r"'macular_edema' \(.*\) needs labels that 'site' does not give: none of 1"
    )
    with pytest.raises(ValueError, match=message):
        external.choose("site", [make(2)], tasks.macular_edema(), ())


def test_only_what_the_run_knows_is_no_other_site(
    start, finished, originals, stored, tmp_path
):
    for number, one in enumerate(stored["train"][:3]):
        shutil.copy(originals[one], tmp_path / f"{number}.jpg")
    drawn_sites.write_list(tmp_path, [(f"{n}.jpg", 2, "", "", "") for n in range(3)])
    with pytest.raises(ValueError, match="No photograph of 'again' is left to evaluat"):
        start(
            "evaluate",
            finished,
            "evaluate.on = [@again/csv_file()]",
            "again/csv_file.name = 'again'",
            again=tmp_path,
        )
    assert len(ledger(finished)) == 1


def test_the_real_segmentation_set_knows_what_the_grading_set_trained_on(
    real_idrid, tmp_path
):
    """The 54 have no grades: those of a CSV are made up, to have something to ask."""
    from input_pipeline import audit, splits
    from input_pipeline.datasets import idrid

    own = prepare.Preparation(datasets=[idrid.idrid()], image_size=64)
    collection = own.run({"idrid": real_idrid}, tmp_path / "prepared")
    auditor = audit.Auditor()
    audited = auditor.run(collection, tmp_path / "prepared")
    split = splits.Splitter().split(audited)
    folder = tmp_path / "masks"
    folder.mkdir()
    for path in (real_idrid / "A. Segmentation/1. Original Images").rglob("*.jpg"):
        (folder / path.name).symlink_to(path)
    names = sorted(path.name for path in folder.iterdir())
    drawn_sites.write_list(folder, [(name, 2, "", "", "") for name in names])
    site = csv_file.csv_file(name="masks")
    others = external.Others(
        [site], (), None, own, {"masks": folder}, tmp_path / "prepared"
    )
    (found,) = others.read(tasks.referable(), audited, auditor, split, {})
    with open(real_idrid / "segmentation_to_grading.csv", newline="") as file:
        twins = {
            f"masks/{row['segmentation_id']}": (
                f"idrid/{row['grading_split']}/{row['grading_id']}"
            )
            for row in csv.DictReader(file)
            if row["grading_id"]
        }
    assert len(twins) == 45
    seen = {*split.train, *split.valid}
    known = {one for one, twin in twins.items() if twin in seen}
    assert set(found.left_out) == known
    assert len(found.ids) == 54 - len(known)
    assert {one for one, twin in twins.items() if twin in split.test} <= {*found.ids}
