"""Windows of time over one stay in a call, and which of them are still to be asked for. Pure functions.

All instants are aware datetimes in UTC, exact to the microsecond; windows are half-open, [since, until). What the
API makes of the bounds is `api.py`'s concern, and who stayed where is `flatten.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["SETTLING", "WIDTH", "Window", "is_current", "tile"]

WIDTH = timedelta(minutes=30)
"""The widest window that Participant Metrics gives (Stream's documentation). One fixed size, so that the sampling
step that the API chooses for a window, if it chooses, is the same for all."""

SETTLING = timedelta(minutes=2)
"""How long after its end a window of a live call is taken to be complete at the source."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span of time, [since, until), in UTC; `since == until` for a stay of no length."""

    since: datetime
    until: datetime

    def covers(self, other: Window) -> bool:
        """Whether every instant of `other` lies in this window."""
        return self.since <= other.since and other.until <= self.until


def tile(joined_at: datetime, left_at: datetime) -> list[Window]:
    """The windows of one stay: `WIDTH` each from `joined_at`, the last one shorter, none overlapping, none missing.

    A stay of no length (or one that ends before it begins) still gets one window, [joined_at, joined_at).
    """
    windows = []
    since = joined_at
    while since < left_at:
        until = min(since + WIDTH, left_at)
        windows.append(Window(since, until))
        since = until
    return windows or [Window(joined_at, joined_at)]


def is_current(
    window: Window, asked: Window, *, fetched_at: datetime, ended_at: datetime | None, generated_at: datetime | None
) -> bool:
    """Whether an answer for `asked`, fetched at `fetched_at`, is all that the source will have for `window`.

    For a call session that has ended (`ended_at` known): fetched at or after its report's `generated_at` (and not while
    it still went on, whatever an older report says). For one still live: fetched at least `SETTLING` after the window's
    end.
    """
    if not asked.covers(window):
        return False
    if ended_at is not None:
        return fetched_at >= max(ended_at, generated_at or ended_at)
    return fetched_at >= window.until + SETTLING
