"""Time: ours, and the source's as far as its responses say."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

__all__ = ["Clock", "SourceClock"]

SKEW_TOLERANCE = timedelta(seconds=2)
"""Difference between the clocks that is ignored: the `Date` header has whole seconds."""


@dataclass(frozen=True)
class Clock:
    """Our time in Unix seconds, and a way to wait. Tests pass a clock that they move themselves."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class SourceClock:
    """The source's time, from the `Date` headers of its responses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.skew = timedelta()
        """How far the source's clock is ahead of ours; zero if they agree to within two seconds."""

    def now(self) -> datetime:
        """Return the present in UTC, by the source's clock."""
        return datetime.fromtimestamp(self._clock.now(), UTC) + self.skew

    def read(self, headers: Mapping[str, str]) -> None:
        """Take in the `Date` header of a response that came just now, if it has one that can be read."""
        try:
            theirs = _parsed(headers["Date"])
        except (KeyError, ValueError, TypeError):
            return
        skew = theirs - datetime.fromtimestamp(self._clock.now(), UTC)
        if abs(skew) <= SKEW_TOLERANCE:
            self.skew = timedelta()
        elif abs(skew - self.skew) > SKEW_TOLERANCE:
            self.skew = skew


@lru_cache(maxsize=8)  # the responses of one second have the same date
def _parsed(date: str) -> datetime:
    return email.utils.parsedate_to_datetime(date).replace(tzinfo=UTC)
