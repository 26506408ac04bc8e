"""The web page: upload photographs, read what the model says of them, and see why.

    RETINOGRAD_PAGE_API=http://127.0.0.1:8000 streamlit run serving/app.py

`serving.settings.Page` has all settings.
"""

import functools
import hashlib
import json
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import streamlit

from input_pipeline import fundus
from serving import about, asking, heatmaps, printing, settings, wording
from visualization import overlay as overlays

# What is drawn -> file.
EXAMPLES = {
    "No retinopathy": "grade_0.jpg",
    "Mild": "grade_1.jpg",
    "Moderate": "grade_2.jpg",
    "Severe": "grade_3.jpg",
    "Proliferative": "grade_4.jpg",
    "Out of focus": "out_of_focus.jpg",
}

_EXAMPLES = pathlib.Path(__file__).parent / "examples"

_TYPES = ("jpg", "jpeg", "png", "tif", "tiff", "webp")

_DISEASED, _OTHER, _LINE = "#c0392b", "#1a5fb4", "#757575"


def main() -> None:
    """Draws the page, from its top, each time that something is clicked."""
    # A picture of our own: Streamlit would fetch a symbol from elsewhere.
    icon = _EXAMPLES / "grade_0.jpg"
    streamlit.set_page_config("Retinograd", icon, layout="wide")
    streamlit.title("Retinograd")
    streamlit.write("Grades diabetic retinopathy from photographs of the retina.")
    try:
        page = settings.Page.from_environment()
        source = _connect(page)
        _show_limits(source.card)
        photographs, drawn = _choose(page.most_photographs)
        _check_sizes(photographs, source.card)
        if photographs:
            answers = _ask(source, photographs)
            _show_answers(source, photographs, answers, drawn)
    except (asking.NoAnswer, ValueError) as error:
        streamlit.error(str(error), icon=":material/error:")
        streamlit.button("Try again")
        streamlit.stop()
    _show_model(source.card)


def _connect(page: settings.Page) -> asking.Source:
    # The API is asked for its card each time: it may have another model by now.
    return asking.connect(page) if page.model is None else _load(page)


@streamlit.cache_resource(show_spinner="Loading the model …")
def _load(page: settings.Page) -> asking.Source:
    return asking.connect(page)


def _show_limits(card: dict) -> None:
    streamlit.warning(
        f"**For research, not for diagnosis.** {card['intended_use']}",
        icon=":material/warning:",
    )
    if card["trained_on_drawings"]:
        streamlit.error(
            "**This model learnt from drawings**, to try the software out. It knows "
            "nothing of real eyes.",
            icon=":material/draw:",
        )


def _choose(most: int) -> tuple[dict[str, bytes], bool]:
    """The photographs, name -> content, and whether they are drawn."""
    uploads = streamlit.file_uploader(
        "Photographs of the retina, one or many",
        _TYPES,
        accept_multiple_files=True,
        help="They are kept in memory alone, and only as long as this page is open.",
    )
    example = streamlit.pills(
        "or a drawing, to see how this works",
        EXAMPLES,
        disabled=bool(uploads),
        key="example",
    )
    if len(uploads) > most:
        raise ValueError(f"At most {most} photographs at once. Remove some of them.")
    if not uploads and example:
        content = (_EXAMPLES / EXAMPLES[example]).read_bytes()
        return {f"drawn, {example.lower()}": content}, True
    photographs: dict[str, bytes] = {}
    for one in uploads:
        name, number = one.name, 2
        while name in photographs:
            name, number = f"{one.name} ({number})", number + 1
        photographs[name] = one.getvalue()
    return photographs, False


def _check_sizes(photographs: dict[str, bytes], card: dict) -> None:
    """Names those that the API would refuse, and all others with them."""
    most = card.get("accepts", {}).get("most_bytes")
    large = [name for name, data in photographs.items() if most and len(data) > most]
    if large:
        raise ValueError(
            f"A photograph may have at most {most / 1e6:g} MB. Remove "
            f"{', '.join(large)}, or save it as JPEG."
        )


def _ask(source: asking.Source, photographs: dict[str, bytes]) -> list[dict]:
    """The answers; each photograph is asked about once in a visit."""
    known = streamlit.session_state.setdefault("answers", {})
    keys = [_key(source, data) for data in photographs.values()]
    files = dict(zip(keys, photographs.values(), strict=True))
    missing = [key for key in files if key not in known]
    # Always there: what stands below would be made anew, and lose the focus, where a
    # place above it comes and goes.
    place = streamlit.empty()
    if missing:
        bar = place.progress(0.0, f"Reading {len(missing)} photographs …")
        asked = source.ask([files[key] for key in missing])
        for number, (key, answer) in enumerate(zip(missing, asked, strict=True), 1):
            known[key] = answer
            bar.progress(number / len(missing), f"{number} of {len(missing)} are read")
        place.empty()
    for key in known.keys() - set(keys):
        del known[key]
    return [known[key] for key in keys]


