"""One photograph's file to one record's content, inside a worker process.

Imports no TensorFlow: a worker starts in a fifth of a second and stays small.
"""

import dataclasses
import hashlib
import io
import multiprocessing
import os
import pathlib
import signal
import threading
from typing import Literal

import cv2
import numpy as np
from PIL import ExifTags, Image

from input_pipeline import fundus, image_header, quality


@dataclasses.dataclass(frozen=True)
class Ingested:
    """What one readable photograph puts into its record.

    Attributes:
        encoded: PNG or JPEG file content of the prepared square.
        crop: Where the square lies in the photograph.
        sha256: Checksum of the photograph's file, hexadecimal.
        format: "JPEG", "PNG", "WebP" or "TIFF".
        camera: Maker and model as the file's EXIF data say, or None.
        quality: How well the retina can be seen.
    """

    encoded: bytes
    crop: fundus.Crop
    sha256: str
    format: str
    camera: str | None
    quality: quality.Quality


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """Why one photograph could not be read.

    Attributes:
        reason: A sentence that follows the file's name.
        kind: "file" where it is no image or damaged, "retina" where no retina is seen.
        sha256: Checksum of the photograph's file, or None where there is no file to
            read.
    """

    reason: str
    kind: Literal["file", "retina"]
    sha256: str | None


def ingest(
    path: pathlib.Path, image_size: int, jpeg_quality: int | None
) -> Ingested | Unreadable:
    """Reads, crops and encodes one photograph.

    Args:
        path: The photograph's file.
        image_size: Side of the prepared square, in pixels.
        jpeg_quality: 1-100, or None for lossless PNG.

    Returns:
        The record's content, or the reason why there is none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        return Unreadable(f"the file cannot be read: {error.strerror}.", "file", None)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        image, crop = fundus.prepare(data, image_size)
        return Ingested(
            encoded=encode(image, jpeg_quality),
            crop=crop,
            sha256=sha256,
            format=image_header.read(data).format,
            camera=_camera(data),
            quality=quality.measure(image, crop),
        )
    except fundus.NotAFundusPhotographError as error:
        return Unreadable(str(error), "retina", sha256)
    except fundus.UnreadableImageError as error:
        return Unreadable(str(error), "file", sha256)
    except MemoryError:
        return Unreadable("not enough memory to decode it.", "file", None)
    except Exception as error:  # One odd file must not stop the work on thousands.
        reason = f"reading it failed, {type(error).__name__}: {error}"
        return Unreadable(reason, "file", sha256)


def encode(image: np.ndarray, jpeg_quality: int | None) -> bytes:
    """Encodes a uint8 image of shape `(height, width, 3)`, RGB, 0-255; PNG if None."""
    if jpeg_quality is None:
        # Differences to the row above and their repeats: no larger on fundus
        # photographs than zlib level 6, in a tenth of its time, and quicker to read.
        extension = ".png"
        options = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    else:
        extension, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
    _, encoded = cv2.imencode(
        extension, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options
    )
    return encoded.tobytes()


def _camera(data: bytes) -> str | None:
    """Maker and model of the camera, where the file tells."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
    except Exception:  # Pillow refuses some of the files that OpenCV decodes.
        return None
    names = (exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model))
    text = " ".join(one.strip(" \0") for one in names if isinstance(one, str))
    return text or None


def start_worker() -> None:
    """Makes a pool's process a quiet one-thread worker that dies with its parent."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer.
    # A killed parent cannot end its pool, whose processes would wait for ever.
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
