"""What a child process of a test does: it prepares photographs, and may die doing so.

Run by `runpy.run_path` with `ARGUMENTS`, a dict:

- `data_dir`, `prepared_dir`: as on the command line.
- `dies`: None, or (what, count): kills itself with SIGKILL when the count-th record is
  written ("record"), or before or after the count-th file gets its name ("before",
  "after").
- `workers`: a file that receives the ids of its worker processes before it dies.
"""

import multiprocessing
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import tensorflow as tf

from input_pipeline import prepare, shards
from input_pipeline.datasets import idrid

ARGUMENTS = globals()["ARGUMENTS"]


def die():
    workers = " ".join(str(one.pid) for one in multiprocessing.active_children())
    ARGUMENTS["workers"].write_text(workers)
    os.kill(os.getpid(), signal.SIGKILL)


def dying(function, before=None, after=None):
    """Wraps a function: before or after its n-th call, the process dies."""
    calls = 0

    def counted(*args):
        nonlocal calls
        calls += 1
        if calls == before:
            die()
        result = function(*args)
        if calls == after:
            die()
        return result

    return counted


shards.PHOTOGRAPHS_PER_SHARD = 10
what, count = ARGUMENTS["dies"] or (None, 0)
if what == "record":
    writer = tf.io.TFRecordWriter
    writer.write = dying(writer.write, after=count)
elif what:
    os.replace = dying(os.replace, **{what: count})

prepare.Preparation(datasets=[idrid.idrid(name="drawn")], image_size=32).run(
    {"drawn": ARGUMENTS["data_dir"]}, ARGUMENTS["prepared_dir"]
)
