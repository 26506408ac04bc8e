"""The database of a search: where it is, and that one worker at a time writes there."""

import contextlib
import fcntl
import functools
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

import optuna
import sqlalchemy
from absl import logging

_LOCK = 7238651
"""Number of our lock in a PostgreSQL database."""

_FAILURES = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)

PATIENCE_SECONDS = 60
"""For so long a database may be silent; a worker may, too, before it is given up."""

RETRY_SECONDS = 2.0


class Database:
    """An SQLite file in the directory of a search, or a PostgreSQL server.

    Attributes:
        url: Where it is, for Optuna.
        settings: How a connection is made, for Optuna.
    """

    def __init__(self, url: str | None, folder: pathlib.Path):
        """Connects to nothing yet.

        Args:
            url: Of a PostgreSQL database; None: an SQLite file in `folder`.
            folder: The search's own directory.

        Raises:
            ValueError: The URL is wrong, or psycopg is missing.
        """
        self._folder, self._threads = folder, threading.Lock()
        address = _address(url, folder)
        self.url = address.render_as_string(hide_password=False)
        waits = {"timeout": 60} if url is None else {}
        self.settings = {"connect_args": waits, "pool_pre_ping": True}
        try:
            self._engine = sqlalchemy.create_engine(address, **self.settings)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"`tune.storage` on PostgreSQL needs psycopg ({error}). Install it: "
                "pip install 'psycopg[binary]>=3.2'."
            ) from error

    def close(self) -> None:
        """Closes its connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else, on whatever machine, is in such a `with` block."""
        with self._threads:
            if self._engine.dialect.name == "sqlite":
                self._folder.mkdir(parents=True, exist_ok=True)
                with open(self._folder / ".study.lock", "ab") as file:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    yield
            else:
                with self._engine.begin() as connection:  # Whose end unlocks.
                    lock = sqlalchemy.func.pg_advisory_xact_lock(_LOCK)
                    connection.execute(sqlalchemy.select(lock))
                    yield


def patient(function: Callable) -> Callable:
    """Calls a method again while its database fails, for `PATIENCE_SECONDS`.

    A server that is restarted, or a network that is gone for a moment, ends no search.
    """

    @functools.wraps(function)
    def call(*arguments, **settings):
        end, told = time.monotonic() + PATIENCE_SECONDS, False
        while True:
            try:
                return function(*arguments, **settings)
            except _FAILURES as error:
                if time.monotonic() > end:
                    raise
                if not told:
                    logging.warning(
                        "The database fails, and is tried again. %s", _said(error)
                    )
                told = True
                time.sleep(RETRY_SECONDS)

    return call


@contextlib.contextmanager
def errors(url: str | None) -> Iterator[None]:
    """Tells what is wrong with a database in words a person can use.

    Args:
        url: As the config has it.

    Raises:
        OSError: The database does not answer, or refuses.
    """
    try:
        yield
    except _FAILURES as error:
        name = "study.db" if url is None else _shown(sqlalchemy.make_url(url))
        raise OSError(
            f"The database of the search, {name}, fails: {_said(error)}\nOnce it "
            "answers, the same command goes on."
        ) from error


def _said(error: Exception) -> str:
    """What the database itself said."""
    ours = isinstance(error, optuna.exceptions.StorageInternalError)
    cause = error.__cause__ if ours else error
    return str(getattr(cause, "orig", None) or cause).strip()


def _shown(address: sqlalchemy.URL) -> str:
    """An address without what may be secret: the password, and whatever follows "?"."""
    return address.set(query={}).render_as_string(hide_password=True)


def _address(url: str | None, folder: pathlib.Path) -> sqlalchemy.URL:
    """Where the database is, with the driver that the extra `tune` installs."""
    if url is None:
        return sqlalchemy.URL.create("sqlite", database=str(folder / "study.db"))
    try:
        address = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        address = None
    if address is None or address.get_backend_name() != "postgresql":
        shown = "what is no URL" if address is None else _shown(address)
        raise ValueError(
            "`tune.storage` must be the URL of a PostgreSQL database, as in "
            "'postgresql://user:password@host:5432/database', or None for an SQLite "
            f"file in the run directory. Received: {shown}."
        )
    return address.set(drivername="postgresql+psycopg")
