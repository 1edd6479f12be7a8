"""The emulator's time, as a function that returns the current datetime with a time zone.

There is the machine's clock, one that is wrong by a fixed amount, and one that a test moves. What the time decides is
in `visibility` and in `pipeline.emulator.http.auth`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def real_time() -> datetime:
    """Return the machine's time in UTC."""
    return datetime.now(UTC)


def skewed(by: timedelta) -> Clock:
    """Return a clock that is ahead of the machine's by `by` (behind if negative)."""
    return lambda: real_time() + by


class ManualClock:
    """A clock that shows `now` until a test changes it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time that the clock shows."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Move the clock forward."""
        self.now += by