def _key(source: asking.Source, data: bytes) -> tuple[str, ...]:
    """By which it is known what a model said of a photograph."""
    card = source.card
    model = card["fingerprints"]["model_sha256"], card["running"]["variant"]
    return *model, hashlib.sha256(data).hexdigest()


def _show_answers(
    source: asking.Source,
    photographs: dict[str, bytes],
    answers: list[dict],
    drawn: bool,
) -> None:
    card, names = source.card, list(photographs)
    shown = 0
    if len(names) > 1:
        streamlit.markdown(f"**{wording.summary(answers, card['task'])}**")
        _show_table(names, answers, card)
        chosen = streamlit.selectbox("Look at", names)
        shown = names.index(chosen)
    name, answer = names[shown], answers[shown]
    words, picture = streamlit.columns([2, 3], gap="large")
    with words:
        streamlit.header(wording.headline(answer, card["task"], drawn), divider="gray")
        if drawn:
            streamlit.info(wording.DRAWN, icon=":material/draw:")
        if answer["answer"] == "abstention":
            streamlit.info(wording.abstention(answer), icon=":material/help:")
        else:
            _show_decision(answer, card)
    seen: dict[str, Any] = {}
    with picture:
        if answer["answer"] == "prediction":
            seen = _show_heatmap(source, name, photographs[name], answer)
        elif answer["quality"]:
            view = fundus.view(photographs[name], heatmaps.LONGEST)
            seen = {"photograph": view}
            streamlit.image(view, width="stretch", alt=name)
    # Below both, so that on a phone the picture comes before them.
    if answer["quality"]:
        _show_quality(answer["quality"], card["limits"])
    with streamlit.container(horizontal=True, vertical_alignment="bottom"):
        _offer_print(answer, card, seen | {"drawn": drawn})
        streamlit.download_button(
            "Download as CSV",
            wording.as_csv(names, answers, card["task"]["class_names"]),
            "retinograd.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/download:",
        )


def _offer_print(answer: dict, card: dict, seen: dict[str, Any]) -> None:
    reference = streamlit.text_input(
        "Your reference, to be printed",
        max_chars=60,
        placeholder="a number, not a name",
        help="The file's name is not printed, and nothing is kept. The sheet is one "
        "page of A4; the browser's own print would spread this page over several.",
    )
    try:
        printing.check(reference, card)
    except ValueError as error:
        streamlit.error(str(error))
        return
    streamlit.download_button(
        "Download as PDF",
        functools.partial(printing.as_pdf, answer, card, reference=reference, **seen),
        printing.file_name(reference),
        "application/pdf",
        on_click="ignore",
        icon=":material/print:",
    )


def _show_table(names: list[str], answers: list[dict], card: dict) -> None:
    column = streamlit.column_config.TextColumn
    # In pixels: on a phone there is room for the first two.
    widths = {"photograph": 170, "answer": 90, "probability": 110}
    streamlit.dataframe(
        wording.table(names, answers, card["task"]),
        hide_index=True,
        column_config={name: column(width=width) for name, width in widths.items()},
    )


def _show_decision(answer: dict, card: dict) -> None:
    streamlit.write(wording.referral(answer, card["task"]))
    streamlit.write(wording.reason(answer, card["task"]))
    streamlit.write(wording.certainty(answer, card["task"]))
    streamlit.write(about.meaning(answer, card))
    _show_probabilities(answer, card["task"])
    streamlit.caption(f"{about.track_record(card)}\n\n{about.threshold(card)}")


def _show_probabilities(answer: dict, task: dict) -> None:
    diseased = {task["class_names"][number] for number in task["disease_classes"]}
    rows = [
        {
            "class": f"{name} {wording.percent(share)}",
            "probability": share,
            "colour": _DISEASED if name in diseased else _OTHER,
        }
        for name, share in answer["probabilities"].items()
    ]
    label = {"labelLimit": 220, "labelFontSize": 14, "ticks": False, "title": None}
    scale = {"format": "%", "values": [0, 0.5, 1], "title": None}
    axis = {
        "field": "probability",
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "axis": scale,
    }
    layers = [
        {
            "data": {"values": rows},
            "mark": {"type": "bar", "size": 18},
            "encoding": {
                "y": {"field": "class", "type": "nominal", "sort": None, "axis": label},
                "x": axis,
                "color": {"field": "colour", "type": "nominal", "scale": None},
            },
        }
    ]
    words = ""
    # Of more classes it is compared with the sum of several bars.
    if len(diseased) == 1 and len(rows) == 2:
        words = f"threshold {wording.percent(answer['threshold'])}"
        layers.append(_rule(answer["threshold"], words, axis))
    streamlit.vega_lite_chart(
        {"height": 50 + 34 * len(rows), "layer": layers},
        alt="Probabilities: " + ", ".join([row["class"] for row in rows] + [words]),
    )


