"""Clocks: the emulator's time, as a callable that gives an instant with a zone.

Here: the real one, one that is wrong by a fixed amount, and one that stands still until it is told. Not here: what the
time decides (``visibility``, ``auth``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def real_time() -> datetime:
    """The machine's clock, in UTC."""
    return datetime.now(UTC)


def skewed(by: timedelta) -> Callable[[], datetime]:
    """The machine's clock, wrong by that much."""
    return lambda: real_time() + by


class ManualClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time it shows."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Move it on."""
        self.now += by
