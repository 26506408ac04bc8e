"""What each of several workers on a machine takes of it: processors, GPUs, memory."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

from input_pipeline import images, memory


@dataclasses.dataclass(frozen=True)
class Share:
    """A worker's part of the machine.

    Attributes:
        processors: Their numbers; none: whatever there is.
        environment: Variables for its processes, by which they see its GPUs alone.
    """

    processors: Sequence[int] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def take(self) -> None:
        """Binds this thread, and the processes that it starts, to the processors.

        TensorFlow, OpenCV and our own pools start as many threads as a process has.
        """
        if self.processors:
            os.sched_setaffinity(0, self.processors)


def divide(workers: int, gpus: int) -> list[Share]:
    """Divides the machine; a worker that is alone is not bound to anything.

    Args:
        workers: How many workers there are.
        gpus: How many GPUs this process sees.

    Returns:
        A share for each.
    """
    if workers == 1:
        return [Share()]
    processors, seen = [], os.environ.get("CUDA_VISIBLE_DEVICES")
    if hasattr(os, "sched_getaffinity"):  # Linux has it.
        processors = sorted(os.sched_getaffinity(0))
    names = seen.split(",") if seen else list(map(str, range(gpus)))
    shares = []
    for worker in range(workers):
        environment = {}
        if gpus:
            visible = ",".join(_part(names, worker, workers))
            environment["CUDA_VISIBLE_DEVICES"] = visible
            # Otherwise the first process on a GPU takes all of its memory.
            environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        shares.append(Share(_part(processors, worker, workers), environment))
    return shares


def cache_gigabytes(workers: int) -> float:
    """Memory for the photographs of one of several trainings, in gigabytes."""
    return round(images.SHARE * memory.available_gigabytes() / workers, 3)


def _part(what: Sequence, worker: int, workers: int) -> list:
    """A worker's part of some things; where they are too few, workers share them."""
    count = len(what)
    first, last = worker * count // workers, (worker + 1) * count // workers
    return list(what[first : max(last, first + 1)])
