"""Where a run takes place: versions and devices, as far as results depend on them."""

import datetime
import hashlib
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf

_COMPUTES = ("configs", "evaluation", "input_pipeline", "models", "train")
"""The packages that a training runs through."""


def describe() -> dict[str, Any]:
    """Time, command, versions and devices, as far as results can depend on them."""
    return {
        "time": now(),
        "command": sys.argv,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "devices": [_device_name(one) for one in tf.config.list_physical_devices()],
        **_versions(),
    }


def software() -> dict[str, str]:
    """What a training step is computed with: versions, and a checksum of our code.

    The code's own, since not every machine has git's word for it.
    """
    root, checksum = pathlib.Path(__file__).parents[1], hashlib.sha256()
    for package in _COMPUTES:
        for file in sorted((root / package).rglob("*.py")):
            checksum.update(file.relative_to(root).as_posix().encode())
            checksum.update(file.read_bytes())
    return _versions() | {"retinograd's code": checksum.hexdigest()[:12]}


def devices_of(variables: Sequence[keras.Variable]) -> list[str]:
    """The devices that hold variables, as in "GPU:0 NVIDIA H100" or "CPU:0".

    To be called in the scope of the strategy that they were made in.
    """
    strategy = tf.distribute.get_strategy()
    places = {
        copy.device.partition("device:")[2]
        for one in variables
        for copy in strategy.experimental_local_results(one.value)
    }
    names = {
        one.name.partition("physical_device:")[2]: _device_name(one)
        for one in tf.config.list_physical_devices("GPU")
    }
    return [f"{one} {names.get(one, '')}".rstrip() for one in sorted(places)]


def now() -> str:
    """The time in UTC, to the second, as ISO 8601 has it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    return {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _commit() -> str | None:
    """The commit of this code, "-dirty" if files differ from it; None if unknown."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = pathlib.Path(__file__).parent
    try:
        git = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except OSError:  # There is no git.
        return None
    return git.stdout.strip() or None


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # Not Linux.
        return platform.processor()
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def _device_name(device: tf.config.PhysicalDevice) -> str:
    details = tf.config.experimental.get_device_details(device)
    return details.get("device_name", device.device_type)
