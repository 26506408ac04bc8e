"""A run directory: what was asked, what was used, and that nobody else is at work."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from evaluation import members, report
from input_pipeline import audit, folder_lock, records, splits, whole_files
from train import cluster, earlier_run, environment, lineage, operative

EVALUATE = "evaluate"
"""The folder of a run in which further evaluations lie."""


class RunDir:
    """The directory of one experiment.

    A run is begun once `bindings.json`, the last file that `begin` writes, lies there;
    whatever a killed `begin` left behind is written again.

    Attributes:
        path: The directory.
        model: The trained model; where it lies, training is finished.
        split: The stored split.
        metrics: The figures.
        report: The report of all that, the last file that a run writes.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.model = path / "model.keras"
        self.split = path / "split.json"
        self.metrics = path / "metrics.json"
        self.report = path / report.PAGE
        self._config = path / "config.gin"
        self._bindings = path / "bindings.json"
        self._task = path / "task.json"
        self._environment = path / "environment.json"
        self._ledger = path / "ledger.jsonl"
        self._certificate = path / audit.CERTIFICATE

    @property
    def finished(self) -> bool:
        """Whether all is done, so that there is nothing left but to show it."""
        return self.evaluated and self.report.exists()

    @property
    def evaluated(self) -> bool:
        """Whether no photograph has to go through the model any more."""
        return self.model.exists() and self.metrics.exists()

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Has the directory alone for the length of a `with` block.

        Raises:
            BlockingIOError: Another process has it.
        """
        with folder_lock.hold(self.path, wait=False):
            yield

    def check_config(self, bindings: Mapping[str, str]) -> None:
        """Refuses a config that would train something else than is begun here.

        Args:
            bindings: Those that decide training, binding -> value.

        Raises:
            ValueError: Says what differs, or that the folder is no run's.
        """
        if self._bindings.exists():
            self._compare(self._bindings, bindings)
        elif self.path.exists():
            self._check_empty()

    def check_task(self, description: Mapping[str, Any]) -> None:
        """Refuses photographs, or a preparation, other than the run was begun with.

        Args:
            description: What a model of this run is trained for, JSON-ready.

        Raises:
            ValueError: Says what differs.
        """
        if self._bindings.exists():
            self._compare(self._task, description)

    def check_photographs(self, audited: audit.Audit) -> None:
        """Refuses photographs other than the run was begun with.

        Args:
            audited: The photographs as they are now.

        Raises:
            ValueError: Says in what they differ.
        """
        if self._bindings.exists() and self._certificate.exists():
            certificate = audit.read_certificate(self._certificate)
            difference = audit.describe_difference(certificate, audited.collection)
            if difference:
                raise ValueError(
                    f"{self.path} was begun with other photographs: {difference} Name "
                    "the folder of those with --data_dir, or where they are prepared "
                    "with --prepared_dir. To train with these, name another --run_dir."
                )

    def check_states(self, states: Mapping[str, str | None]) -> None:
        """Refuses to show results of another state of a set of one's own.

        Args:
            states: Dataset's name -> fingerprint of its records as it is now, or None.

        Raises:
            ValueError: Says which set has changed.
        """
        certified = audit.certified(audit.read_certificate(self._certificate))
        for name, fingerprint in states.items():
            if certified.get(name) != fingerprint:
                raise ValueError(
                    f"{self.path} is finished, with other photographs or labels of "
                    f"{name!r} than its folder now holds; --mode=prepare tells what "
                    "has changed. Train with them in another --run_dir. To see the old "
                    "results, leave --data_dir away."
                )

    def begin(
        self,
        config: str,
        bindings: Mapping[str, str],
        description: Mapping[str, Any],
        devices: Sequence[str] = (),
    ) -> None:
        """Notes what was asked and where it runs; the caller holds the directory.

        Args:
            config: The whole config, as gin text.
            bindings: Those bindings that decide training, binding -> value.
            description: What a model of this run is trained for, JSON-ready.
            devices: Those that train, if there is anything left to train.

        Raises:
            ValueError: The run was begun for something else.
        """
        self.check_config(bindings)
        self.check_task(description)
        if not self.evaluated:  # How to evaluate may be asked anew until it is done.
            whole_files.write_text(self._config, config)
        if not self._bindings.exists():
            whole_files.write_json(self._task, dict(description))
            whole_files.write_json(self._environment, [])
            whole_files.write_json(self._bindings, dict(bindings))
        starts = whole_files.read_json(self._environment)
        start = environment.describe() | {"training_devices": list(devices)}
        whole_files.write_json(self._environment, [*starts, start])

    @property
    def start(self) -> str:
        """A checksum that differs from start to start of the run, hexadecimal."""
        return records.file_sha256(self._environment)

    def check_shared(self, start: str) -> None:
        """Refuses a directory other than the one in which the chief began.

        Args:
            start: The chief's `start`.

        Raises:
            FileNotFoundError: This is another, or it could not be seen in time.
        """
        if not cluster.seen(lambda: self._environment.exists() and self.start == start):
            raise FileNotFoundError(
                f"{self.path} on this worker is not the folder in which the chief "
                "has begun. Name with --run_dir a folder that all workers share."
            )

    def note_operative_config(self, text: str) -> None:
        """Notes what was used, defaults included, by this start and those before.

        Args:
            text: gin text, what this start has used so far.
        """
        path = self.path / "operative_config.gin"
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        whole_files.write_text(path, operative.merge(before, text))

    def note_test_reading(
        self,
        mode: str,
        count: int,
        checksum: str,
        split: str = "test",
        datasets: Mapping[str, int] | None = None,
        of: Literal["weights", "predictions"] = "weights",
    ) -> None:
        """Writes into the ledger that test photographs are about to be read.

        Those of other datasets are test photographs too: no model of the run has seen
        them. A line is written whole, after all others, and is on the disk before this
        returns, whoever else writes and whenever a process is killed.

        Args:
            mode: What reads them.
            count: How many they are.
            checksum: Of the model's weights or the file of predictions, hexadecimal.
            split: "test" for the run's own, else the name of the other dataset.
            datasets: Dataset's name -> how many of them are from there.
            of: What the checksum is of.

        Raises:
            OSError: It could not be written; the ledger is as it was.
        """
        entry = {
            "time": environment.now(),
            "mode": mode,
            "split": split,
            "photographs": count,
            "datasets": dict(datasets or {}),
            f"{of}_sha256": checksum,
            "config_sha256": records.file_sha256(self._bindings),
        }
        new = not self._ledger.exists()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        descriptor = os.open(self._ledger, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _append_line(descriptor, json.dumps(entry))
        finally:
            os.close(descriptor)  # Which ends the lock.
        if new:
            _sync_folder(self.path)

    def store_split(
        self,
        split: splits.Split,
        audited: audit.Audit,
        inherited: Sequence[lineage.Inheritance] = (),
        parts: Sequence[splits.Split] = (),
    ) -> None:
        """Stores the split for good, with the certificate that it does not leak.

        Args:
            split: The split.
            audited: The photographs.
            inherited: What comes from the runs whose weights this one builds on.
            parts: The splits of its members, whose photographs its weights have seen.

        Raises:
            ValueError: The split leaks.
        """
        split.check(audited)
        certificate = dict(audited.certificate)
        certificate["disputed_test_photographs"] = list(split.disputed)
        seen = lineage.Seen.of(split, audited.collection)
        for one in parts:
            seen = seen.after(lineage.Seen.of(one, audited.collection))
        for one in inherited:
            certificate[one.role] = one.certificate
            seen = seen.after(one.seen)
        seen.save(self.path)
        whole_files.write_json(self._certificate, certificate)
        split.save(self.split)

    def check_earlier(self, earlier: earlier_run.EarlierRun) -> None:
        """Refuses an earlier run that was trained anew since this one was begun.

        Raises:
            ValueError: It has other weights.
        """
        noted = audit.read_certificate(self._certificate).get(earlier.role, {})
        if noted.get("weights_sha256") != earlier.weights_sha256:
            raise ValueError(
                f"{earlier.path} has other weights than when {self.path} was begun "
                "with it. Bring them back, or train in another --run_dir."
            )

    def open_split(self, audited: audit.Audit) -> splits.Split:
        """The stored split.

        Args:
            audited: The photographs as they are now.

        Returns:
            The split that the run was begun with.

        Raises:
            ValueError: It, or the certificate beside it, does not fit the photographs.
        """
        certificate = audit.read_certificate(self._certificate)
        audit.check_certificate(certificate, audited.collection, self._certificate)
        split = splits.Split.load(self.split)
        split.check(audited)
        return split

    @property
    def readings(self) -> list[dict[str, Any]]:
        """The ledger's entries; those of earlier versions lack some of the keys.

        Raises:
            ValueError: A line is damaged; says which.
        """
        if not self._ledger.exists():
            return []
        entries = []
        lines = self._ledger.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict) or "split" not in entry:
                raise ValueError(
                    f"{self._ledger}, line {number} is damaged: {line[:60]!r}. Restore "
                    "it from a copy: without it nobody knows how often the test "
                    "photographs were read."
                )
            entries.append(entry)
        return entries

    @property
    def test_readings(self) -> int:
        """How often the run's own test photographs were read."""
        return sum(one["split"] == "test" for one in self.readings)

    def _compare(self, path: pathlib.Path, content: Mapping[str, Any]) -> None:
        """Raises, with the difference, unless a file holds a content."""
        begun = _flat(whole_files.read_json(path))
        now = _flat(json.loads(json.dumps(dict(content))))
        lines = []
        for key in sorted(begun.keys() | now.keys()):
            old, new = begun.get(key, "not set"), now.get(key, "not set")
            if old != new:
                lines.append(f"  {key}: {old} there, {new} here")
        if lines:
            listing = "\n".join(lines)
            raise ValueError(
                f"{self.path} was begun with something else:\n{listing}\n"
                "Name another folder with --run_dir, or take back the difference."
            )

    def _check_empty(self) -> None:
        """Raises if the folder holds files but was never a run's."""
        if not self.path.is_dir():
            raise ValueError(f"--run_dir must be a folder. Received: {self.path}.")
        names = sorted(one.name for one in self.path.iterdir())
        foreign = [
            name
            for name in names
            if not name.startswith(".")
            and not name.endswith(".partial")
            # Perhaps other people's predictions, or members that were trained alone.
            and name not in (EVALUATE, members.FOLDER)
        ]
        if foreign and self._config.name not in foreign:
            raise ValueError(
                f"{self.path} holds files but no run: {', '.join(foreign[:5])}. Name "
                "another folder with --run_dir."
            )


def _append_line(descriptor: int, text: str) -> None:
    """Adds a line to an open file, or leaves the file as it was."""
    size = os.fstat(descriptor).st_size
    # What a crash of the machine cut short keeps a line of its own.
    broken = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    line = f"{chr(10) if broken else ''}{text}\n".encode()
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _sync_folder(folder: pathlib.Path) -> None:
    """Makes the name of a new file last, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with keys such as "preparation.image_size"."""
    flat = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
