import cv2
import pytest

from tests.train import drawn_results
from train import search_results


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a search with results, and what was said of it."""
    folder = tmp_path_factory.mktemp("searches") / "s"
    folder.mkdir()
    return folder, drawn_results.write(folder)


def test_the_winner_is_compared_on_the_photographs_of_validation(written):
    _, said = written
    rows = [line.split()[0] for line in said.split("\n\n")[0].splitlines()]
    assert rows == ["trial", "0", "1", "3", "2"]
    assert "Warning: Trial 0 has the best AUC" in said
    assert "DeLong, p corrected for all trials" in said
    assert "of 3 trials): learning_rate 75 %, batch_size 25 %." in said


def test_figures_and_page_are_there(written):
    folder, said = written
    for name in ("trials", "parameters", "importance"):
        picture = cv2.imread(str(folder / "figures" / f"{name}.png"))
        assert min(picture.shape[:2]) > 200
    page = (folder / search_results.PAGE).read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 3
    for text in (
        "Trial 2 failed: The loss is not finite.",
        "12 min",
        "train.epochs = 1",
    ):
        assert text in page
    warned = said.partition("Warning: ")[2].partition("\n")[0]
    assert f"<li>{warned}</li>" in page.replace("&#39;", "'")


def test_the_command_can_be_pasted(written):
    folder, said = written
    command = f"--run_dir={folder / 'best'} '--data_dir=my data'\n"
    assert command in said
    assert command in (folder / search_results.BEST).read_text(encoding="utf-8")


def test_each_change_is_compared_with_the_first_trial(tmp_path):
    said = drawn_results.write(tmp_path, one_at_a_time=True)
    head, columns, better = said.split("\n\n")[2].splitlines()
    assert head.startswith("What each change does to trial 0, whose AUC is 1.0000")
    assert columns.split()[:3] == ["changed", "trial", "AUC"]
    # The other change failed.
    # As DeLong's test of both has it.
    assert better.split()[-5:-1] == ["-0.0057", "-0.0176", "to", "+0.0063"]
    page = (tmp_path / search_results.PAGE).read_text(encoding="utf-8")
    assert "One choice is changed at a time." in page
    assert '<th scope="row">learning_rate = 0.01</th>' in page
    assert (tmp_path / "figures" / "changes.png").exists()
