import pathlib
import subprocess
import sys

import pytest

from serving import predicted

ASKED = {"the model": "tiny", "`predict.overlays`": "all"}
STATES = {"a.jpg": (10, 1), 'b, "é"\n.jpg': (20, 2), "c.jpg": (30, 3)}
COLUMNS = ["file", "message"]
ROWS = [{"file": name, "message": f"of\r\n{name}"} for name in STATES]


def results(folder, asked=ASKED, states=STATES):
    return predicted.Predicted(folder, asked, states, COLUMNS)


def write(folder, rows):
    folder.mkdir(exist_ok=True)
    begun = results(folder)
    with begun.go_on(begun.read()) as add:
        for one in rows:
            add(one)


def test_a_row_is_on_the_disk_before_the_next_is_made(tmp_path):
    with results(tmp_path).go_on([]) as add:
        for count, row in enumerate(ROWS, start=1):
            add(row)
            assert results(tmp_path).read() == ROWS[:count]


def test_wherever_it_was_cut_off_it_goes_on_to_the_same_file(tmp_path):
    write(tmp_path / "whole", ROWS)
    whole = (tmp_path / "whole" / predicted.FILE).read_bytes()
    assert whole.count(b"\xc3\xa9") == 2
    counts = []
    for size in range(len(whole) + 1):
        write(tmp_path / "cut", [])
        (tmp_path / "cut" / predicted.FILE).write_bytes(whole[:size])
        rows = results(tmp_path / "cut").read()
        assert rows == ROWS[: len(rows)]
        write(tmp_path / "cut", ROWS[len(rows) :])
        assert (tmp_path / "cut" / predicted.FILE).read_bytes() == whole
        counts.append(len(rows))
    assert counts == sorted(counts) and set(counts) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("asked", "states", "message"),
    [
        (ASKED | {"the model": "other"}, STATES, r"  the model was tiny, is other\n"),
        (ASKED | {"`predict.overlays`": "none"}, STATES, r"overlays` was all, is none"),
        (ASKED, STATES | {"d.jpg": (1, 1)}, r"  d\.jpg is new\n"),
        (ASKED, {"a.jpg": (10, 1)}, r"  c\.jpg is gone\nName another folder with --ou"),
        (ASKED, STATES | {"a.jpg": (10, 4)}, r"  a\.jpg is another file\n"),
    ],
)
def test_answers_to_another_question_are_refused(tmp_path, asked, states, message):
    write(tmp_path, ROWS)
    with pytest.raises(ValueError, match=message):
        results(tmp_path, asked, states).read()


def test_of_many_differences_the_first_are_shown(tmp_path):
    write(tmp_path, ROWS)
    many = STATES | {f"new{number:02}.jpg": (1, 1) for number in range(12)}
    with pytest.raises(ValueError, match=r"new09.jpg is new\n  and 2 more\n"):
        results(tmp_path, states=many).read()


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / ".hidden").touch()
    (tmp_path / "asked.json.partial").touch()  # Of a start that was killed.
    assert results(tmp_path).read() == []
    (tmp_path / "predictions.csv").touch()
    with pytest.raises(ValueError, match=r"they are of: predictions\.csv\. Name ano"):
        results(tmp_path).read()
    with pytest.raises(NotADirectoryError, match=r"--output_dir must be a folder\. Re"):
        results(tmp_path / "predictions.csv").read()


@pytest.mark.parametrize("content", ["{}", "[]", '{"asked": {}}'])
def test_a_question_that_was_changed_is_refused(tmp_path, content):
    write(tmp_path, ROWS)
    (tmp_path / predicted.ASKED).write_text(content)
    with pytest.raises(ValueError, match=r"asked\.json is not as it was written\. Rem"):
        results(tmp_path).read()


def test_a_full_disk_names_the_file(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert child.stdout.splitlines() == [str(tmp_path / predicted.FILE)], child.stderr


FULL = """
import resource, signal, sys
from tests.serving import test_predicted
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
begun = test_predicted.results(__import__("pathlib").Path(sys.argv[1]))
rows = begun.read()
try:
    with begun.go_on(rows) as add:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
        add(test_predicted.ROWS[0])
except OSError as error:
    print(error.filename)
"""


@pytest.mark.parametrize(
    ("old", "new"), [("file,message", "file,reason"), ("a.jpg", "x.jpg")]
)
def test_a_csv_that_was_changed_is_refused(tmp_path, old, new):
    write(tmp_path, ROWS)
    path = tmp_path / predicted.FILE
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode(), 1))
    with pytest.raises(ValueError, match="is not as it was written: it must have the"):
        results(tmp_path).read()
