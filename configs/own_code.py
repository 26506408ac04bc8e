"""Where a user's own code, which a gin file imports, went wrong."""

import os
import pathlib
import traceback

_STANDARD = pathlib.Path(os.__file__).parent
_PROJECT = pathlib.Path(__file__).parents[1]
_OURS = (
    "benchmarks",
    "configs",
    "evaluation",
    "input_pipeline",
    "main.py",
    "models",
    "serving",
    "tests",
    "train",
    "visualization",
)


def frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of an error that are the user's own, neither ours nor a library's.

    Args:
        error: As it was caught.

    Returns:
        The frames, the inmost last; none if the error arose elsewhere.
    """
    every = traceback.extract_tb(error.__traceback__)
    return [one for one in every if _is_own(one.filename)]


def place(frame: traceback.FrameSummary) -> str:
    """File and line of a frame, as a person finds them."""
    path = pathlib.Path(frame.filename)
    if path.is_relative_to(pathlib.Path.cwd()):
        path = path.relative_to(pathlib.Path.cwd())
    return f"{path}, line {frame.lineno}"


def in_words(error: BaseException) -> str:
    """What kind of error it is, and what it says."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def is_library(file: str) -> bool:
    """Whether a file was installed by pip or the system."""
    return not {"site-packages", "dist-packages"}.isdisjoint(pathlib.Path(file).parts)


def is_ours(file: str) -> bool:
    """Whether a file is this project's."""
    path = pathlib.Path(file)
    inside = path.is_relative_to(_PROJECT) and not is_library(file)
    return inside and path.relative_to(_PROJECT).parts[0] in _OURS


def _is_own(file: str) -> bool:
    path = pathlib.Path(file)
    if not path.is_absolute():  # As "<frozen importlib._bootstrap>".
        return False
    if path.name.startswith("__autograph_generated_file"):  # TensorFlow's copy.
        return False
    standard = path.is_relative_to(_STANDARD)
    return not (standard or is_library(file) or is_ours(file))
