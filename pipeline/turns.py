"""Turns: one process at a time works on a day, and one at a time publishes. Here by lock files, on one machine.

Locks of the operating system die with their process, so a killed run never blocks the next one. Workers without a
common disk take turns by PostgreSQL instead: see `warehouse.postgres`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import Protocol

from pipeline.files import day_folder, is_locked, locked

__all__ = ["FileTurns", "StillMine", "Turns"]

StillMine = Callable[[], None]
"""Called before something is published, and now and then while a day is fetched.

Raises `FixStorage` if the turn was lost meanwhile."""


class Turns(Protocol):
    """Who may do what, among all processes on the same data. Whoever wants a turn waits for it, and logs that once."""

    def of_day(self, day: date) -> AbstractContextManager[StillMine]:
        """Work on a day, alone."""

    def is_taken(self, day: date) -> bool:
        """Return whether another process works on a day just now."""

    def of_publishing(self) -> AbstractContextManager[StillMine]:
        """Publish, alone."""

    def of_erasing(self) -> AbstractContextManager[StillMine]:
        """Change the list of erased users, alone."""

    def of_alerting(self) -> AbstractContextManager[StillMine]:
        """Tell people what is wrong, alone: otherwise two processes would tell the same."""


class FileTurns:
    """Turns by lock files in a folder. `publishing` is the file of that turn, if it is another one."""

    def __init__(self, folder: Path, *, publishing: Path | None = None) -> None:
        self._folder = folder
        self._publishing = publishing or folder / "warehouse.lock"

    def of_day(self, day: date) -> AbstractContextManager[StillMine]:
        """Work on a day, alone on this machine. Raises `FixStorage`."""
        return _held(self._of_day(day), f"{day}")

    def is_taken(self, day: date) -> bool:
        """Return whether another process of this machine works on a day just now. Raises `FixStorage`."""
        return is_locked(self._of_day(day))

    def of_publishing(self) -> AbstractContextManager[StillMine]:
        """Publish, alone on this machine. Raises `FixStorage`."""
        return _held(self._publishing, "the database")

    def of_erasing(self) -> AbstractContextManager[StillMine]:
        """Change the list of erased users, alone on this machine. Raises `FixStorage`."""
        return _held(self._folder / "forgotten.lock", "the list of erased users")

    def of_alerting(self) -> AbstractContextManager[StillMine]:
        """Tell people what is wrong, alone on this machine. Raises `FixStorage`."""
        return _held(self._folder / "alerts.lock", "alerts")

    def _of_day(self, day: date) -> Path:
        return day_folder(self._folder, day).with_suffix(".lock")


@contextmanager
def _held(path: Path, what: str) -> Iterator[StillMine]:
    with locked(path, what):
        yield lambda: None  # a lock of the operating system is held as long as the process lives
