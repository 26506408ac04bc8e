import sys

from input_pipeline import progress


def test_a_log_file_gets_whole_lines_of_plain_characters(capsys):
    assert list(progress.bar(range(3), "read", unit="photo")) == [0, 1, 2]
    text = capsys.readouterr().err
    assert "read: 100%" in text
    assert "3/3" in text
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100


def test_a_setting_of_the_caller_is_kept(capsys):
    list(progress.bar(range(3), disable=True))
    assert capsys.readouterr().err == ""


def test_what_is_said_beside_a_bar_has_a_line_of_its_own(capsys):
    with progress.bar(range(3), "read") as bar:
        bar.update()
        with progress.aside():
            print("warning: something", file=sys.stderr)
        bar.update()
    lines = capsys.readouterr().err.split("\n")
    (said,) = [line for line in lines if "something" in line]
    # What a terminal shows of it: each return begins the line again.
    assert said.split("\r")[-1] == "warning: something"
    assert "read:  67%" in lines[-2]
