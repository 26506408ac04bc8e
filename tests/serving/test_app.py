"""The page, as its script alone and in headless Chromium, as a reader sees it."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse

import cv2
import numpy as np
import pypdf
import pytest
import requests
from selenium.common import exceptions
from selenium.webdriver.common import action_chains, keys
from streamlit.testing import v1

from serving import app, asking, draw_examples, settings
from tests import test_pages_in_a_browser as pages
from tests.serving import servers

browser = pages.browser

SCRIPT = str(servers.ROOT / "serving" / "app.py")
WIDTHS = {"phone": 375, "desk": 1280}


@pytest.fixture
def script(exported, monkeypatch):
    """The page's script with a model of its own: `script(allow_drawings="false")`."""

    def run(**chosen):
        values = {"model": exported, "allow_drawings": "true"} | chosen
        for name, value in values.items():
            monkeypatch.setenv(settings.Page.PREFIX + name.upper(), str(value))
        return v1.AppTest.from_file(SCRIPT, default_timeout=60).run()

    return run


def words(page) -> str:
    kinds = (page.markdown, page.warning, page.error, page.info, page.header)
    return "\n".join(str(one.value) for kind in kinds for one in kind)


def test_the_limits_are_the_first_thing_that_is_said(script):
    page = script()
    assert not page.exception
    assert page.warning[0].value.startswith("**For research, not for diagnosis.**")
    assert "Not a medical device" in page.warning[0].value
    assert page.error[0].value.startswith("**This model learnt from drawings**")
    assert "expect it to be worse" in words(page)


@pytest.mark.parametrize("example", app.EXAMPLES)
def test_every_example_is_answered(script, example):
    page = script()
    page.button_group(key="example").select(example).run()
    assert not page.exception
    heading = page.header[0].value
    assert heading.startswith("Of a drawing: ")
    assert "says nothing about any eye" in page.info[0].value
    if example == "Out of focus":
        assert heading == "Of a drawing: no answer"
        assert "out of focus, or behind a haze. Focus and take it" in words(page)
    else:
        assert "eferable diabetic retinopathy" in heading
        assert "the threshold of" in words(
            page
        ) and "By the model's own account" in words(page)


def test_a_model_of_drawings_gives_no_grade(script):
    page = script(allow_drawings="false")
    page.button_group(key="example").select("Severe").run()
    assert page.header[0].value == "Of a drawing: no answer"
    assert "The model learnt from drawings" in page.info[1].value


def test_a_model_without_heat_maps_can_be_asked_for_one(script, damaged_card):
    page = script(model=damaged_card(heatmaps=False))
    page.button_group(key="example").select("Severe").run()
    assert not page.exception
    page.button_group(key="method").select("occlusion").run()
    assert not page.exception


@pytest.mark.parametrize("has_maps", [True, False])
def test_a_method_that_failed_a_check_is_not_offered_and_said_so(
    script, damaged_card, has_maps
):
    folder = damaged_card(failed_methods=["occlusion"], heatmaps=has_maps)
    page = script(model=folder)
    page.button_group(key="example").select("Severe").run()
    assert not page.exception
    methods = [one for one in page.get("button_group") if one.key == "method"]
    offered = [option for one in methods for option in one.options]
    assert offered == (["Grad-CAM"] if has_maps else [])
    assert any("Not offered: Occlusion. A" in one.value for one in page.caption)
    assert "the threshold of" in words(page)


def test_a_heat_map_that_takes_too_long_leaves_the_rest_of_the_page(
    script, monkeypatch
):
    def late(self, photograph, class_name):
        raise asking.NoAnswer("It took more than 50 seconds.")

    monkeypatch.setattr(asking.Embedded, "occlude", late)
    page = script()
    page.button_group(key="example").select("Severe").run()
    page.button_group(key="method").select("occlusion").run()
    assert not page.exception
    assert "It took more than 50 seconds." in words(page)
    assert "the threshold of" in words(page)
    assert "The model" in [one.value for one in page.header]


def test_a_page_without_its_model_says_what_is_missing(script, tmp_path):
    page = script(model=tmp_path)
    assert not page.exception
    assert "holds no exported model. Export one" in page.error[0].value


def test_a_page_without_its_api_says_so(script):
    page = script(model="", api="http://127.0.0.1:9")
    assert not page.exception
    assert "The API at http://127.0.0.1:9 does not answer" in page.error[0].value
    assert page.button[0].label == "Try again"


def test_a_page_shows_the_card_of_the_model_that_answers(
    exported, damaged_card, monkeypatch
):
    other = damaged_card(name="another")
    with servers.serve(exported) as server:
        monkeypatch.setenv("RETINOGRAD_PAGE_API", server.address)
        page = v1.AppTest.from_file(SCRIPT, default_timeout=60).run()
        assert "**tiny** decides on" in words(page)
        port = server.port
    with servers.serve(other, {"port": port}):
        page.run()
        assert "**another** decides on" in words(page)


