"""The database of a search: where it is, and that one worker at a time writes there."""

import contextlib
import fcntl
import pathlib
import threading
from collections.abc import Iterator

import optuna
import sqlalchemy

_LOCK = 7238651
"""Number of our lock in a PostgreSQL database."""


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
        self._folder, self._threads = folder, threading.RLock()
        address = _address(url, folder)
        self.url = address.render_as_string(hide_password=False)
        waits = {"timeout": 60} if url is None else {}
        self.settings = {"connect_args": waits, "pool_pre_ping": True}
        try:
            self._engine = sqlalchemy.create_engine(address, **self.settings)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"`tune.storage` on PostgreSQL needs psycopg ({error}). Install it: "
                "pip install 'retinograd[tune]'."
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


@contextlib.contextmanager
def errors(url: str | None) -> Iterator[None]:
    """Tells what is wrong with a database in words a person can use.

    Args:
        url: As the config has it.

    Raises:
        OSError: The database does not answer, or refuses.
    """
    failures = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)
    try:
        yield
    except failures as error:
        ours = isinstance(error, optuna.exceptions.StorageInternalError)
        cause = error.__cause__ if ours else error
        said = str(getattr(cause, "orig", None) or cause).strip()
        name = "study.db" if url is None else sqlalchemy.make_url(url)
        raise OSError(
            f"The database of the search, {name}, fails: {said}\nOnce it answers, the "
            "same command goes on."
        ) from error


def _address(url: str | None, folder: pathlib.Path) -> sqlalchemy.URL:
    """Where the database is, with the driver that the extra `tune` installs."""
    if url is None:
        return sqlalchemy.URL.create("sqlite", database=str(folder / "study.db"))
    try:
        address = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        address = None
    if address is None or address.get_backend_name() != "postgresql":
        shown = repr(url) if address is None else address
        raise ValueError(
            "`tune.storage` must be the URL of a PostgreSQL database, as in "
            "'postgresql://user:password@host:5432/database', or None for an SQLite "
            f"file in the run directory. Received: {shown}."
        )
    return address.set(drivername="postgresql+psycopg")
