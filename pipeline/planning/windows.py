"""Windows of time over one stay, and when a response for one is final. Pure functions.

All instants are aware datetimes in UTC, exact to the microsecond; windows are half-open, [since, until). How the API
treats the bounds is in `extract.addresses`; which stays there are is in `planning.listings`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.model import Window

__all__ = ["DETAILS_WINDOW", "MAX_WINDOW", "SETTLING_TIME", "is_final", "tile"]

MAX_WINDOW = timedelta(minutes=30)
"""The widest window that Participant Metrics gives (Stream's documentation). We use this one size everywhere, so that
the sampling step, which the API may choose by the window, is the same for all."""

DETAILS_WINDOW = timedelta(hours=1)
"""The window of participant details. At most 4096 points come per series (Stream's OpenAPI specification), and the step
is in whole seconds: an hour has room for a point every second, and most calls fit in one request."""

SETTLING_TIME = timedelta(minutes=2)
"""How long after its end a window of a live call is complete at the source."""


def tile(joined_at: datetime, left_at: datetime, width: timedelta = MAX_WINDOW) -> list[Window]:
    """Return the windows of one stay: `width` each from `joined_at`, the last one shorter, none overlapping.

    A stay of no length (or one that ends before it begins) still gets one window, [joined_at, joined_at).
    """
    windows = []
    since = joined_at
    while since < left_at:
        until = min(since + width, left_at)
        windows.append(Window(since, until))
        since = until
    return windows or [Window(joined_at, joined_at)]


def is_final(
    window: Window, requested: Window, *, fetched_at: datetime, ended_at: datetime | None, generated_at: datetime | None
) -> bool:
    """Return whether a usable response for `requested` contains everything the source will ever have for `window`.

    For a call session that has ended: if it was fetched at or after both the end and `generated_at`, when the source
    made its report. For a live one: if it was fetched at least `SETTLING_TIME` after the end of the window.
    """
    if not requested.covers(window):
        return False
    if ended_at is not None:
        return fetched_at >= max(ended_at, generated_at or ended_at)
    return fetched_at >= window.until + SETTLING_TIME
