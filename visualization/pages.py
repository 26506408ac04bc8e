"""Self-contained HTML pages: one file that opens anywhere, without a network.

A page is a template of `templates/` that extends `page.html`. Its pictures and figures
are part of it, as data URIs. Markdown is made of templates too.
"""

import base64
import io
from typing import Any

import cv2
import jinja2
import matplotlib
import numpy as np
from matplotlib.backends import backend_svg
from matplotlib.figure import Figure

from visualization import figures

_COLORS = {
    "ink": figures.INK,
    "faint": figures.FAINT,
    "healthy": figures.HEALTHY_COLOR,
    "disease": figures.DISEASE_COLOR,
}


def render(template: str, **content: Any) -> str:
    """Fills a template in.

    Args:
        template: File name in `templates/`.
        **content: What the template names. In HTML text is escaped.

    Returns:
        The page.
    """
    return _ENVIRONMENT.get_template(template).render(content)


def picture(image: np.ndarray, width: int | None = None) -> str:
    """Encodes a photograph for the `src` of an `img`, as JPEG.

    Args:
        image: uint8 array of shape `(height, width, 3)`, RGB, 0-255.
        width: Pixels to which a wider image is reduced, its sides in proportion.

    Returns:
        A data URI.

    Raises:
        ValueError: If shape or type are not as described.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            "`image` must be uint8 of shape `(height, width, 3)`. Received: "
            f"shape={image.shape}, dtype={image.dtype}."
        )
    if width is not None and width < image.shape[1]:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return _data_uri("image/jpeg", cv2.imencode(".jpg", image, options)[1].tobytes())


def figure(figure: Figure) -> str:
    """Encodes a figure for the `src` of an `img`, as SVG; its text becomes outlines.

    Args:
        figure: Any matplotlib figure. The same figure gives the same bytes.

    Returns:
        A data URI.
    """
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "retinograd", "svg.fonttype": "path"}):
        canvas = backend_svg.FigureCanvasSVG(figure)
        canvas.print_figure(
            file,
            format="svg",
            facecolor=figure.get_facecolor(),
            metadata={"Date": None, "Creator": None},
        )
    return _data_uri("image/svg+xml", file.getvalue().encode())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _number(value: float, digits: int = 0) -> str:
    """As in 1,234 or, with digits, 0.732."""
    return f"{value:,.{digits}f}"


def _count(number: int, one: str, several: str | None = None) -> str:
    """As in "1 photograph" and "1,234 photographs"."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _percent(part: float, whole: float) -> str:
    """A share, which rounding turns neither into nothing nor into all."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if 0 < percent < 0.5:
        return "<1 %"
    return ">99 %" if 99.5 <= percent < 100 else f"{percent:.0f} %"


def _make_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("visualization"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "count": _count}
    environment.globals |= {"colors": _COLORS, "percent": _percent}
    return environment


_ENVIRONMENT = _make_environment()
