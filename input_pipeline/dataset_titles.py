"""What published datasets are called in sentences for people.

Imports nothing, since the page without TensorFlow needs it too.
"""

TITLES = {
    "aptos2019": "APTOS 2019",
    "ddr": "DDR",
    "deepdrid": "DeepDRiD",
    "eyepacs": "EyePACS",
    "idrid": "IDRiD",
    "idrid_segmentation": "IDRiD's segmentation part",
    "messidor2": "Messidor-2",
}
"""Name of a dataset, the first part of its ids -> its publisher's name for it."""


def title(name: str) -> str:
    """A dataset's name for a reader; one that somebody else gave stays as it is."""
    return TITLES.get(name, name)
