"""The tables of docs/experiments.md name what there is."""

import pathlib
import re

import main
from configs import syntax

ROOT = pathlib.Path(__file__).parents[1]


def section(heading: str) -> str:
    guide = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
    return guide.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_every_shipped_experiment_is_in_the_table():
    named = re.findall(r"`(\w+\.gin)`", section("Shipped experiments"))
    assert sorted(named) == sorted(one.name for one in syntax.CONFIGS.glob("*.gin"))


def test_every_mode_is_in_the_table():
    named = re.findall(r"^\| `([a-z]+)", section("Modes"), re.MULTILINE)
    assert sorted(set(named)) == sorted(main.MODES)
