"""The audit's page: what it says, in which order, and that it is sound HTML."""

import base64
import collections
import html.parser
import io
import itertools
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from input_pipeline import audit_page, photograph, records

POLICY = {
    "test_on": [],
    "copies": "keep_one",
    "conflicting_copies": "leave_out",
    "must_agree": ["grade", "any_dr"],
    "ungradable": "leave_out",
    "near_identical": 2.5,
}
VOID = {"meta", "img", "br", "wbr", "link", "input"}


class Page(html.parser.HTMLParser):
    """What a reader or a screen reader makes of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.tables, self.words = [], [], {}, []
        self._table = None
        self.feed(text)
        self.close()
        assert not self.open
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = {"caption": "", "rows": []}
        elif tag == "tr":
            self._table["rows"].append([])
        elif tag in ("th", "td"):
            self._table["rows"][-1].append("")
        if tag in ("br", "p", "li", "td", "th", "h1", "h2", "h3", "h4"):
            self.words.append(" ")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            caption = " ".join(self._table["caption"].split())
            self.tables[caption] = [
                [" ".join(cell.split()) for cell in row] for row in self._table["rows"]
            ]

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words.append(data)
        if "caption" in self.open:
            self._table["caption"] += data
        elif "th" in self.open or "td" in self.open:
            self._table["rows"][-1][-1] += data

    def all(self, tag, **attributes):
        return [
            found
            for name, found in self.tags
            if name == tag and attributes.items() <= found.items()
        ]


def one(key, **labels):
    return photograph.Photograph(id=key, path=pathlib.Path(f"{key}.jpg"), **labels)


def entry(key, **known):
    quality = {
        "brightness": 100.0,
        "sharpness": 0.05,
        "overexposed": 0.0,
        "underexposed": 0.0,
        "retina_share": 0.7,
    } | known.pop("quality", {})
    usual = {"width": 400, "height": 300, "format": "JPEG", "camera": None}
    return {"id": key, "quality": quality} | usual | known


class Shelf:
    """A prepared folder whose photographs are of one colour; notes which are read."""

    def __init__(self, dataset, photographs, entries=(), unreadable=()):
        entries = {each["id"]: each for each in entries}
        self.dataset, self.image_size, self.photographs = dataset, 16, photographs
        self.fingerprint = f"{dataset}-fingerprint"
        self.manifest = {
            "photographs": [entries.get(p.id, entry(p.id)) for p in photographs],
            "unreadable": list(unreadable),
        }
        self.colors = {}
        self.read = collections.Counter()

    def read_image(self, key):
        self.read[key] += 1
        return np.full((16, 16, 3), self.colors.get(key, (200, 100, 20)), np.uint8)


def findings(photographs, copies=(), left_out=(), **others):
    left_out = {key: {"kind": kind, "reason": reason} for key, kind, reason in left_out}
    return {
        "policy": POLICY,
        "copies": [
            {
                "first": first,
                "second": second,
                "kind": kind,
                "distance": distance,
                "conflict": conflict,
            }
            for first, second, kind, distance, conflict in copies
        ],
        "split": {
            p.id: p.split or "train" for p in photographs if p.id not in left_out
        },
        "left_out": left_out,
        "disputed": [],
        "patients_across_splits": [],
        "shortcut": {},
    } | others


def render(shelves, **found):
    photographs = [p for shelf in shelves for p in shelf.photographs]
    collection = records.Collection(shelves)
    return Page(audit_page.render(collection, findings(photographs, **found)))


def plain(number=6, **labels):
    """A dataset of that many photographs with the same labels."""
    return Shelf("few", [one(f"few/{i}", **labels) for i in range(number)])


@pytest.fixture(scope="module")
def rich():
    """Two datasets with something of everything."""
    first = Shelf(
        "a",
        [
            one("a/1", grade=0, macular_edema=0, split="train", patient="p"),
            one("a/2", grade=2, macular_edema=1, split="train", patient="p"),
            one("a/3", grade=4, split="train"),
            one("a/4", grade=1, split="valid"),
            one("a/5", grade=1, split="test", patient="p"),
        ],
        [
            entry("a/1", format="PNG", camera="<Canon & Co>"),
            entry("a/2", width=800, quality={"brightness": 20.0}),
        ],
        [
            {"id": "a/6", "path": "x/6.jpg", "reason": "it is cut.", "kind": "file"},
            {"id": "a/7", "path": "x/7.jpg", "reason": "all <b>.", "kind": "retina"},
        ],
    )
    second = Shelf(
        "b", [one("b/1", any_dr=True), one("b/2", grade=1), one("b/3", gradable=False)]
    )
    return render(
        [first, second],
        copies=[
            ("a/1", "a/2", "near_identical", 1.256, "grade 0 and 2"),
            ("a/4", "b/2", "byte_identical", 0.0, None),
            ("a/3", "b/1", "renamed", None, None),
        ],
        left_out=[
            ("a/1", "conflict", "copies contradict each other"),
            ("a/2", "conflict", "copies contradict each other"),
            ("b/2", "leak", "a copy of a/4 of the validation set"),
            ("b/3", "unlabelled", "ungradable, as its publisher says"),
        ],
        disputed=["a/5"],
        patients_across_splits=["a/p"],
        shortcut={
            "any retinopathy": {
                "auc": 0.714,
                "low": 0.6,
                "high": 0.8,
                "by_column": {"width": 0.71, "format": 0.5},
                "reason": None,
                "photographs": 4,
            },
            "grade >= 2": {
                "auc": None,
                "low": None,
                "high": None,
                "by_column": {},
                "reason": "Each label must be seen in two groups.",
                "photographs": 4,
            },
        },
    )


def test_page_is_one_file_without_scripts(rich):
    assert not rich.all("script") and not rich.all("link")
    sources = [found["src"] for found in rich.all("img")]
    assert sources and all(source.startswith("data:image/") for source in sources)


def test_page_is_built_as_screen_readers_need_it(rich):
    levels = [int(tag[1]) for tag, _ in rich.tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    ids = [found["id"] for _, found in rich.tags if "id" in found]
    assert len(ids) == len(set(ids))
    targets = [found["href"] for found in rich.all("a")]
    assert {target[1:] for target in targets} <= set(ids)
    assert all(found.get("alt") for found in rich.all("img"))
    assert all(found.get("scope") in ("row", "col") for found in rich.all("th"))
    assert len(rich.all("caption")) == len(rich.all("table")) == len(rich.tables)
    for found in rich.all("div", tabindex="0"):
        assert found["aria-labelledby"] in ids


def test_what_files_say_is_escaped(rich):
    assert not rich.all("b")
    assert rich.tables["Photographs by camera and grade"][2][0] == "<Canon & Co>"


def test_summary_counts_what_became_of_every_photograph(rich):
    table = rich.tables["How many photographs, and what became of them"]
    assert table == [
        ["Photographs", "a", "b", "all"],
        ["listed", "7", "3", "10"],
        ["readable", "5", "3", "8"],
        ["no image in the file", "1", "0", "1"],
        ["no retina in the image", "1", "0", "1"],
        ["kept: train", "1", "1", "2"],
        ["kept: valid", "1", "0", "1"],
        ["kept: test", "1", "0", "1"],
        ["left out: would leak between splits", "0", "1", "1"],
        ["left out: contradicted by a copy", "2", "0", "2"],
        ["left out: a further copy", "0", "0", "0"],
        ["left out: called ungradable", "0", "0", "0"],
        ["left out: without a label", "0", "1", "1"],
    ]
    assert (
        "a, b: 10 photographs, of which 2 cannot be read. Kept for training: 2, for "
        "validation: 1, for testing: 1. Left out, each with its reason: 4." in rich.text
    )


def test_summary_says_what_would_have_fooled_somebody(rich):
    for sentence in (
        "1 pair of copies lies on two sides of a split.",
        "2 more pairs of copies lie within one split.",
        "1 pair of copies carries labels that contradict each other.",
        "1 test photograph has a copy with other labels.",
        "1 patient is on two sides of a published split.",
        "Metadata alone tell any retinopathy with an AUC of 0.71.",
        "a, b do not name the patient of every photograph.",
    ):
        assert sentence in rich.text


def test_summary_of_clean_photographs_says_so():
    page = render([plain(grade=0, patient="p")])
    assert "No copies, no contradicting labels and no patients" in page.text
    assert "What no audit can show" not in page.text
    assert "few: 6 photographs, all of them readable." in page.text
    assert "No two photographs show the same picture." in page.text
    assert "Nothing: every readable photograph is in a split." in page.text


def test_labels_are_counted_by_dataset_and_split(rich):
    title = ", by dataset and published split"
    grades = rich.tables[f"Grade of retinopathy{title}"]
    # Dataset, split, grades 0-4, not given, all, and a cell for the bar.
    assert grades[1:] == [
        ["a", "train", "1", "0", "1", "0", "1", "0", "3", ""],
        ["a", "valid", "0", "1", "0", "0", "0", "0", "1", ""],
        ["a", "test", "0", "1", "0", "0", "0", "0", "1", ""],
        ["b", "none given", "0", "1", "0", "0", "0", "2", "3", ""],
    ]
    binary = rich.tables[f"Any retinopathy, where no grade is given{title}"]
    assert binary[1:] == [["b", "none given", "0", "1", "1", "2"]]
    edema = rich.tables[f"Risk of macular edema{title}"]
    assert edema[1] == ["a", "train", "1", "1", "0", "1", "3"]


def test_labels_that_nobody_gives_have_no_table():
    captions = render([plain(grade=3)]).tables
    assert not [name for name in captions if "edema" in name or "Any" in name]


def test_copies_are_shown_gravest_first_with_what_became_of_them(rich):
    copies = rich.text[rich.text.index("3 pairs of photographs show") :]
    parts = [
        "Labels contradict each other",
        "Contradiction: grade 0 and 2. Near-identical, 1.26 grey levels apart.",
        "a/1 grade 0, edema 0 left out: contradicted by a copy",
        "a/2 grade 2, edema 1 left out: contradicted by a copy",
        "On two sides of a split On two sides of a split. Byte-identical.",
        "a/4 grade 1 kept: valid",
        "b/2 grade 1 left out: would leak between splits",
        "Within one split Renamed.",
        "a/3 grade 4 kept: train",
        "b/1 any retinopathy kept: train",
        "What was left out",
    ]
    places = [copies.find(part) for part in parts]
    assert -1 not in places and places == sorted(places)


def test_a_contradiction_across_splits_is_a_contradiction_first():
    photographs = [one("few/1", grade=0, split="train")]
    photographs += [one("few/2", grade=3, split="test"), one("few/3", grade=0)]
    copies = [
        ("few/1", "few/3", "renamed", None, None),
        ("few/1", "few/2", "byte_identical", 0.0, "grade 0 and 3"),
    ]
    page = render([Shelf("few", photographs)], copies=copies)
    order = "Labels contradict each other Contradiction: grade 0 and 3. On two sides"
    assert order in page.text
    assert "Within one split Renamed." in page.text
    assert len(page.all("li", **{"class": "pair conflict"})) == 1
    assert len(page.all("li", **{"class": "pair"})) == 1


def test_a_pair_shows_the_two_photographs():
    shelf = plain(2, grade=1)
    shelf.colors = {"few/0": (220, 60, 20), "few/1": (30, 80, 200)}
    page = render([shelf], copies=[("few/0", "few/1", "renamed", None, None)])
    for key, color in shelf.colors.items():
        source = page.all("img", alt=f"Photograph {key}")[0]["src"]
        content = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        np.testing.assert_allclose(pixels.mean(axis=(0, 1)), color, atol=4)


def test_photographs_of_a_dataset_that_only_tests_are_across_from_others():
    shelves = [plain(1, grade=1), Shelf("out", [one("out/1", grade=1)])]
    copies = [("few/0", "out/1", "byte_identical", 0.0, None)]
    policy = POLICY | {"test_on": ["out"]}
    assert "within one split" in render(shelves, copies=copies).text
    page = render(shelves, copies=copies, policy=policy)
    assert "1 pair of copies lies on two sides of a split." in page.text
    assert "All photographs of out test, whatever their published split" in page.text


def test_of_many_pairs_the_first_are_read_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(audit_page, "PAIRS", 3)
    monkeypatch.setattr(audit_page, "GALLERY", 0)
    shelf = plain(12, grade=1)
    copies = [(f"few/{i}", f"few/{i + 1}", "renamed", None, None) for i in range(11)]
    copies[-1] = (*copies[-1][:-1], "grade 1 and 2")
    page = render([shelf], copies=copies)
    assert "The first 3 are shown; all of them are in audit.json." in page.text
    # The contradiction and two others; what two pairs share is read once.
    expected = ["few/10", "few/11", "few/0", "few/1", "few/2"]
    assert shelf.read == collections.Counter(expected)


def test_reasons_are_listed_by_kind_and_limited(rich, monkeypatch):
    assert rich.tables["Contradicted by a copy: 2 photographs"][1] == [
        "a/1",
        "copies contradict each other",
    ]
    assert rich.tables["Without a label: 1 photograph"][1] == [
        "b/3",
        "ungradable, as its publisher says",
    ]
    monkeypatch.setattr(audit_page, "ROWS", 2)
    left_out = [(f"few/{i}", "copy", "a copy") for i in range(5)]
    page = render([plain(grade=0)], left_out=left_out)
    assert len(page.tables["A further copy: 5 photographs"]) == 1 + 2
    assert "And 3 more, all of them in audit.json." in page.text


def test_galleries_show_the_ends_that_are_worth_a_look(monkeypatch):
    monkeypatch.setattr(audit_page, "GALLERY", 2)
    values = [50.0, 30.0, 90.0, 70.0, 40.0]
    entries = [
        entry(f"few/{i}", quality={"brightness": value, "overexposed": value / 1000})
        for i, value in enumerate(values)
    ]
    photographs = [one(f"few/{i}", grade=i) for i in range(5)]
    page = render([Shelf("few", photographs, entries)])
    darkest = "Darkest 30 grade 1 few/1 40 grade 4 few/4 Sharpness"
    assert f"Median 50, from 30 to 90. {darkest}" in page.text
    assert "Most overexposed 9 % grade 2 few/2 7 % grade 3 few/3" in page.text
    charts = [found["alt"] for found in page.all("img", **{"class": "chart"})]
    assert charts[0] == (
        "Histogram of brightness, mean grey level: median 50, from 30 to 90"
    )
    assert len(charts) == 5


def test_metadata_are_told_as_sentences_and_as_shares(rich):
    assert (
        "Any retinopathy: AUC 0.71, 95 % interval 0.60 to 0.80, from 4 photographs "
        "kept for training and validation. Metadata tell it better than chance."
        in rich.text
    )
    assert (
        "Grade >= 2: not estimated. Each label must be seen in two groups." in rich.text
    )
    alone = rich.tables["AUC of one property alone: any retinopathy"]
    assert alone[1:] == [["width", "0.71"], ["file type", "0.50"]]
    shares = rich.tables["Share of each grade by size"]
    # 400 x 300 has grades 0, 4, 1, 1, 1 and two without one.
    assert shares[1][1:] == ["20 %", "60 %", "0 %", "0 %", "20 %", "5", ""]
    assert shares[2][1:] == ["0 %", "0 %", "100 %", "0 %", "0 %", "1", ""]


@pytest.mark.parametrize(
    ("score", "sentence"),
    [
        ((0.52, 0.4, 0.6, None), "0.60, from 1 photograph kept for training and "
         "validation. That is no better than chance."),
        ((0.5, None, None, "All photographs have the same metadata."),
         "AUC 0.50. All photographs have the same metadata."),
    ],
)  # fmt: skip
def test_metadata_that_tell_nothing_fool_nobody(score, sentence):
    names = ("auc", "low", "high", "reason")
    score = dict(zip(names, score, strict=True)) | {"by_column": {}, "photographs": 1}
    page = render([plain(grade=0)], shortcut={"any retinopathy": score})
    assert sentence in page.text
    assert "Metadata alone tell" not in page.text


def test_what_is_the_same_for_all_is_a_sentence_and_no_table():
    page = render([plain(grade=0)])
    assert "The same for all photographs: size 400 × 300, file" in page.text  # noqa: RUF001
    assert not [name for name in page.tables if name.startswith("Share of each")]


def test_rare_values_are_put_together(monkeypatch):
    monkeypatch.setattr(audit_page, "VALUES", 2)
    widths = [10, 10, 10, 20, 20, 30, 40, 50]
    photographs = [one(f"few/{i}", grade=i % 2) for i in range(8)]
    entries = [entry(f"few/{i}", width=width) for i, width in enumerate(widths)]
    page = render([Shelf("few", photographs, entries)])
    rows = page.tables["Photographs by size and grade"][1:]
    assert [row[-1] for row in rows] == ["3", "2", "3"]
    assert rows[2] == ["3 others", "1", "2", "0", "0", "0", "0", "3"]


def test_patients_are_counted_and_those_across_splits_listed(rich):
    assert rich.tables["Patients whom the publishers name"][1:] == [
        ["a", "1", "3", "5"],
        ["b", "0", "0", "3"],
    ]
    across = rich.tables["Patients in more than one published split"]
    assert across[1:] == [["a/p", "2 in train, 1 in test"]]


def test_unreadable_photographs_have_reasons_and_a_limit(rich, monkeypatch):
    caption = "Photographs that are in no split because nothing could be read"
    assert rich.tables[caption][1:] == [
        ["a/6", "x/6.jpg", "no image", "it is cut."],
        ["a/7", "x/7.jpg", "no retina", "all <b>."],
    ]
    monkeypatch.setattr(audit_page, "UNREADABLE", 3)
    unreadable = [
        {"id": f"few/x{i}", "path": "x", "reason": "no.", "kind": "file"}
        for i in range(7)
    ]
    page = render([Shelf("few", [one("few/1", grade=0)], [], unreadable)])
    assert len(page.tables[caption]) == 1 + 3
    assert "And 4 more, all of them in the manifest.json" in page.text


def test_method_names_policy_comparison_and_fingerprints(rich):
    assert "which makes 28 pairs" in rich.text  # 8 * 7 / 2
    assert "differ by 2.5 grey levels or less" in rich.text
    assert "contradict each other where grade or any DR differs." in rich.text
    assert "train and do not contradict each other: one is kept." in rich.text
    assert "train and contradict each other: all are left out." in rich.text
    assert "a-fingerprint" in rich.text and "b-fingerprint" in rich.text
    other = POLICY | {"copies": "keep_all", "conflicting_copies": "keep_all"}
    page = render([plain(grade=0)], policy=other)
    assert page.text.count("each other: all are kept, and stay together in fold") == 2
