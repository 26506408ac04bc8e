"""The result of one photograph on a sheet of paper, as a PDF file."""

import datetime
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import fpdf
import numpy as np

from serving import about, wording

WARNING = "RESEARCH, NOT DIAGNOSIS"

_MARGIN, _BAND = 15, 14  # In millimetres, of a sheet of A4.
_WIDTH, _HEIGHT = 210 - 2 * _MARGIN, 297
_TALLEST = 82
_RED, _GREY = (160, 30, 20), (90, 90, 90)


def check(reference: str, card: Mapping[str, Any]) -> None:
    """Raises unless the font has all characters of what others wrote.

    Args:
        reference: What the reader calls the photograph.
        card: The model's card.

    Raises:
        ValueError: It lacks one.
    """
    task = card["task"]
    of_model = (card["name"], task["rule"], *task["class_names"], *card["datasets"])
    for text in (reference, *of_model):
        for one in text:
            if ord(one) > 255 or not one.isprintable():
                raise ValueError(
                    "What is printed must consist of western letters, digits and "
                    f"signs. In {text!r} that is not so of {one!r}."
                )


def file_name(reference: str) -> str:
    """What the sheet is called, by what the reader calls the photograph."""
    named = re.sub(r"\W+", "_", reference).strip("_")
    return f"retinograd_{named}.pdf" if named else "retinograd.pdf"


def as_pdf(
    answer: wording.Answer,
    card: Mapping[str, Any],
    *,
    photograph: np.ndarray | None = None,
    overlaid: np.ndarray | None = None,
    legend: np.ndarray | None = None,
    drawn: bool = False,
    shown: str = "",
    believed: str = "",
    reference: str = "",
) -> bytes:
    """Prints what a model says of a photograph on one page of A4.

    Neither the file's name nor what its header tells of the patient is printed.

    Args:
        answer: As `serving.asking.Source` gives it.
        card: The model's card.
        photograph: uint8 array of shape `(height, width, 3)`, RGB, 0-255, if there is a
            picture that can be seen.
        overlaid: The same with its heat map.
        legend: A bar of the heat map's colours.
        drawn: Whether the photograph is a drawn example.
        shown: What the colours of the heat map mean.
        believed: How far it can be believed.
        reference: What the reader calls the photograph.

    Returns:
        The PDF file.

    Raises:
        ValueError: As `check` says.
    """
    check(reference, card)
    sheet = _Sheet(datetime.datetime.fromisoformat(answer["answered"]))
    task = card["task"]
    sheet.line(wording.headline(answer, task, drawn), size=17, bold=True)
    if drawn:
        sheet.line(wording.DRAWN, bold=True)
    if reference:
        sheet.line(f"Reference: {reference}", size=11)
    if card["trained_on_drawings"]:
        sheet.line("The model learnt from drawings and knows no eyes.", bold=True)
    if answer["answer"] == "abstention":
        sheet.line(wording.abstention(answer))
    else:
        sheet.line(wording.referral(answer, task))
        sheet.line(wording.reason(answer, task))
        sheet.line(wording.certainty(answer, task))
        sheet.line(about.meaning(answer, card))
    pictures = {"The photograph": photograph, shown: overlaid}
    sheet.pictures({text: one for text, one in pictures.items() if one is not None})
    if legend is not None:
        sheet.colours(legend)
    sheet.line(believed, size=8)
    if answer["answer"] == "prediction":
        shares = answer["probabilities"].items()
        sheet.table(
            "Probability", [(name, wording.percent(share)) for name, share in shares]
        )
    if answer["quality"]:
        measured = wording.quality(answer["quality"], card["limits"])
        sheet.table("Quality of the photograph", measured.items())
    sheet.table("This result", _origin(answer, card))
    sheet.line(f"{about.track_record(card)} {about.threshold(card)}", size=8)
    sheet.line(card["intended_use"], size=8)
    return bytes(sheet.output())


