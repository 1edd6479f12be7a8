"""The API's per-minute quota, followed by its headers: when the next request of an endpoint may be sent.

There is one `Limiter` per endpoint, shared by all requests of the process. It has no numbers of its own: the source
reports how much is left and until when, so that what other programs use of the same quota counts too. Sending and
retrying are in `client`.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC

from pipeline.extract.clock import Clock, SourceClock

__all__ = ["Allowance", "Limiter", "QuotaSeen", "QuotaState", "read_allowance", "read_retry_after"]

log = logging.getLogger(__name__)

MAX_BLIND_WAIT = 60.0
"""Most seconds to wait after a 429 that does not say how long: the quotas have a one-minute window."""

PROBE_PATIENCE = 1.0
"""Seconds after which another request may go ahead if the probe has not come back."""

MIN_SENT_TO_COUNT_USERS = 16
"""Requests of ours in a window before we conclude from them how many others use the quota."""

MAX_RESET_AHEAD = 3600.0
"""Most seconds until a reset that we believe: Stream's windows are a minute long."""


@dataclass(frozen=True)
class Allowance:
    """What one response says about the quota.

    Attributes:
        limit: requests per window.
        remaining: requests left in this window.
        reset: when the window ends, in Unix seconds by our clock.
    """

    limit: int
    remaining: int
    reset: float


@dataclass(frozen=True)
class QuotaSeen:
    """What was last seen of a quota. Instants are Unix seconds by our clock.

    Attributes:
        limit: requests per window; None without quota headers.
        remaining: requests left in the window that ends at `reset`.
        reset: its end.
        refused_since: when the first of the latest refusals (429) came, without a response in between; None if the
            latest response was none.
    """

    limit: int | None
    remaining: int | None
    reset: float | None
    refused_since: float | None


