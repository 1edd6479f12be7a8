"""The API's per-minute quota, followed by its headers: when the next request of an endpoint may go.

One `Limiter` per endpoint, shared by all requests of the process. It keeps no numbers of its own: the source says how
much is left and until when, so that what other programs use of the same quota counts too. Sending and retrying are
`api.py`'s.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Allowance", "Clock", "Limiter"]

LONGEST_BLIND_WAIT = 60.0
"""Seconds to wait at most after a 429 that does not say how long: the quotas are on a one-minute window."""

SCOUT_PATIENCE = 1.0
"""Seconds after which another request may go ahead where the one that went to find out has not come back."""


@dataclass(frozen=True)
class Clock:
    """Time as the limiter sees it: Unix seconds, and a way to wait. Tests pass one that they move themselves."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True)
class Allowance:
    """What one answer says of the quota: `limit` requests a window, `remaining` of them, `reset` in Unix seconds (by
    our clock).
    """

    limit: int
    remaining: int
    reset: float


class Limiter:
    """Lets requests of one endpoint through as its quota allows, in the order in which they came.

    While the state of the quota's window is unknown (at the start, and after each reset) one request goes ahead alone,
    as a scout. From then on, those in flight never outnumber what the newest answers left. `share` (above 0, at most 1)
    of the quota is used, the rest stays for others. An endpoint whose answers say nothing of a quota is not held back.
    """

    def __init__(self, *, share: float = 1.0, clock: Clock | None = None) -> None:
        self._share = share
        self._clock = clock or Clock()
        self._allowance: Allowance | None = None
        self._unmetered = False
        self._closed_until = 0.0
        self._refusals = 0
        self._in_flight = 0
        self._scout_sent_at: float | None = None
        self._window_seconds: float | None = None
        self._reset_said: float | None = None  # by the source: that of `_allowance` may be sooner, after a 429
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: tuple[float, asyncio.Task[None]] | None = None

    @property
    def rate(self) -> float | None:
        """Requests per second that the quota allows in the long run; None while unknown or without a quota."""
        if self._allowance is None or self._window_seconds is None:
            return None
        return max(1.0, self._allowance.limit * self._share) / self._window_seconds

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it while the request is in flight; call `learn` or `refused` inside."""
        await self._admission()
        try:
            yield
        finally:
            self._leave()

    def learn(self, allowance: Allowance | None) -> None:
        """Take in what an answer other than a 429 said of the quota; None where it said nothing."""
        self._refusals = 0
        if allowance is not None:
            self._take(allowance)
        elif self._allowance is None:
            self._unmetered = True

    def refused(self, retry_after: float | None, allowance: Allowance | None) -> None:
        """Take in a 429, and wait for `retry_after` as it stands, else until the reset, else longer each time.

        Jitter comes on top, so that several processes do not come back as one.
        """
        self._refusals += 1
        if allowance is not None:
            self._take(allowance)
        now = self._clock.now()
        if retry_after is not None and retry_after > 0:
            wait = retry_after
        elif allowance is not None and allowance.reset > now:
            wait = allowance.reset - now
        else:
            wait = min(LONGEST_BLIND_WAIT, 2.0 ** min(self._refusals - 1, 10))
        wait += random.uniform(0, min(1.0, 0.05 * wait))  # noqa: S311 - jitter, no secret
        self._closed_until = max(self._closed_until, now + wait)
        self._unmetered = False
        if self._allowance is not None:
            self._allowance = Allowance(self._allowance.limit, 0, min(self._allowance.reset, self._closed_until))

    def _take(self, allowance: Allowance) -> None:
        self._unmetered = False
        known = self._allowance
        if known is not None and allowance.reset < known.reset:
            return  # an answer of the window before, overtaken on its way
        if known is not None and allowance.reset == known.reset:
            allowance = Allowance(allowance.limit, min(known.remaining, allowance.remaining), known.reset)
        else:
            self._scout_sent_at = None
            self._measure_window(allowance.reset)
        self._allowance = allowance

    def _measure_window(self, reset: float) -> None:
        before, self._reset_said = self._reset_said, reset
        if before is not None and reset - before >= 1:
            self._window_seconds = min(reset - before, self._window_seconds or math.inf)
        elif self._window_seconds is None:
            # The first window is seen from somewhere inside; Stream's are a minute long.
            self._window_seconds = max(60.0, reset - self._clock.now())

    def _opens_in(self) -> float:
        """Seconds until the next request may go at the latest; answers that come before may open sooner."""
        now = self._clock.now()
        if now < self._closed_until:
            return self._closed_until - now
        if self._unmetered:
            return 0.0
        allowance = self._allowance
        if allowance is None or now >= allowance.reset:
            if self._scout_sent_at is None:
                return 0.0
            return max(0.0, self._scout_sent_at + SCOUT_PATIENCE - now)
        reserve = min(allowance.limit * (1 - self._share), allowance.limit - 1)
        return 0.0 if self._in_flight < allowance.remaining - reserve else allowance.reset - now

    def _enter(self) -> None:
        now = self._clock.now()
        if not self._unmetered and (self._allowance is None or now >= self._allowance.reset):
            self._scout_sent_at = now
        self._in_flight += 1

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0:
            self._scout_sent_at = None  # it came back without news
        self._admit_waiting()

    async def _admission(self) -> None:
        if not self._waiting and self._opens_in() == 0:
            self._enter()
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit_waiting()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _admit_waiting(self) -> None:
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
                continue
            wait = self._opens_in()
            if wait:
                self._set_alarm(wait)
                return
            self._enter()
            self._waiting.popleft().set_result(None)

    def _set_alarm(self, seconds: float) -> None:
        at = self._clock.now() + seconds
        if self._alarm is not None:
            if self._alarm[0] <= at:
                return
            self._alarm[1].cancel()
        self._alarm = (at, asyncio.get_running_loop().create_task(self._ring(seconds)))

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(seconds + 0.001)
        self._alarm = None
        self._admit_waiting()
