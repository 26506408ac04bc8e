"""A dataset of seven photographs, three a shard, with every kind of label."""

import json
import pathlib
import shutil

import pytest

from input_pipeline import photograph, prepare, records, shards
from input_pipeline.datasets import dataset

# What one source knows another does not: no two photographs here know the same.
LABELS = {
    "a.jpg": {"grade": 0, "macular_edema": 0, "patient": "p1", "eye": "left"},
    "b.jpg": {"grade": 3, "macular_edema": 2, "patient": "p1", "eye": "right"},
    "c.jpg": {"grade": 1, "split": "train"},
    "d.jpg": {"any_dr": True, "split": "valid"},
    "e.jpg": {"any_dr": False},
    "f.jpg": {"macular_edema": 1, "split": "test"},
    "g.jpg": {},
}


def read(data_dir: pathlib.Path) -> list[photograph.Photograph]:
    labels = json.loads((data_dir / "labels.json").read_text())
    return [
        photograph.Photograph(id=f"few/{name}", path=data_dir / name, **known)
        for name, known in labels.items()
    ]


FEW = dataset.Dataset(name="few", tree="labels.json\n*.jpg", read=read)


@pytest.fixture(scope="session")
def few_originals(idrid_like, tmp_path_factory) -> pathlib.Path:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("few")
    drawn = sorted((idrid_like / "B. Disease Grading").rglob("*.jpg"))
    for name, path in zip(LABELS, drawn, strict=False):
        shutil.copy2(path, folder / name)
    (folder / "labels.json").write_text(json.dumps(LABELS))
    return folder


@pytest.fixture
def few(few_originals, tmp_path) -> pathlib.Path:
    """A data folder of one test's own."""
    return shutil.copytree(few_originals, tmp_path / "few")


@pytest.fixture
def few_preparation(monkeypatch) -> prepare.Preparation:
    """Makes three shards of the seven photographs."""
    monkeypatch.setattr(shards, "PHOTOGRAPHS_PER_SHARD", 3)
    return prepare.Preparation(datasets=[FEW], image_size=64)


@pytest.fixture(scope="session")
def few_prepared_once(few_originals, tmp_path_factory) -> records.Prepared:
    """The seven photographs in three shards, not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "PHOTOGRAPHS_PER_SHARD", 3)
        preparation = prepare.Preparation(datasets=[FEW], image_size=64)
        target = tmp_path_factory.mktemp("prepared_few")
        return preparation.run({"few": few_originals}, target).folders[0]


@pytest.fixture
def few_prepared(few_prepared_once, tmp_path) -> records.Prepared:
    """The same in a folder of one test's own, `tmp_path / "prepared"`."""
    folder = tmp_path / "prepared" / few_prepared_once.folder.name
    shutil.copytree(few_prepared_once.folder, folder)
    return records.Prepared(folder)
