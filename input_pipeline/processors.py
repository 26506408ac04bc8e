"""How many processors this process may use."""

import os


def count() -> int:
    """Those that it is bound to; where the system does not say, all of the machine."""
    if hasattr(os, "sched_getaffinity"):  # Linux has it.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