def _rule(threshold: float, words: str, axis: dict) -> dict:
    """A line across the chart of probabilities."""
    return {
        "data": {"values": [{"probability": threshold, "words": words}]},
        "encoding": {"x": axis},
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [4, 3], "color": _LINE}},
            {
                "mark": {"type": "text", "fontSize": 13, "color": _LINE},
                "encoding": {"text": {"field": "words"}, "y": {"value": -8}},
            },
        ],
    }


def _show_heatmap(
    source: asking.Source, name: str, data: bytes, answer: dict
) -> dict[str, Any]:
    """Draws it; returns what is seen, as `printing.as_pdf` takes it."""
    picture = fundus.view(data, heatmaps.LONGEST)
    explained = streamlit.segmented_control(
        "What speaks for",
        list(answer["probabilities"]),
        default=answer["explained"],
        required=True,
    )
    methods, failed = wording.offered(source.card), wording.not_offered(source.card)
    if failed:
        streamlit.caption(failed)
    if not methods:
        streamlit.image(picture, width="stretch", alt=name)
        return {"photograph": picture}
    method = streamlit.segmented_control(
        "By",
        methods,
        default=None if answer["heatmaps"] is None else methods[0],
        required=answer["heatmaps"] is not None,
        format_func=wording.METHODS.get,
        help=wording.WHICH_METHOD,
        key="method",
    )
    if method is None:
        streamlit.image(picture, "The model has no heat maps.", "stretch", alt=name)
        return {"photograph": picture}
    if method == "grad_cam":
        cells = answer["heatmaps"][explained]
    else:
        try:
            cells = _occlude(source, data, explained)
        except asking.NoAnswer as error:  # All else that is known stays on the page.
            streamlit.error(str(error))
            streamlit.image(picture, width="stretch", alt=name)
            return {"photograph": picture}
    opacity = streamlit.slider("Heat map", 0, 100, 60, format="%d %%") / 100
    heatmap = heatmaps.on_picture(
        np.array(cells), fundus.Crop(**answer["crop"]), picture
    )
    caption = wording.shown(explained, method, heatmap.max())
    believed = about.believed(source.card, answer, explained, method)
    legend = heatmaps.legend(opacity)
    overlaid = overlays.overlay(picture, heatmap, opacity)
    with streamlit.container(horizontal=True, vertical_alignment="center"):
        streamlit.caption("nothing", width="content")
        streamlit.image(legend, width=160, alt="Colours from clear over blue to red")
        streamlit.caption("most", width="content")
    streamlit.image(
        overlaid,
        caption,
        "stretch",
        output_format="JPEG",
        alt=f"{name} with the heat map for {explained}",
    )
    streamlit.caption(believed)
    return {
        "photograph": picture,
        "overlaid": overlaid,
        "legend": legend,
        "shown": caption,
        "believed": believed,
    }


def _occlude(source: asking.Source, data: bytes, explained: str) -> list[list[float]]:
    """A heat map that takes a while; the last one of a visit is kept."""
    key = *_key(source, data), explained
    kept_key, cells = streamlit.session_state.get("occluded", (None, None))
    place = streamlit.empty()  # Always there, as in `_ask`.
    if kept_key != key:
        with (
            place,
            streamlit.spinner("Asking the model without each part, up to a minute …"),
        ):
            cells = source.occlude(data, explained)
        streamlit.session_state["occluded"] = key, cells
    return cells


def _show_quality(quality: dict, limits: dict) -> None:
    with streamlit.expander("Quality of the photograph"):
        streamlit.table(wording.quality(quality, limits), border="horizontal")


def _show_model(card: dict) -> None:
    streamlit.divider()
    streamlit.header("The model")
    streamlit.markdown(
        f"**{card['name']}** decides on {card['task']['rule']}. "
        f"{about.learnt(card)} {about.running(card['running'])}"
    )
    streamlit.table(about.figures(card), border="horizontal")
    streamlit.markdown(
        "Another camera, another clinic, other people: expect it to be worse. "
        "Photographs that are too dark, too bright, out of focus or of something else "
        "get no answer, but what looks like a retina passes for one."
    )
    with streamlit.expander("Its card"):
        streamlit.table(about.summary(card), border="horizontal")
        streamlit.download_button(
            "Download all of it as JSON",
            json.dumps(card, indent=1),
            "card.json",
            "application/json",
            on_click="ignore",
            icon=":material/download:",
        )


if __name__ == "__main__":
    main()
