"""`TF_CONFIG`: which workers train together, and which of them this process is.

TensorFlow reads this variable of the environment too; it is not needed to read it here.
"""

import json
import os
import re

EXAMPLE = (
    '{"cluster": {"worker": ["host-a:12345", "host-b:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)

_TOGETHER = ("run", "train")
"""The modes that several workers share; `run` goes on with the chief alone."""


def check_mode(mode: str) -> None:
    """Refuses what each of several workers would do by itself, all of it.

    Args:
        mode: What `--mode` says.

    Raises:
        ValueError: `TF_CONFIG` names several workers, who share no work in this mode.
    """
    count = len(workers()[0])
    if count < 2 or mode in _TOGETHER:
        return
    instead = "Unset TF_CONFIG, and start the command once"
    if mode == "tune":
        instead = (
            "Unset TF_CONFIG; machines share a search by its database, `tune.storage`"
        )
    raise ValueError(
        f"--mode={mode} is for one process, and TF_CONFIG names {count} workers: each "
        "would do all of it, read the same photographs and write to the same folders. "
        f"Only {' and '.join(_TOGETHER)} share work among workers. {instead}."
    )


def workers() -> tuple[list[str], int]:
    """The workers that `TF_CONFIG` names, and which of them this process is.

    Returns:
        `host:port` of each, the chief first, and a position among them; without
        `TF_CONFIG`, or where it is empty or names no cluster, ([], 0).

    Raises:
        ValueError: It is not as TensorFlow wants it, or names other roles.
    """
    text = os.environ.get("TF_CONFIG", "").strip() or "{}"
    wrong = f"`TF_CONFIG` must be like {EXAMPLE}. Received: {text}."
    try:
        content = json.loads(text)
        jobs = content.get("cluster")
        if not jobs:
            return [], 0
        if jobs.keys() - {"chief", "worker"}:
            raise ValueError(
                f"{wrong} Only workers train here, of which one may be called chief."
            )
        addresses = [*jobs.get("chief", ()), *jobs.get("worker", ())]
        task = content["task"]
        of_job = {str(n): one for n, one in enumerate(jobs[task["type"]])}
        own = of_job[str(task["index"])]
    except json.JSONDecodeError:
        raise ValueError(wrong) from None
    except (AttributeError, KeyError, TypeError):
        raise ValueError(f"{wrong} The task must be one of the cluster.") from None
    if not all(re.fullmatch(r".+:\d+", str(one)) for one in addresses):
        raise ValueError(f"{wrong} Each worker needs an address, host:port, in a list.")
    if len(set(addresses)) < len(addresses):
        raise ValueError(f"{wrong} Each worker needs an address of its own.")
    return addresses, addresses.index(own)


def name(addresses: list[str], index: int) -> str:
    """A worker for a person, as in "the chief (host-a:12345)" or "worker 1 (...)"."""
    if not addresses:
        return "the only worker"
    role = "the chief" if index == 0 else f"worker {index}"
    return f"{role} ({addresses[index]})"
