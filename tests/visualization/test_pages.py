"""Pages: one file that needs nothing else, legible in the light and in the dark."""

import base64
import io
import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree

import jinja2
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from visualization import figures, pages


@pytest.fixture
def render(monkeypatch):
    """Renders a template that is given as text."""

    def render(text, name="own.html", **content):
        own = jinja2.DictLoader({name: text})
        environment = pages._ENVIRONMENT
        both = jinja2.ChoiceLoader([own, environment.loader])
        # Not the shared one: it remembers templates by their names.
        overlay = environment.overlay(loader=both)
        monkeypatch.setattr(pages, "_ENVIRONMENT", overlay)
        return pages.render(name, **content)

    return render


def decode(uri, kind):
    head, content = uri.split(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(content)


def decoded_picture(uri):
    return np.asarray(Image.open(io.BytesIO(decode(uri, "image/jpeg"))))


def smooth(height, width):
    """A photograph that JPEG keeps well, red above and blue below."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(220, 30, height)[:, None]
    image[..., 2] = np.linspace(20, 190, height)[:, None]
    return image


def test_a_picture_decodes_to_the_photograph_with_red_as_red():
    image = smooth(48, 64)
    np.testing.assert_allclose(decoded_picture(pages.picture(image)), image, atol=12)


def test_a_wide_picture_is_reduced_in_proportion_and_a_narrow_one_left():
    image = smooth(60, 120)
    small = decoded_picture(pages.picture(image, 40))
    assert small.shape == (20, 40, 3)
    expected = np.asarray(Image.fromarray(image).resize((40, 20), Image.Resampling.BOX))
    np.testing.assert_allclose(small, expected, atol=12)
    assert decoded_picture(pages.picture(image, 500)).shape == (60, 120, 3)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4, 3))]
)
def test_what_is_no_photograph_is_refused(image):
    with pytest.raises(ValueError, match=r"must be uint8 of shape .* Received: shape="):
        pages.picture(image)


def plot():
    figure = Figure(figsize=(3, 2), facecolor="white")
    axes = figure.add_subplot()
    axes.plot([0, 1], [1, 0], label="line")
    axes.legend()
    return figure


def test_a_figure_is_an_svg_of_its_size_without_fonts_or_a_date():
    svg = decode(pages.figure(plot()), "image/svg+xml").decode()
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    # 72 points an inch.
    assert (root.get("width"), root.get("height")) == ("216pt", "144pt")
    assert not root.findall(".//{http://www.w3.org/2000/svg}text")
    assert "date" not in svg.lower()


def test_the_same_figure_gives_the_same_bytes_and_leaves_settings_alone():
    names = ("svg.hashsalt", "svg.fonttype")
    before = [matplotlib.rcParams[name] for name in names]
    assert pages.figure(plot()) == pages.figure(plot())
    assert [matplotlib.rcParams[name] for name in names] == before


def test_drawing_a_figure_loads_neither_pyplot_nor_tensorflow():
    code = (
        "import sys; from matplotlib.figure import Figure; "
        "from visualization import pages; pages.figure(Figure()); "
        "print([m for m in ('matplotlib.pyplot', 'tensorflow') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_text_is_escaped_and_a_forgotten_value_is_an_error(render):
    assert render("{{ a }}", a="<b>&'") == "&lt;b&gt;&amp;&#39;"
    with pytest.raises(jinja2.UndefinedError, match="'forgotten' is undefined"):
        render("{{ forgotten }}")


def test_markdown_is_not_escaped_as_html_is(render):
    assert render("{{ a }}", name="own.md", a="grade >= 2") == "grade >= 2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ 1234567 | number }}", "1,234,567"),
        ("{{ 0.73449 | number(3) }}", "0.734"),
        ("{{ 1 | count('pair') }}", "1 pair"),
        ("{{ 1200 | count('pair') }}", "1,200 pairs"),
        ("{{ 0 | count('eye', 'eyes') }}", "0 eyes"),
        ("{{ percent(1, 3) }}", "33 %"),
        ("{{ percent(1, 999) }}", "&lt;1 %"),
        ("{{ percent(998, 999) }}", "&gt;99 %"),
        ("{{ percent(0, 9) }} {{ percent(9, 9) }} {{ percent(0, 0) }}", "0 % 100 % -"),
    ],
)
def test_numbers_are_written_for_people(render, text, expected):
    assert render(text) == expected


def test_the_base_page_frames_a_childs_title_contents_and_main(render):
    page = render(
        '{% extends "page.html" %}{% set contents = [("one", "First & last")] %}'
        "{% block title %}A <title>{% endblock %}"
        '{% block main %}<section id="one">text</section>{% endblock %}'
    )
    assert page.lstrip().startswith("<!doctype html>")
    assert '<html lang="en">' in page
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page
    assert "<title>A <title></title>" in page and "<h1>A <title></h1>" in page
    assert '<a href="#one">First &amp; last</a>' in page
    for landmark in ("header", "nav", "main", "footer"):
        assert len(re.findall(f"<{landmark}[ >]", page)) == 1
    assert not re.search(r"<script|<link|@import|https?://", page)


def test_a_page_without_main_is_an_error(render):
    with pytest.raises(jinja2.TemplateRuntimeError, match="'main' not found"):
        render('{% extends "page.html" %}{% set contents = [] %}'
               "{% block title %}a{% endblock %}")  # fmt: skip


def test_a_bar_keeps_each_grades_own_colour_where_some_are_absent(render):
    bar = render(
        '{% import "macros.html" as macros %}{{ macros.bar([3, 0, 0, 2, 0, 1]) }}'
    )
    parts = re.findall(r'class="g(\d)" style="flex-grow:(\d)"', bar)
    assert parts == [("0", "3"), ("3", "2"), ("5", "1")]


def contrast(one, other):
    """WCAG 2, from its definition."""

    def luminance(color):
        if len(color) == 4:
            color = "#" + "".join(digit * 2 for digit in color[1:])
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in channels
        ]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_as_wcag_states_it():
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_every_text_stands_out_from_every_ground(scheme):
    style = pages.render("style.html")
    blocks = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    light, dark, printed = (
        dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in blocks
    )
    colors = light | {"light": {}, "dark": dark, "print": printed}[scheme]
    texts, grounds = ("ink", "dim", "link", "alarm"), ("paper", "wash", "alarm-wash")
    for text, ground in itertools.product(texts, grounds):
        assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)


def test_the_style_has_the_figures_colours():
    style = pages.render("style.html")
    for name, color in (
        ("ink", figures.INK),
        ("link", figures.HEALTHY_COLOR),
        ("grade-0", figures.HEALTHY_COLOR),
        ("grade-3", figures.DISEASE_COLOR),
    ):
        assert f"--{name}: {color};" in style