class QuotaState:
    """What is known of the quota of one endpoint. Pure: `now` is always Unix seconds by our clock.

    While nothing is known about the current window (at the start, and after each reset), one request goes ahead alone,
    as a probe. After that, the requests in flight never outnumber what the newest responses left. `share` (above 0, at
    most 1) of the quota is used; the rest is left to others. An endpoint without quota headers is not held back.

    If the quota shrinks four times as fast as we send, there are three more users like us, which have as many requests
    in flight as we do. Then ours never outnumber a quarter of what is left. Otherwise, each user would be refused all
    that it has in flight when the quota is used up.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._allowance: Allowance | None = None
        self._unmetered = False
        self._closed_until = 0.0
        self._refusals = 0
        self._refused_since: float | None = None
        self._probe_sent_at: float | None = None
        self._window_seconds: float | None = None
        self._reported_reset: float | None = None  # by the source: after a 429, that of `_allowance` may be sooner
        self._first_remaining = 0  # in this window
        self._sent = 0  # since then
        self._users_before = 1

    @property
    def rate(self) -> float | None:
        """Requests per second that the quota allows in the long run; None if unknown or without a quota."""
        if self._allowance is None or self._window_seconds is None:
            return None
        return max(1.0, self._allowance.limit * self._share) / self._window_seconds

    @property
    def seen(self) -> QuotaSeen:
        """What was last seen of the quota."""
        known = self._allowance
        if known is None:
            return QuotaSeen(None, None, None, self._refused_since)
        return QuotaSeen(known.limit, known.remaining, known.reset, self._refused_since)

    def opens_in(self, now: float, in_flight: int) -> float:
        """Return the seconds until the next request may be sent. A response that comes before may open it sooner."""
        if now < self._closed_until:
            return self._closed_until - now
        if self._unmetered:
            return 0.0
        allowance = self._allowance
        if allowance is None or now >= allowance.reset:
            if self._probe_sent_at is None:
                return 0.0
            return max(0.0, self._probe_sent_at + PROBE_PATIENCE - now)
        reserve = min(allowance.limit * (1 - self._share), allowance.limit - 1)
        usable = allowance.remaining - reserve
        users = self._users
        # One request may always go, or a wrong guess of the users could hold back a small quota for ever.
        is_open = in_flight < usable and (in_flight == 0 or (in_flight + 1) * users <= usable)
        return 0.0 if is_open else allowance.reset - now

    def sent(self, now: float) -> None:
        """Take in that a request was sent."""
        self._sent += 1
        if not self._unmetered and (self._allowance is None or now >= self._allowance.reset):
            self._probe_sent_at = now

    def idle(self) -> None:
        """Take in that no request is in flight: a probe came back without news."""
        self._probe_sent_at = None

    def learn(self, allowance: Allowance | None, now: float) -> None:
        """Take in what a response other than a 429 says about the quota; None if it says nothing."""
        self._refusals = 0
        self._refused_since = None
        if allowance is not None:
            self._take(allowance, now)
        elif self._allowance is None:
            self._unmetered = True

    def refused(self, retry_after: float | None, allowance: Allowance | None, now: float, jitter: float) -> None:
        """Take in a 429: wait for `retry_after` seconds, or else until the reset, or else longer each time.

        `jitter` (0 to 1) adds up to 5 % and at most a second, so that several processes do not come back as one.
        """
        self._refusals += 1
        self._refused_since = self._refused_since or now
        if allowance is not None:
            self._take(allowance, now)
        if retry_after is not None and retry_after > 0:
            wait = retry_after
        elif allowance is not None and allowance.reset > now:
            wait = allowance.reset - now
        else:
            wait = min(MAX_BLIND_WAIT, 2.0 ** min(self._refusals - 1, 10))
        wait += jitter * min(1.0, 0.05 * wait)
        self._closed_until = max(self._closed_until, now + wait)
        self._unmetered = False
        if self._allowance is not None:
            self._allowance = Allowance(self._allowance.limit, 0, min(self._allowance.reset, self._closed_until))

    def _take(self, allowance: Allowance, now: float) -> None:
        self._unmetered = False
        known = self._allowance
        if known is not None and allowance.reset < known.reset:
            return  # a response from the window before, overtaken on its way
        if known is not None and allowance.reset == known.reset:
            allowance = Allowance(allowance.limit, min(known.remaining, allowance.remaining), known.reset)
        else:
            self._probe_sent_at = None
            self._measure_window(allowance.reset, now)
            self._users_before = self._users
            self._first_remaining, self._sent = allowance.remaining, 0
        self._allowance = allowance

    @property
    def _users(self) -> int:
        """Users of the quota that are like us, with us: how many times faster it shrinks than we send."""
        if self._allowance is None or self._sent < MIN_SENT_TO_COUNT_USERS:
            return self._users_before
        return max(1, round((self._first_remaining - self._allowance.remaining) / self._sent))

    def _measure_window(self, reset: float, now: float) -> None:
        before, self._reported_reset = self._reported_reset, reset
        if before is not None and reset - before >= 1:
            self._window_seconds = min(reset - before, self._window_seconds or math.inf)
        elif self._window_seconds is None:
            # The first window is seen from somewhere inside. Stream's are a minute long.
            self._window_seconds = max(60.0, reset - now)


class Limiter:
    """Lets requests of one endpoint through as its quota allows, in the order in which they arrive."""

    def __init__(self, endpoint: str = "", *, share: float = 1.0, clock: Clock | None = None) -> None:
        self._endpoint = endpoint
        self._state = QuotaState(share)
        self._clock = clock or Clock()
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: tuple[float, asyncio.Task[None]] | None = None

    @property
    def rate(self) -> float | None:
        """Requests per second that the quota allows in the long run; None if unknown or without a quota."""
        return self._state.rate

    @property
    def seen(self) -> QuotaSeen:
        """What was last seen of the quota."""
        return self._state.seen

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it while the request is in flight. Call `learn` or `refused` inside."""
        await self._acquire()
        try:
            yield
        finally:
            self._release()

    def learn(self, allowance: Allowance | None) -> None:
        """Take in what a response other than a 429 says about the quota; None if it says nothing."""
        self._state.learn(allowance, self._clock.now())

    def refused(self, retry_after: float | None, allowance: Allowance | None) -> None:
        """Take in a 429, see `QuotaState.refused`."""
        jitter = random.random()  # noqa: S311 - jitter, no secret
        self._state.refused(retry_after, allowance, self._clock.now(), jitter)

    def _opens_in(self) -> float:
        return self._state.opens_in(self._clock.now(), self._in_flight)

    async def _acquire(self) -> None:
        if not self._waiting and self._opens_in() == 0:
            self._enter()
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake_waiting()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()
            raise

    def _enter(self) -> None:
        self._state.sent(self._clock.now())
        self._in_flight += 1

    def _release(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0:
            self._state.idle()
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
                continue
            wait = self._opens_in()
            if wait:
                self._set_timer(wait)
                return
            self._enter()
            self._waiting.popleft().set_result(None)

    def _set_timer(self, seconds: float) -> None:
        at = self._clock.now() + seconds
        if self._timer is not None:
            if self._timer[0] <= at:
                return
            self._timer[1].cancel()
        log.debug(
            "%s: waiting %.1f s for the quota, with %d requests in line",
            self._endpoint,
            seconds,
            len(self._waiting),
            extra={"endpoint": self._endpoint, "seconds": round(seconds, 3), "requests": len(self._waiting)},
        )
        self._timer = (at, asyncio.get_running_loop().create_task(self._wake_after(seconds)))

    async def _wake_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds + 0.001)
        self._timer = None
        self._wake_waiting()


def read_allowance(headers: Mapping[str, str], clock: Clock, source: SourceClock) -> Allowance | None:
    """Return what the rate-limit headers of a response say; None if they are missing or make no sense."""
    limit, remaining, reset = (
        _first_number(headers.get(f"X-RateLimit-{name}")) for name in ("Limit", "Remaining", "Reset")
    )
    if limit is None or remaining is None or reset is None or limit < 1:
        return None
    reset -= source.skew.total_seconds()
    if reset > clock.now() + MAX_RESET_AHEAD:
        return None  # in another unit, or of another time: it would hold us back for ever
    return Allowance(int(limit), int(remaining), reset)


def read_retry_after(headers: Mapping[str, str], source: SourceClock) -> float | None:
    """Return the seconds to wait, from seconds or from an HTTP date (RFC 9110, section 10.2.3); None if missing."""
    value = headers.get("Retry-After")
    seconds = _first_number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - source.now()).total_seconds()


def _first_number(value: str | None) -> float | None:
    """Return the first non-empty item of a header, which proxies may have joined to a list; None if not a number."""
    for part in (value or "").split(","):
        if part.strip():
            try:
                number = float(part)
            except ValueError:
                return None
            return number if math.isfinite(number) else None
    return None
