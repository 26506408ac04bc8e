"""The pages in headless Chromium: sound, legible on a phone, accessible, printable.

Where Chromium, its driver, selenium or axe-core is missing they are skipped, unless the
environment variable RETINOGRAD_NEEDS_BROWSER is set, as CI does: then they fail.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import urllib.parse

import numpy as np
import pytest

from evaluation import compare, facts, gallery, report
from input_pipeline import audit, tasks
from tests.evaluation import drawn_runs
from tests.train import drawn_results
from train import search_results

AXE = pathlib.Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = {"phone": 375, "desk": 1280}
PAGES = (
    "report",
    "report with heat maps",
    "report of five grades",
    "report on another site",
    "audit",
    "comparison",
    "search",
)


def missing() -> str | None:
    """What a machine lacks for these tests."""
    if importlib.util.find_spec("selenium") is None:
        return "selenium is not installed: pip install selenium"
    if not any(map(shutil.which, BROWSERS)) or not shutil.which("chromedriver"):
        return "Chromium is not installed: apt-get install chromium chromium-driver"
    if not AXE.exists():
        return f"there is no {AXE}: npm install --no-save axe-core"
    return None


@pytest.fixture(scope="module")
def browser():
    if reason := missing():
        if os.environ.get("RETINOGRAD_NEEDS_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    logs = {"browser": "ALL", "performance": "ALL"}
    options.set_capability("goog:loggingPrefs", logs)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def addresses(browser, drawn_run, write_run, elsewhere, audited, tmp_path_factory):
    """The address of each page; without a browser none is made."""
    folder = tmp_path_factory.mktemp("pages")
    grades = write_run(folder / "grades", tasks.icdr_grades())
    found = facts.read(drawn_run, drawn_run, audited)
    entry = found.ledger[0] | {"config_sha256": "cd" * 32}
    found.ledger.append(entry)
    drawn_map = np.full((64, 64, 3), (160, 60, 20), np.uint8)
    heatmap = gallery.HeatMap(drawn_map, "Grad-CAM: what speaks for “referable”")
    site = folder / "site"
    found_there = facts.read(site / "run", site / "run", elsewhere(site, ("test",)))
    texts = {
        "report": report.render(found),
        "report with heat maps": report.render(found, lambda one: heatmap),
        "report of five grades": report.render(facts.read(grades, grades, audited)),
        "report on another site": report.render(found_there),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    paths = {name: folder / f"{name}.html" for name in texts}
    paths["audit"] = audited.folder / audit.PAGE
    paths["comparison"] = write_comparison(folder / "compared")
    (folder / "search").mkdir()
    drawn_results.write(folder / "search")
    paths["search"] = folder / "search" / search_results.PAGE
    return {name: path.as_uri() for name, path in paths.items()}


def write_comparison(folder):
    """Two seeds, and another task, so that there are joint figures."""
    edema = {"task": tasks.macular_edema(), "label": lambda grade: min(grade, 2)}
    runs = {
        "one seed": {"skill": 3.0},
        "another seed": {"seed": 1, "skill": 3.0, "bindings": {"train.seed": "1"}},
        "edema": edema,
    }
    folders = [
        drawn_runs.write_run(folder / name, **settings)
        for name, settings in runs.items()
    ]
    compare.Comparer(resamples=200).run(folders)
    (page,) = folders[0].glob("compare/*/comparison.html")
    return page


def begin(browser, width) -> None:
    """Makes the browser as if new, and so many pixels wide."""
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
    )


@pytest.fixture
def opened(browser, addresses):
    """Opens a page: `opened("audit", 375)`."""

    def open_page(name, width, medium="", scheme="light"):
        begin(browser, width)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": medium, "features": features}
        )
        browser.get(addresses[name])
        return browser

    return open_page


OVERFLOWING = """
const most = document.documentElement.clientWidth;
const inScroll = one => one.parentElement.closest('.scroll') !== null;
return [...document.querySelectorAll('body *')]
  .filter(one => one.getBoundingClientRect().right > most + 1)
  .filter(one => arguments[0] || !inScroll(one))
  .map(one => one.outerHTML.slice(0, 120));
"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_a_page_opens_without_errors_and_never_scrolls_sideways(opened, name, width):
    page = opened(name, width)
    assert page.get_log("browser") == []
    widths = "return [document.documentElement.scrollWidth, window.innerWidth]"
    scroll_width, inner_width = page.execute_script(widths)
    assert scroll_width <= inner_width == width
    assert page.execute_script(OVERFLOWING, False) == []


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_of_a_page_is_drawn(opened, name):
    script = "return [...document.images].map(one => one.naturalWidth)"
    widths = opened(name, 1280).execute_script(script)
    assert widths and min(widths) > 0


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_nothing_but_itself(opened, addresses, name):
    messages = [
        json.loads(entry["message"])["message"]
        for entry in opened(name, 1280).get_log("performance")
    ]
    asked = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    outside = {one for one in asked if not one.startswith("data:")}
    assert {urllib.parse.unquote(one) for one in outside} == {
        urllib.parse.unquote(addresses[name])
    }


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_axe_finds_no_violation(opened, name, width, scheme):
    page = opened(name, width, scheme=scheme)
    page.execute_script(AXE.read_text(encoding="utf-8"))
    found = page.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 20
    violations = [
        f"{one['id']}: {one['help']}: {node['html'][:200]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
    assert violations == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_off_in_print(opened, name):
    # A4 less the style's margins of 14 mm, at 96 pixels an inch.
    page = opened(name, 688, medium="print")
    assert page.execute_script(OVERFLOWING, True) == []
    assert page.execute_cdp_cmd("Page.printToPDF", {})["data"].startswith("JVBERi0")
