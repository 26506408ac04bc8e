"""What a finished training leaves behind in its process, and how it is let go."""

import ctypes

import keras
from tensorflow.python.framework import ops


def let_go() -> None:
    """Gives back the memory of trainings that nothing here refers to any more.

    Layers are then named as in a new process, too. A gradient can no longer be taken
    through a graph that was traced before.
    """
    # TensorFlow keeps each custom gradient of a graph forever, such as that of the sum
    # over devices in every training step. On it hangs the graph of the step, and on
    # that the photographs that the stream has decoded.
    registered = ops.gradient_registry._registry
    for name in [one for one in registered if one.startswith("CustomGradient-")]:
        del registered[name]
    keras.utils.clear_session()  # Collects garbage, too.
    # glibc keeps what is free between pieces in use; other systems have other ways.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
