"""The limits against IDRiD's photographs, where they are."""

import pytest

from input_pipeline import fundus, quality
from serving import gate

# Its darkest, softest, sharpest and most overexposed training photographs.
EXTREME = ("081", "031", "274", "030", "124")


def test_the_most_extreme_photographs_of_idrid_pass(real_idrid):
    images = real_idrid / "B. Disease Grading" / "1. Original Images"
    limits = gate.Limits()
    for number in EXTREME:
        path = images / "a. Training Set" / f"IDRiD_{number}.jpg"
        data = path.read_bytes()
        limits.check_file(data)
        image, crop = fundus.prepare(data, 512)
        limits.check_size(crop, 512)
        limits.check_quality(quality.measure(image, crop))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"brightness": 24.9}, "too_dark"),
        ({"underexposed": 0.26}, "too_dark"),
        ({"overexposed": 0.26}, "too_bright"),
        ({"sharpness": 0.0089}, "too_blurred"),
        ({"sharpness": 0.151}, "not_a_fundus_photograph"),
    ],
)
def test_each_limit_has_its_reason(changes, reason):
    usual = {
        "brightness": 90.0,
        "sharpness": 0.05,
        "overexposed": 0.0,
        "underexposed": 0.0,
        "retina_share": 0.69,
    }
    gate.Limits().check_quality(quality.Quality(**usual))
    with pytest.raises(gate.Unfit) as found:
        gate.Limits().check_quality(quality.Quality(**usual | changes))
    assert found.value.reason == reason
