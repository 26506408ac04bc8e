import dataclasses
import json

import pytest

from input_pipeline import audit, changes


@pytest.fixture
def own(few_preparation):
    mine = dataclasses.replace(few_preparation.datasets[0], own=True)
    return dataclasses.replace(few_preparation, datasets=[mine])


def correct(folder):
    path = folder / "labels.json"
    labels = json.loads(path.read_text())
    labels["c.jpg"]["grade"] = 2
    del labels["g.jpg"]
    path.write_text(json.dumps(labels))
    (folder / "e.jpg").write_bytes((folder / "a.jpg").read_bytes())


def test_what_differs_between_two_states_is_told_by_photograph(
    own, few, few_prepared, tmp_path
):
    correct(few)
    (now,) = own.run({"few": few}, tmp_path / "prepared").folders
    assert changes.between(few_prepared, now) == [
        "few/c.jpg has grade 2, was 1",
        "few/e.jpg is another file",
        "few/g.jpg is gone",
    ]
    assert changes.between(few_prepared, few_prepared) == []


def test_a_certificate_of_an_earlier_state_says_what_changed_since(
    own, few, few_prepared, tmp_path
):
    target = tmp_path / "prepared"
    before = audit.Auditor().run(own.run({"few": few}, target), target)
    correct(few)
    now = own.run({"few": few}, target)
    with pytest.raises(ValueError, match=r"not of these photographs") as error:
        audit.check_certificate(before.certificate, now, tmp_path / "leakage.json")
    assert (
        "Since then:\n  few/c.jpg has grade 2, was 1\n  few/e.jpg is another file\n"
        "  few/g.jpg is gone\nWith photographs and labels as they were, "
        f"{few_prepared.folder} is used again. Beside an audit"
    ) in str(error.value)
    assert "train in another --run_dir" in str(error.value)
    # A certificate of what is there no more says less, and still refuses.
    (few_prepared.folder / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"holds 6 with \w+\. Beside an audit"):
        audit.check_certificate(before.certificate, now, tmp_path / "leakage.json")


def test_of_many_lines_the_first_are_listed():
    lines = [f"few/{number:02d} is new" for number in range(12)]
    assert changes.listing(lines).splitlines()[-2:] == [
        "  few/09 is new",
        "  and 2 more",
    ]
    assert changes.listing(lines[:10]).count("\n") == 9
