"""One process works on a day at a time, and a step that meets a broken segment runs again without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

from pipeline.errors import Quarantined
from pipeline.files import day_folder, locked

__all__ = ["DayLocks", "without_broken_segments"]

T = TypeVar("T")


class DayLocks:
    """The locks of all days, in one folder. They die with their process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, day: date, step: Callable[[], T]) -> T:
        """Run a step that writes to a day, alone. Waits for another process on the same day."""
        with locked(day_folder(self._folder, day).with_suffix(".lock"), f"{day}"):
            return without_broken_segments(step)


def without_broken_segments(step: Callable[[], T]) -> T:
    """Run a step, and run it again after each segment that it quarantines: there are only so many."""
    while True:
        try:
            return step()
        except Quarantined:  # already logged
            continue
