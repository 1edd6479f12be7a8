"""The API's per-minute quota, followed by its headers: when the next request of an endpoint may go.

One `Limiter` per endpoint, shared by all requests of the process. It keeps no numbers of its own: the source says how
much is left and until when, so that what other programs use of the same quota counts too. Sending and retrying are
`api.py`'s.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Allowance", "Clock", "Limiter"]

LONGEST_BLIND_WAIT = 60.0
"""Seconds to wait at most after a 429 that does not say how long: the quotas are on a one-minute window."""


@dataclass(frozen=True)
class Clock:
    """Time as the limiter sees it: Unix seconds, and a way to wait. Tests pass one that they move themselves."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True)
class Allowance:
    """What one answer says of the quota: `limit` requests a window, `remaining` of them, `reset` in Unix seconds (by
    our clock)."""

    limit: int
    remaining: int
    reset: float


class Limiter:
    """Lets requests of one endpoint through as its quota allows.

    While the state of the quota's window is unknown (at the start, and after each reset) one request goes ahead alone
    and finds out. From then on, those in flight never outnumber what the newest answers left. `share` (0 to 1] of the
    quota is used, the rest stays for others.
    """

    def __init__(self, *, share: float = 1.0, clock: Clock | None = None) -> None:
        self._share = share
        self._clock = clock or Clock()
        self._allowance: Allowance | None = None
        self._unmetered = False
        self._closed_until = 0.0
        self._refusals = 0
        self._in_flight = 0
        self._changed = asyncio.Condition()
        self._window_seconds: float | None = None

    @property
    def rate(self) -> float | None:
        """Requests per second that the quota allows in the long run; None while unknown or without a quota."""
        if self._allowance is None or self._window_seconds is None:
            return None
        return max(1.0, self._allowance.limit * self._share) / self._window_seconds

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it while the request is in flight; `learn` or `refused` belong inside."""
        await self._admit()
        try:
            yield
        finally:
            self._in_flight -= 1
            async with self._changed:
                self._changed.notify_all()

    def learn(self, allowance: Allowance | None) -> None:
        """Take in what an answer other than a 429 said; None where it said nothing."""
        self._refusals = 0
        if allowance is None:
            self._unmetered = self._allowance is None
            return
        self._unmetered = False
        self._take(allowance)

    def refused(self, retry_after: float | None, allowance: Allowance | None) -> float:
        """Take in a 429 and return the seconds to wait: `retry_after` as it stands, else until the reset, else growing.

        Jitter comes on top, so that several processes do not come back as one.
        """
        self._refusals += 1
        if allowance is not None:
            self._take(allowance)
        now = self._clock.now()
        if retry_after is not None:
            wait = max(0.0, retry_after)
        elif allowance is not None and allowance.reset > now:
            wait = allowance.reset - now
        else:
            wait = min(LONGEST_BLIND_WAIT, 2.0 ** min(self._refusals - 1, 10))
        wait += random.uniform(0, min(1.0, 0.05 * wait + 0.01))  # noqa: S311 - jitter, no secret
        self._closed_until = max(self._closed_until, now + wait)
        self._unmetered = False
        if self._allowance is not None:
            self._allowance = Allowance(self._allowance.limit, 0, min(self._allowance.reset, self._closed_until))
        return wait

    def _take(self, allowance: Allowance) -> None:
        known = self._allowance
        if known is not None and allowance.reset < known.reset:
            return  # an answer of the window before, overtaken on its way
        if known is not None and allowance.reset == known.reset:
            allowance = Allowance(allowance.limit, min(known.remaining, allowance.remaining), known.reset)
        elif known is not None:
            step = allowance.reset - known.reset
            self._window_seconds = step if self._window_seconds is None else min(step, self._window_seconds)
        if self._window_seconds is None:
            # The first window is seen from somewhere inside; Stream's are a minute long.
            self._window_seconds = max(60.0, allowance.reset - self._clock.now())
        self._allowance = allowance

    async def _admit(self) -> None:
        async with self._changed:
            while True:
                now = self._clock.now()
                if now < self._closed_until:
                    wait: float | None = self._closed_until - now
                elif self._may_go(now):
                    self._in_flight += 1
                    return
                elif self._allowance is not None and self._allowance.reset > now:
                    wait = self._allowance.reset - now
                else:
                    wait = None  # someone else is finding out
                await self._wait(wait)

    def _may_go(self, now: float) -> bool:
        if self._unmetered:
            return True
        allowance = self._allowance
        if allowance is None or now >= allowance.reset:
            return self._in_flight == 0
        reserve = min(allowance.limit * (1 - self._share), allowance.limit - 1)
        return self._in_flight < allowance.remaining - reserve

    async def _wait(self, seconds: float | None) -> None:
        """Until something changes, or `seconds` have passed."""
        if seconds is None:
            await self._changed.wait()
            return
        self._changed.release()
        try:
            await self._clock.sleep(min(seconds, 1.0) + 0.001)
        finally:
            await self._changed.acquire()
