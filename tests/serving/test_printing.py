import io

import PIL.Image
import pypdf
import pytest

from input_pipeline import fundus
from serving import asking, heatmaps, printing, settings, wording


@pytest.fixture(scope="module")
def source(exported):
    return asking.connect(settings.Page(model=exported, allow_drawings=True))


@pytest.fixture
def printed(source):
    """What a sheet says, and its pictures: `printed(data, reference="7")`."""

    def run(data, request_id=None, **content):
        (answer,) = source.ask([data])
        answer |= {"request_id": request_id}
        sheet = printing.as_pdf(answer, source.card, **content)
        (page,) = pypdf.PdfReader(io.BytesIO(sheet)).pages
        return answer, " ".join(page.extract_text().split()), page

    return run


def test_a_sheet_says_what_the_page_says(printed, source, drawing):
    picture = fundus.view(drawing, heatmaps.LONGEST)
    answer, words, page = printed(
        drawing,
        request_id="f00d",
        photograph=picture,
        overlaid=255 - picture,
        legend=heatmaps.legend(),
        shown="red is what speaks for it",
        reference="Étude 12",
    )
    assert words.count("RESEARCH, NOT DIAGNOSIS") == 2
    assert "eferable diabetic retinopathy" in words
    assert "Reference: Étude 12" in words
    assert "learnt from drawings" in words and "red is what speaks for it" in words
    assert f"{answer['disease_probability']:.0%}".replace("%", " %") in words
    assert "the threshold of" in words and "By the model's own account" in words
    assert f"brightness (0-255) {answer['quality']['brightness']:.0f}" in words
    assert source.card["fingerprints"]["model_sha256"] in words
    assert "request f00d" in words and answer["answered"][:10] in words
    assert source.card["intended_use"] in words
    sizes = [one.image.size for one in page.images]
    assert sizes == [*[picture.shape[1::-1]] * 2, (512, 16)]
    assert "nothing most" in words and "drawing that comes" not in words
    assert "(at least 25)" in words and "That number " in words
    # A4, in points.
    assert [round(one) for one in page.mediabox[2:]] == [595, 842]


def test_a_sheet_has_nothing_of_the_files_own_header(printed, drawing):
    exif = PIL.Image.Exif()
    exif[0x013B] = exif[0x010E] = "Jane Doe"
    file = io.BytesIO()
    PIL.Image.open(io.BytesIO(drawing)).save(file, "JPEG", exif=exif)
    data = file.getvalue()
    assert b"Jane" in data
    _, words, page = printed(data, photograph=fundus.view(data, 300))
    (picture,) = page.images
    assert b"Jane" not in picture.data and "Jane" not in words
    assert not PIL.Image.open(io.BytesIO(picture.data)).getexif()


def test_the_sheet_of_a_drawn_example_says_so(printed, drawing):
    _, words, _ = printed(drawing, drawn=True)
    assert "Of a drawing: " in words and wording.DRAWN in words


def test_who_gets_no_answer_can_print_why(printed):
    _, words, page = printed(b"no photograph")
    assert "No answer" in words and "no JPEG, PNG, TIFF or WebP image" in words
    assert "have a person look at it" in words and "Received" not in words
    assert words.count(printing.WARNING) == 2
    assert "Probability" not in words and "request" not in words
    assert len(page.images) == 0


@pytest.mark.parametrize("reference", ["रोगी 7", "a\tb", "7 ✓"])
def test_what_the_font_lacks_is_refused(source, reference):
    with pytest.raises(ValueError, match="western letters"):
        printing.check(reference, source.card)
    with pytest.raises(ValueError, match="western letters"):
        printing.check("7", source.card | {"name": reference})


def test_what_does_not_fit_goes_to_a_second_sheet_with_the_same_warning(
    source, printed, drawing
):
    card = source.card | {"task": source.card["task"] | {"rule": "a long rule " * 20}}
    (answer,) = source.ask([drawing])
    names = [f"a class with a rather long name, number {n}" for n in range(8)]
    answer |= {"probabilities": dict.fromkeys(names, 0.125)}
    tall = fundus.view(drawing, 400).transpose(1, 0, 2)
    sheet = printing.as_pdf(
        answer, card, photograph=tall, overlaid=tall, reference="W" * 60
    )
    first, second = pypdf.PdfReader(io.BytesIO(sheet)).pages
    words = [one.extract_text() for one in (first, second)]
    assert [one.count(printing.WARNING) for one in words] == [2, 2]
    assert all(name in words[0] + words[1] for name in names)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("", "retinograd.pdf"),
        ("17-B", "retinograd_17_B.pdf"),
        ("../etc/a b", "retinograd_etc_a_b.pdf"),
        ("//", "retinograd.pdf"),
    ],
)
def test_a_sheet_is_called_as_the_reader_calls_the_photograph(reference, expected):
    assert printing.file_name(reference) == expected
