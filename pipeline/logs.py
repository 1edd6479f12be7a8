"""What our modules log, on standard error: as text for people, or as JSON for a log collector.

Whoever starts a process chooses the level: the command line by `-v` and `-q` (`cli.verbosity`). The log of a run in
Dagster goes through Dagster, see `orchestration.json_logs`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import pkgutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

__all__ = ["FIELDS", "LOG_FORMAT", "JsonFormatter", "LogFormat", "are_json", "to_stderr"]

LogFormat = Literal["text", "json"]

LOG_FORMAT = "CALL_METRICS_LOG_FORMAT"
"""The setting that chooses the format."""

FIELDS = (
    *("day", "endpoint", "method", "path", "status", "seconds", "attempt"),  # of a request
    *("unit", "done", "total", "seconds_left"),  # of the progress
    *("requests", "rows", "waits_for", "exit_code"),
    *("app", "run_id", "job", "step"),  # of a run in Dagster
)
"""Names of the values that a message may have in `extra`. Nothing else of a record gets into a line of JSON."""

NOT_OURS = logging.WARNING
"""Level from which other libraries are logged. Below it they log URLs, some of them with keys."""

DETAILED = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""A line of text with `-v`: time, level and logger before the message."""


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object, on one line.

    The object has `timestamp` (UTC, ISO 8601, milliseconds, with Z), `level` (such as `warning`), `logger`, `message`,
    those of `FIELDS` that the record has, and `exception` (the traceback as one string) if there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. It is ASCII, so that characters that cannot be encoded do not break it."""
        line: dict[str, Any] = {
            "timestamp": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name in FIELDS if (value := record.__dict__.get(name)) is not None},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


@contextlib.contextmanager
def to_stderr(form: LogFormat, level: int) -> Iterator[None]:
    """Within the block, write to standard error what our modules log from `level` on, and warnings of other libraries.

    An inner block replaces an outer one. While Dagster runs a step, it has a handler on the logger `pipeline`, sets its
    level, and changes the records. So our handlers are on the loggers below it (`pipeline.cli`, `pipeline.extract`, …).
    They pass on to Dagster everything from INFO on, whatever our level; details would fill its records.
    """
    handler, onward = _Stderr(form, level), _Onward(logging.INFO)
    others = _Stderr(form, max(level, NOT_OURS))
    others.addFilter(lambda record: not record.name.startswith("pipeline."))
    root = logging.getLogger()
    rooms = [logging.getLogger(f"pipeline.{name}") for name in _rooms()]
    before = [(room, room.level, room.propagate, room.handlers) for room in rooms]
    before_root = root.handlers
    try:
        for room in rooms:
            room.setLevel(min(level, logging.INFO))
            room.propagate = False
            room.handlers = [handler, onward]
        root.handlers = [*(other for other in before_root if not isinstance(other, _Stderr)), others]
        yield
    finally:
        root.handlers = before_root
        for room, room_level, propagate, handlers in before:
            room.setLevel(room_level)
            room.propagate = propagate
            room.handlers = handlers


def are_json() -> bool:
    """Return whether this process logs JSON. Then nothing else may be written to standard error."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


class _Stderr(logging.Handler):
    """Writes to what `sys.stderr` is at that moment: a progress bar replaces it while it is shown."""

    def __init__(self, form: LogFormat, level: int) -> None:
        super().__init__(level)
        self.setFormatter(JsonFormatter() if form == "json" else _text(level))

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. A closed or full standard error must not stop the work."""
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()


class _Onward(logging.Handler):
    """Passes records on to the logger `pipeline`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record on."""
        logging.getLogger("pipeline").handle(record)


class _Timed(logging.Formatter):
    """Text with the time in UTC."""

    def formatTime(self, record: logging.LogRecord, _datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return when it was logged."""
        return _instant(record)


def _text(level: int) -> logging.Formatter:
    return _Timed(DETAILED) if level <= logging.DEBUG else logging.Formatter("%(message)s")


def _instant(record: logging.LogRecord) -> str:
    text = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _rooms() -> list[str]:
    """Return the names of the modules and packages of `pipeline`."""
    return [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
