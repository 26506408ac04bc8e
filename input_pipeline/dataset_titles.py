"""What published datasets are called, and who is to be named for them.

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

_IDRID = (
    "Porwal et al., “Indian Diabetic Retinopathy Image Dataset (IDRiD)”, Data 3(3):25, "
    "2018, https://doi.org/10.3390/data3030025, CC BY 4.0"
)

SOURCES = {
    "aptos2019": (
        "Karthik, Maggie and Dane, “APTOS 2019 Blindness Detection”, Kaggle, 2019, "
        "https://www.kaggle.com/competitions/aptos2019-blindness-detection, under the "
        "competition's rules"
    ),
    "ddr": (
        "Li et al., “Diagnostic assessment of deep learning algorithms for diabetic "
        "retinopathy screening”, Information Sciences 501:511-522, 2019, "
        "https://doi.org/10.1016/j.ins.2019.06.011, MIT licence"
    ),
    "deepdrid": (
        "Liu et al., “DeepDRiD: Diabetic Retinopathy - Grading and Image Quality "
        "Estimation Challenge”, Patterns 3(6):100512, 2022, "
        "https://doi.org/10.1016/j.patter.2022.100512, CC BY-SA 4.0"
    ),
    "eyepacs": (
        "Dugas, Jared, Jorge and Cukierski, “Diabetic Retinopathy Detection”, Kaggle, "
        "2015, https://www.kaggle.com/c/diabetic-retinopathy-detection, photographs "
        "provided by EyePACS, under the competition's rules"
    ),
    "idrid": _IDRID,
    "idrid_segmentation": _IDRID,
    "messidor2": (
        "Decenciere et al., “Feedback on a publicly distributed image database: the "
        "Messidor database”, Image Analysis & Stereology 33:231-234, 2014, "
        "https://doi.org/10.5566/ias.1155, kindly provided by the Messidor program "
        "partners, https://www.adcis.net/en/third-party/messidor2/, for research and "
        "education only; grades of Krause et al., Ophthalmology 125:1264-1272, 2018, "
        "https://doi.org/10.1016/j.ophtha.2018.01.034, CC0"
    ),
}
"""Name of a dataset -> citation and terms, for whatever was made of its photographs."""


def title(name: str) -> str:
    """A dataset's name for a reader; one that somebody else gave stays as it is."""
    return TITLES.get(name, name)
