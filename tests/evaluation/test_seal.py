import hashlib

import pytest

from evaluation import seal

PAGE = "<!doctype html>\n<html><head>\n<title>A run</title></head>AUC 0.861</html>\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "metrics.json").write_text('{"auc": 0.861}')
    (tmp_path / "predictions.csv").write_text("id,probability\n")
    return tmp_path


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_sealed_page_names_what_it_shows(folder):
    sealed = seal.read(seal.seal(PAGE, folder))
    assert sealed["metrics"] == sha256('{"auc": 0.861}')
    assert sealed["predictions"] == sha256("id,probability\n")


def test_a_sealed_page_is_the_same_page_with_three_tags_in_its_head(folder):
    page = seal.seal(PAGE, folder)
    head, rest = PAGE.split("<head>")
    assert page.startswith(f"{head}<head>\n<meta name=")
    assert page.endswith(rest)
    assert page.count("<meta ") == 3


def test_the_own_checksum_is_that_of_the_page_with_zeros_in_its_place(folder):
    page = seal.seal(PAGE, folder)
    own = seal.read(page)["report"]
    assert own == sha256(page.replace(own, "0" * 64)) == seal.text_sha256(page)


@pytest.mark.parametrize(
    ("old", "new"),
    [("AUC 0.861", "AUC 0.961"), ("A run", "Another run"), ("</html>\n", "</html>")],
)
def test_a_changed_text_has_another_checksum(folder, old, new):
    page = seal.seal(PAGE, folder)
    changed = page.replace(old, new)
    assert changed != page
    assert seal.text_sha256(changed) != seal.read(changed)["report"]


def test_a_page_that_is_not_sealed_has_no_checksums():
    assert seal.read(PAGE) == {}


def test_a_page_without_a_head_is_refused(folder):
    with pytest.raises(ValueError, match=r"must have a `<head>`, in which the"):
        seal.seal("<html>AUC 0.861</html>", folder)
