"""One process works on a day at a time, and a step that meets a broken segment runs again without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TypeVar

from pipeline.errors import Quarantined
from pipeline.turns import StillMine, Turns

__all__ = ["DayLocks", "without_broken_segments"]

T = TypeVar("T")


class DayLocks:
    """The locks of all days. They die with their process."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def is_taken(self, day: date) -> bool:
        """Return whether another process works on a day just now. Raises `FixStorage`."""
        return self._turns.is_taken(day)

    def run(self, day: date, step: Callable[[], T]) -> T:
        """Run a step that writes to a day, alone. Waits for another process on the same day.

        Raises `FixStorage` if the lock was lost meanwhile: what the step has written is kept, but another process may
        have worked on the day too.
        """
        return self.run_asking(day, lambda _: step())

    def run_asking(self, day: date, step: Callable[[StillMine], T]) -> T:
        """Run a step as `run` does, and give it what tells whether the lock is still ours: for a step that is long."""
        with self._turns.of_day(day) as still_mine:
            done = without_broken_segments(lambda: step(still_mine))
            still_mine()
        return done


def without_broken_segments(step: Callable[[], T]) -> T:
    """Run a step, and run it again after each segment that it quarantines: there are only so many."""
    while True:
        try:
            return step()
        except Quarantined:  # already logged
            continue
