"""Settings of the API and of the page, from environment variables.

An attribute `most_bytes` of `Api` is the variable `RETINOGRAD_API_MOST_BYTES`, one of
`Page` begins with `RETINOGRAD_PAGE_`; the key has one name for both. Misspelt variables
are errors.
"""

import dataclasses
import difflib
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self, get_type_hints

KEY = "RETINOGRAD_API_KEY"
"""The variable that has the API's key, for the API as for the page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Settings:
    PREFIX: ClassVar[str]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Reads the settings; an empty variable counts as one that is not set.

        Args:
            environment: Name -> value.

        Returns:
            The settings.

        Raises:
            ValueError: A variable is misspelt, missing, or has a value out of range.
        """
        fields = {
            KEY if field.name == "key" else cls.PREFIX + field.name.upper(): field
            for field in dataclasses.fields(cls)
        }
        types, values = get_type_hints(cls), {}
        for name, text in environment.items():
            if not text or not (name in fields or name.startswith(cls.PREFIX)):
                continue
            if name not in fields:
                near = difflib.get_close_matches(name, fields, 1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise ValueError(f"There is no setting {name}.{hint}")
            values[fields[name].name] = _parse(name, text, types[fields[name].name])
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING
            if required and field.name not in values:
                raise ValueError(f"The environment variable {name} must be set.")
        return cls(**values)

    def _check_key(self) -> None:
        if self.key is not None and not re.fullmatch("[!-~]([ -~]*[!-~])?", self.key):
            # Without what was received, which is a secret.
            raise ValueError(
                f"{KEY} must consist of ASCII letters, digits and signs, without a "
                "space at either end: no client could send it. Make one: openssl rand "
                "-hex 32."
            )

    def _check_port(self, least: int) -> None:
        if not least <= self.port <= 65_535:
            raise ValueError(
                f"{self.PREFIX}PORT must be from {least} to 65535. Received: "
                f"{self.port}."
            )

    def _at_least(self, least: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ValueError(
                    f"{self.PREFIX}{name.upper()} must be at least {least:,}. "
                    f"Received: {value:,}."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Api(_Settings):
    """Settings of the API, `RETINOGRAD_API_...`.

    Attributes:
        model: Folder of an exported model.
        variant: "float32", "bfloat16" or "int8"; by default as the model's card says.
        allow_drawings: Whether a model that learnt from drawings answers.
        host: Address to listen on.
        port: Port to listen on; 0 for a free one, which is logged.
        key: What clients must send as `Authorization: Bearer <key>`; by default
            anybody may ask.
        threads: Photographs that are worked on at once; by default one a processor.
        most_waiting: Photographs that may wait for that. With more the answer is 503.
        most_photographs: Of one batch.
        most_bytes: Of one photograph's file.
        most_held_bytes: Of all uploads in memory together, with more the answer is 503.
        most_megapixels: Of one photograph, where that is less than the model's own
            limit. Decoding may take 12 MB of memory each; see `serving.decoding`.
        upload_seconds: In which a request must have arrived.
        answer_seconds: In which it must be answered from then on.
        occlusion_seconds: The same of a heat map by occlusion, which asks the model
            some 300 times; less than the page waits.
        shutdown_seconds: How long the server finishes what it accepted once it is told
            to stop.
    """

    PREFIX: ClassVar[str] = "RETINOGRAD_API_"

    model: pathlib.Path
    variant: str | None = None
    allow_drawings: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    key: str | None = dataclasses.field(default=None, repr=False)
    threads: int | None = None
    most_waiting: int = 64
    most_photographs: int = 16
    most_bytes: int = 25_000_000
    most_held_bytes: int = 400_000_000
    most_megapixels: float | None = None
    upload_seconds: float = 30.0
    answer_seconds: float = 30.0
    occlusion_seconds: float = 50.0
    shutdown_seconds: int = 60

    def __post_init__(self):
        self._check_key()
        self._check_port(0)
        self._at_least(0, "most_waiting", "shutdown_seconds")
        self._at_least(1, "threads", "most_photographs", "most_bytes")
        self._at_least(0.01, "most_megapixels", "upload_seconds", "answer_seconds")
        self._at_least(0.01, "occlusion_seconds")
        self._at_least(self.most_bytes, "most_held_bytes")
        if self.most_photographs > self.workers + self.most_waiting:
            raise ValueError(
                f"A batch of {self.PREFIX}MOST_PHOTOGRAPHS={self.most_photographs} "
                f"would never find room: {self.workers} are worked on at once and "
                f"{self.PREFIX}MOST_WAITING={self.most_waiting} may wait. Raise that."
            )

    @property
    def workers(self) -> int:
        """How many threads work on photographs."""
        return self.threads or len(os.sched_getaffinity(0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page(_Settings):
    """Settings of the web page, `RETINOGRAD_PAGE_...`.

    Attributes:
        api: Where the API is.
        key: The API's key, if it has one; from the API's own variable.
        model: Folder of an exported model, which the page then loads itself: it needs
            no API.
        variant: Of that model, as `Api` has it.
        allow_drawings: Of that model, as `Api` has it.
        most_photographs: That are predicted in one go.
        seconds: How long the page waits for the API.
        port: Where `python -m serving` puts the page; Streamlit has flags of its own.
    """

    PREFIX: ClassVar[str] = "RETINOGRAD_PAGE_"

    api: str = "http://127.0.0.1:8000"
    key: str | None = dataclasses.field(default=None, repr=False)
    model: pathlib.Path | None = None
    variant: str | None = None
    allow_drawings: bool = False
    most_photographs: int = 64
    seconds: float = 60.0
    port: int = 8501

    def __post_init__(self):
        self._check_key()
        self._check_port(1)
        self._at_least(1, "most_photographs", "seconds")
        if not self.api.startswith(("http://", "https://")):
            raise ValueError(
                f"{self.PREFIX}API must be an address such as http://127.0.0.1:8000. "
                f"Received: {self.api!r}."
            )


_WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _parse(name: str, text: str, kind: Any) -> Any:
    """The value of a variable, in the type of its attribute."""
    if kind in (bool, bool | None):
        if text.lower() not in _WORDS:
            raise ValueError(
                f"{name} must be one of {', '.join(_WORDS)}. Received: {text!r}."
            )
        return _WORDS[text.lower()]
    for number, words in ((int, "a whole number"), (float, "a number")):
        if kind in (number, number | None):
            try:
                return number(text)
            except ValueError:
                raise ValueError(
                    f"{name} must be {words}. Received: {text!r}."
                ) from None
    return pathlib.Path(text) if kind in (pathlib.Path, pathlib.Path | None) else text
