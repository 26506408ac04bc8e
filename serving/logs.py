"""Logs as lines of JSON, each with the id of the request that it is about.

Neither photographs nor names of files nor addresses of clients are logged.
"""

import contextvars
import datetime
import json
import logging
import sys

REQUEST_ID: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "request_id", default=None
)
"""Of the request that is being answered, or None."""


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON: `time`, `level`, `message`, and what `extra` has."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        content = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            content["request_id"] = request_id
        content |= getattr(record, "facts", {})
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content)


def start() -> None:
    """Sends all that is logged to standard output, uvicorn's own lines included."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