def test_what_the_api_would_refuse_is_named():
    card = {"accepts": {"most_bytes": 2_000_000}}
    photographs = {"small.jpg": b"x", "large.png": bytes(2_000_001)}
    with pytest.raises(ValueError, match=r"at most 2 MB\. Remove large\.png, or save"):
        app._check_sizes(photographs, card)
    app._check_sizes({"small.jpg": b"x"}, card)
    app._check_sizes(photographs, {})


def test_a_misspelt_setting_is_named(script):
    page = script(modle="x")
    assert "Did you mean RETINOGRAD_PAGE_MODEL?" in page.error[0].value


def test_the_examples_are_those_that_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(draw_examples, "FOLDER", tmp_path)
    draw_examples.main()
    for file in app.EXAMPLES.values():
        drawn = cv2.imread(str(tmp_path / file))
        kept = cv2.imread(str(servers.ROOT / "serving" / "examples" / file))
        assert np.abs(drawn.astype(int) - kept).mean() < 1


@contextlib.contextmanager
def streamlit(api: str):
    """The page as a process of its own; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", SCRIPT]
    command += ["--server.address=127.0.0.1", f"--server.port={port}"]
    with subprocess.Popen(
        command,
        cwd=servers.ROOT,
        env=os.environ | {"RETINOGRAD_PAGE_API": api},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            for _ in range(300):
                health = f"http://127.0.0.1:{port}/_stcore/health"
                with contextlib.suppress(requests.ConnectionError):
                    if requests.get(health, timeout=30).ok:
                        break
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def address(browser, exported):
    with servers.serve(exported) as server, streamlit(server.address) as address:
        yield address


class Page:
    """What a reader does."""

    def __init__(self, driver):
        self.driver = driver

    def wait(self, what: str, look):
        """What `look` finds, once it finds it."""
        for _ in range(300):
            with contextlib.suppress(exceptions.WebDriverException):
                if found := look():
                    return found
            time.sleep(0.2)
        text = self.driver.execute_script("return document.body.innerText")
        raise AssertionError(f"there is no {what} in: {text}")

    def see(self, *texts: str) -> None:
        """Waits until all texts are on the page."""
        script = (
            "return arguments[0].every(one => document.body.innerText.includes(one))"
        )
        self.wait(str(texts), lambda: self.driver.execute_script(script, texts))

    def find(self, selector: str):
        """Waits for an element."""
        return self.wait(
            selector, lambda: self.driver.find_element("css selector", selector)
        )

    def click(self, text: str) -> None:
        """Clicks a button."""
        script = """
        const named = one => one.innerText.trim() === arguments[0];
        const found = [...document.querySelectorAll('button')].filter(named);
        found.forEach(one => one.click());
        return found.length;
        """
        self.wait(text, lambda: self.driver.execute_script(script, text))

    def press(self, key: str) -> None:
        """Presses a key, wherever the focus is."""
        action_chains.ActionChains(self.driver).send_keys(key).perform()

    def tab_to(self, selector: str, text: str = "") -> None:
        """Goes on by Tab until what has the focus fits; it must be in sight then."""
        script = """
        const one = document.activeElement, box = one.getBoundingClientRect();
        const fits = one.matches(arguments[0]) && one.innerText.includes(arguments[1]);
        const name = one.getAttribute('aria-label') || one.innerText;
        const seen = box.bottom > 0 && box.top < innerHeight;
        return [fits, seen, `${one.tagName} ${name}`];
        """
        passed = []
        for _ in range(60):
            self.press(keys.Keys.TAB)
            fits, seen, name = self.driver.execute_script(script, selector, text)
            if fits:
                assert seen, f"{name} has the focus out of sight"
                return
            passed.append(name)
        raise AssertionError(f"Tab never comes to {selector} {text}: {passed}")

    def upload(self, *paths: pathlib.Path) -> None:
        """Chooses files."""
        chosen = "\n".join(map(str, paths))
        self.find("input[type=file]").send_keys(chosen)  # It is hidden, and works.

    def picture(self) -> str:
        """The address of the photograph with its heat map, once it is drawn."""
        script = """
        const one = document.querySelector('img[alt*="with the heat map"]');
        return one && one.complete && one.naturalWidth > 300 ? one.src : null;
        """
        return self.wait("picture", lambda: self.driver.execute_script(script))


@pytest.fixture
def visit(browser, address):
    """Opens the page: `visit(375)`."""

    def open_page(width):
        pages.begin(browser, width)
        browser.get(address)
        page = Page(browser)
        page.see("The model", "For research, not for diagnosis.")
        return page

    return open_page


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_a_reader_picks_an_example_and_moves_the_slider(visit, width):
    page = visit(width)
    page.click("Severe")
    page.see(
        "referable diabetic retinopathy",
        "By the model's own account",
        "What speaks for",
    )
    before = page.picture()
    slider = page.find("input[type=range]")
    slider.send_keys("\ue012" * 5)  # Left, on the keyboard.
    page.see("55 %")
    page.wait("other picture", lambda: page.picture() != before)
    widths = "return [document.documentElement.scrollWidth, window.innerWidth]"
    scroll_width, inner_width = page.driver.execute_script(widths)
    assert scroll_width <= inner_width == width
    assert page.driver.get_log("browser") == []


@pytest.mark.parametrize("method", ["Grad-CAM", "Occlusion"])
def test_the_slider_keeps_the_focus_from_the_first_key_on(visit, method):
    page = visit(1280)
    page.click("Severe")
    page.see("Grad-CAM: red is what speaks most")
    page.click(method)
    page.see(f"{method}: ")
    page.driver.execute_script("arguments[0].focus()", page.find("input[type=range]"))
    for expected in ("59 %", "58 %", "57 %"):
        before = page.picture()
        page.press(keys.Keys.ARROW_LEFT)
        page.see(expected)
        page.wait("other picture", lambda before=before: page.picture() != before)


@pytest.mark.parametrize("key", ["ENTER", "SPACE"])
def test_a_reader_without_a_mouse_comes_to_a_result(visit, key):
    page = visit(1280)
    assert page.driver.execute_script("return document.activeElement.tagName") == "BODY"
    page.tab_to("button", "No retinopathy")  # Arrows would go on to the others.
    page.press(getattr(keys.Keys, key))
    page.see("eferable diabetic retinopathy", "By the model's own account")
    page.picture()
    page.tab_to("button", "Download as CSV")
    page.tab_to("input[type=range]")


def test_a_reader_uploads_photographs_and_rubbish(visit, drawing, tmp_path):
    page = visit(1280)
    photograph, rubbish = tmp_path / "eye.jpg", tmp_path / "rubbish.jpg"
    photograph.write_bytes(drawing)
    rubbish.write_bytes(b"<script>alert(1)</script>")
    page.upload(rubbish)
    page.see("No answer", "no JPEG, PNG, TIFF or WebP image")
    page.upload(photograph)
    page.see("Look at", "rubbish.jpg", "eye.jpg", "Download as CSV", " photographs: ")
    shutil.rmtree(tmp_path)


def test_what_a_file_begins_with_is_not_shown(visit, tmp_path):
    page = visit(1280)
    rubbish = tmp_path / "rubbish.jpg"
    rubbish.write_bytes(b"![a](//b.c/d)")
    page.upload(rubbish)
    page.see("No answer", "have a person look at it")
    assert "b.c/d" not in page.driver.page_source


def test_a_reader_takes_the_result_home_on_paper(visit, drawing, tmp_path):
    page = visit(1280)
    photograph, taken = tmp_path / "Jane_Doe.jpg", tmp_path / "taken"
    photograph.write_bytes(drawing)
    page.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(taken)}
    )
    page.upload(photograph)
    page.see("By the model's own account", "Download as PDF")
    field = "input[aria-label='Your reference, to be printed']"
    page.find(field).send_keys("रोगी\n")
    page.see("western letters")
    # All of it is marked, and written over.
    page.find(field).send_keys(keys.Keys.CONTROL, "a")
    page.find(field).send_keys("Study 12\n")
    button = "//button[contains(., 'Download as PDF')]"
    click = lambda: page.driver.find_element("xpath", button).click() or True  # noqa: E731
    page.wait("button", click)
    sheet = page.wait("file", lambda: next(taken.glob("*.pdf"), None))
    assert sheet.name == "retinograd_Study_12.pdf"
    (one,) = pypdf.PdfReader(sheet).pages
    words = one.extract_text()
    assert "Reference: Study 12" in words and "Jane" not in words
    assert len(one.images) == 3  # With the bar of colours.
    assert "Of a drawing" not in words
    # By which the log of the API has it.
    assert re.search(r"request\s+[0-9a-f]{32}", words)


def test_a_reader_asks_for_another_heat_map(visit):
    page = visit(1280)
    page.click("Severe")
    page.see("By the model's own account", "Grad-CAM: red is what speaks most")
    before = page.picture()
    page.click("Occlusion")
    page.see("Occlusion: without what is red the model says")
    page.wait("other picture", lambda: page.picture() != before)


def test_the_page_asks_for_nothing_from_elsewhere(visit, address):
    page = visit(1280)
    page.click("Mild")
    page.see("By the model's own account")
    messages = [
        json.loads(entry["message"])["message"]
        for entry in page.driver.get_log("performance")
    ]
    asked = {
        urllib.parse.urlsplit(message["params"]["request"]["url"])
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    outside = {one for one in asked if one.scheme in ("http", "https")}
    assert {one.netloc for one in outside} == {urllib.parse.urlsplit(address).netloc}


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_axe_finds_no_violation_of_ours(visit, width):
    page = visit(width)
    page.click("Severe")
    page.see("By the model's own account", "What speaks for")
    page.picture()
    page.driver.execute_script(pages.AXE.read_text(encoding="utf-8"))
    found = page.driver.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 20
    violations = {
        f"{one['id']}: {node['html'][:300]}"
        for one in found["violations"]
        for node in one["nodes"]
        # Streamlit's own.
        if one["id"] != "presentation-role-conflict"
    }
    assert violations == set()