def _origin(answer: wording.Answer, card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What tells which model said it, when, and where the log has it."""
    model = answer["model"]
    rows = [
        ("answered", f"{answer['answered'][:19].replace('T', ' ')} UTC"),
        ("model", f"{model['name']}, {model['variant']}: {card['task']['rule']}"),
        ("fingerprint of the model", model["sha256"]),
    ]
    if answer["request_id"]:
        rows.append(("request", answer["request_id"]))
    return rows


class _Sheet(fpdf.FPDF):
    """A page with the warning at its top and bottom."""

    def __init__(self, when: datetime.datetime):
        super().__init__(format="A4")
        self.c_margin = 0
        self.set_margins(_MARGIN, _BAND + 6, _MARGIN)
        self.set_auto_page_break(True, _BAND + 4)
        self.set_title("Retinograd: result of one photograph")
        self.set_lang("en")
        self.set_creation_date(when)
        self.add_page()

    def header(self) -> None:
        """The warning at the top."""
        self._warn(0)
        self.set_xy(_MARGIN, _BAND + 6)

    def footer(self) -> None:
        """The same at the bottom."""
        self._warn(_HEIGHT - _BAND)

    def _warn(self, top: float) -> None:
        self.set_fill_color(*_RED)
        self.rect(0, top, 210, _BAND, style="F")
        self.set_text_color(255)
        self.set_font("helvetica", "B", 22)
        self.set_xy(0, top)
        self.cell(210, _BAND, WARNING, align="C")

    def line(self, text: str, *, size: float = 10, bold: bool = False) -> None:
        """A paragraph, unless it is empty."""
        if text:
            self._font(size, bold)
            self.multi_cell(
                _WIDTH, size * 0.5, text, align="L", new_x="LMARGIN", new_y="NEXT"
            )
            self.ln(1)

    def pictures(self, pictures: Mapping[str, np.ndarray]) -> None:
        """Pictures side by side, each above what it is."""
        self.ln(1)
        top, below = self.get_y(), self.get_y()
        for number, (text, one) in enumerate(pictures.items()):
            left = _MARGIN + number * (_WIDTH + 4) / 2
            width = (_WIDTH - 4) / 2
            height = min(width * one.shape[0] / one.shape[1], _TALLEST)
            self.image(
                _jpeg(one),
                left,
                top,
                height * one.shape[1] / one.shape[0],
                height,
                alt_text=text,
            )
            self.set_xy(left, top + height + 1)
            self._font(8)
            self.multi_cell(width, 3.6, text, align="L", new_y="NEXT")
            below = max(below, self.get_y())
        self.set_xy(_MARGIN, below + 1)

    def colours(self, legend: np.ndarray) -> None:
        """A bar of colours between what its ends mean, below the second picture."""
        self._font(8)
        self.set_x(_MARGIN + (_WIDTH + 4) / 2)
        self.cell(text="nothing ")
        self.image(_jpeg(legend), self.get_x(), self.get_y() + 1, 40, 2, alt_text="")
        self.set_x(self.get_x() + 40)
        self.cell(text=" most", new_x="LMARGIN", new_y="NEXT")
        self.ln(2)

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Two columns below a title."""
        self._font(10, bold=True)
        self.cell(_WIDTH, 6, title, border="B", new_x="LMARGIN", new_y="NEXT")
        self.ln(1)
        for name, value in rows:
            self._font(9)
            self.set_text_color(*_GREY)
            self.cell(50, 4.6, name)
            self.set_text_color(0)
            self.multi_cell(
                _WIDTH - 50,
                4.6,
                value,
                align="L",
                new_x="LMARGIN",
                new_y="NEXT",
            )
        self.ln(2)

    def _font(self, size: float, bold: bool = False) -> None:
        self.set_text_color(0)
        self.set_font("helvetica", "B" if bold else "", size)


def _jpeg(picture: np.ndarray) -> io.BytesIO:
    """Encoded anew, so that nothing of the file's own header is left."""
    done, encoded = cv2.imencode(".jpg", picture[..., ::-1])
    if not done:
        raise RuntimeError(f"a picture of shape {picture.shape} cannot be encoded")
    return io.BytesIO(encoded.tobytes())
