"""Quotas: the whole quota is used and hardly ever exceeded, whatever the windows, clocks and latencies of the source.

`QuotaState` is tested as arithmetic, `Limiter` in simulated time against a source with a quota of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.clock import Clock, SourceClock
from pipeline.extract.quota import (
    MAX_BLIND_WAIT,
    MAX_RESET_AHEAD,
    PROBE_PATIENCE,
    Allowance,
    Limiter,
    QuotaState,
    read_allowance,
    read_retry_after,
)
from tests.support import at, examples, simulate

# The state, as arithmetic. Times are seconds.


def test_state_lets_one_probe_go_ahead_while_nothing_is_known() -> None:
    """The others wait for the probe, but at most for `PROBE_PATIENCE`."""
    state = QuotaState()
    assert state.opens_in(0.0, in_flight=0) == 0
    state.sent(0.0)
    assert state.opens_in(0.25, in_flight=1) == PROBE_PATIENCE - 0.25
    assert state.opens_in(PROBE_PATIENCE, in_flight=1) == 0


def test_state_lets_the_next_probe_go_at_once_if_none_is_in_flight() -> None:
    """A response without a quota does not delay the next probe."""
    state = QuotaState()
    state.sent(0.0)
    state.idle()
    assert state.opens_in(0.25, in_flight=0) == 0


@pytest.mark.parametrize(
    ("remaining", "in_flight", "share", "opens_in"),
    [
        (10, 9, 1.0, 0),
        (10, 10, 1.0, 50),
        (0, 0, 1.0, 50),
        (40, 9, 0.5, 0),
        (40, 10, 0.5, 50),
        (30, 0, 0.5, 50),
        (60, 0, 0.001, 0),
        (59, 0, 0.001, 50),
    ],
)
def test_state_bounds_the_requests_in_flight_by_what_is_left(
    remaining: int, in_flight: int, share: float, opens_in: float
) -> None:
    """Of 60 requests, the share that is left to others is held back, but one request may always be used."""
    state = QuotaState(share)
    state.learn(Allowance(60, remaining, reset=60.0), now=0.0)
    assert state.opens_in(10.0, in_flight) == opens_in


def test_state_discards_what_is_left_at_the_reset() -> None:
    """A new window starts with a probe."""
    state = QuotaState()
    state.learn(Allowance(60, 50, reset=60.0), now=0.0)
    state.sent(60.0)
    assert state.opens_in(60.0, in_flight=1) == PROBE_PATIENCE


def test_state_without_headers_holds_nothing_back_until_it_is_refused() -> None:
    """A response without quota headers means that there is no quota, and a 429 that there is one."""
    state = QuotaState()
    state.learn(None, now=0.0)
    assert state.opens_in(0.0, in_flight=1000) == 0
    assert state.rate is None
    state.refused(None, None, now=0.0, jitter=0.0)
    assert state.opens_in(0.0, in_flight=1000) == 1


@pytest.mark.parametrize(
    ("retry_after", "reset", "wait"),
    [
        (7.0, None, 7.0),
        (7.0, 30.0, 7.0),
        (7200.0, 30.0, 7200.0),
        (None, 30.0, 30.0),
        (0.0, 30.0, 30.0),
        (-5.0, 30.0, 30.0),
        (None, -1.0, 1.0),
        (None, None, 1.0),
    ],
)
def test_state_waits_after_a_429_for_what_the_source_says(
    retry_after: float | None, reset: float | None, wait: float
) -> None:
    """Retry-After counts first, then the reset, and without both the wait is a second."""
    state = QuotaState()
    state.refused(retry_after, None if reset is None else Allowance(60, 0, reset), now=0.0, jitter=0.0)
    assert state.opens_in(0.0, in_flight=0) == wait


@pytest.mark.parametrize(("wait", "most"), [(2.0, 0.1), (20.0, 1.0), (600.0, 1.0)])
def test_state_adds_jitter_to_a_wait(wait: float, most: float) -> None:
    """Jitter adds up to 5 % and at most a second."""
    state = QuotaState()
    state.refused(wait, None, now=0.0, jitter=1.0)
    assert state.opens_in(0.0, in_flight=0) == pytest.approx(wait + most)


def test_state_keeps_the_longest_of_several_waits() -> None:
    """A later 429 with a shorter wait does not end the wait sooner."""
    state = QuotaState()
    state.refused(20.0, None, now=0.0, jitter=0.0)
    state.refused(5.0, None, now=1.0, jitter=0.0)
    assert state.opens_in(1.0, in_flight=0) == 19


@pytest.mark.parametrize(
    ("resets", "rate"),
    [([], None), ([60.0], 1.0), ([20.0], 1.0), ([20.0, 80.0], 1.0), ([20.0, 50.0], 2.0), ([600.0], 0.1)],
)
def test_state_rate_is_the_limit_by_the_length_of_a_window(resets: list[float], rate: float | None) -> None:
    """The first window counts as a minute at least, and two resets give the true length."""
    state = QuotaState()
    for number, reset in enumerate(resets):
        state.learn(Allowance(60, 30, reset), now=float(number))
    assert state.rate == rate


# Headers.


@pytest.mark.parametrize(
    ("headers", "allowance"),
    [
        (("60", "10", "{reset}"), Allowance(60, 10, 100.0)),
        (("60, 60", "10, 9", "{reset}, 0"), Allowance(60, 10, 100.0)),
        ((", 60", " 10", "{reset}"), Allowance(60, 10, 100.0)),
        (("0", "0", "{reset}"), None),
        (("many", "0", "{reset}"), None),
        (("nan", "0", "{reset}"), None),
        (("60", "0", "inf"), None),
        (("60", "0", "{milliseconds}"), None),
        ((None, "0", "{reset}"), None),
        (("60", None, "{reset}"), None),
        (("60", "0", None), None),
    ],
)
def test_allowance_is_read_from_headers_that_make_sense(
    headers: tuple[str | None, ...], allowance: Allowance | None
) -> None:
    """Headers joined into lists count by their first item, and a reset in another unit is not believed."""
    now = at(12).timestamp()
    clock = Clock(now=lambda: now)
    source = SourceClock(clock)
    source.skew = timedelta(hours=1)
    reset = now + 3600 + 100  # by the source's clock
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    sent = {
        name: value.format(reset=int(reset), milliseconds=int(reset * 1000))
        for name, value in zip(names, headers, strict=True)
        if value is not None
    }
    expected = None if allowance is None else Allowance(allowance.limit, allowance.remaining, now + allowance.reset)
    assert read_allowance(sent, clock, source) == expected
    assert MAX_RESET_AHEAD < 100_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("7, 9", 7.0),
        ("-5", -5.0),
        ("Sun, 01 Nov 2026 13:00:30 GMT", 30.0),
        ("Sun, 01 Nov 2026 13:00:30", 30.0),
        ("soon", None),
        ("nan", None),
        ("Sun, 99 Nov 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_from_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    """A date is by the source's clock, which is an hour ahead here."""
    source = SourceClock(Clock(now=lambda: at(12).timestamp()))
    source.skew = timedelta(hours=1)
    assert read_retry_after({} if value is None else {"Retry-After": value}, source) == seconds


# The limiter, in simulated time.


EPOCH = 1_793_500_000.0


def now() -> float:
    """Return the Unix time in a simulation."""
    return EPOCH + asyncio.get_running_loop().time()


CLOCK = Clock(now, asyncio.sleep)


@dataclass
class Server:
    """A source with a fixed-window quota, in simulated time.

    `offset` is when its windows begin after whole multiples of their length, `rounding` how it rounds the reset,
    `others` the requests per second of other programs, and `retry_after` the header of a 429 for the seconds left.
    """

    limit: int = 60
    seconds: float = 2.0
    offset: float = 0.0
    rounding: Callable[[float], float] = math.ceil
    latency: Callable[[], float] = lambda: 0.05
    headers: bool = True
    others: float = 0.0
    retry_after: Callable[[float], float | None] = math.ceil
    served: dict[int, int] = field(default_factory=dict)
    refused: int = 0
    arrivals: list[float] = field(default_factory=list)

    def _others_used(self, window: int) -> int:
        into = now() - (window * self.seconds + self.offset)
        return int(self.others * into)

    async def request(self, limiter: Limiter) -> bool:
        """Send one request when its turn comes. Returns whether it was served."""
        async with limiter.slot():
            latency = self.latency()
            await asyncio.sleep(latency / 2)
            self.arrivals.append(now())
            window = math.floor((now() - self.offset) / self.seconds)
            left = (window + 1) * self.seconds + self.offset - now()
            remaining = self.limit - self._others_used(window) - self.served.get(window, 0)
            allowed = remaining > 0
            if allowed:
                self.served[window] = self.served.get(window, 0) + 1
                remaining -= 1
            else:
                self.refused += 1
            allowance = Allowance(self.limit, max(0, remaining), self.rounding(now() + left)) if self.headers else None
            await asyncio.sleep(latency / 2)
            if allowed:
                limiter.learn(allowance)
            else:
                limiter.refused(self.retry_after(left), allowance)
            return allowed

    async def serve(self, limiter: Limiter) -> None:
        """Send the same request until it is served."""
        while not await self.request(limiter):
            pass

    @property
    def total(self) -> int:
        return sum(self.served.values())


async def work(server: Server, limiter: Limiter, seconds: float, in_flight: int = 16) -> None:
    """Run workers that always have another request, and stop them after a while."""

    async def worker() -> None:
        while True:
            await server.request(limiter)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(worker() for _ in range(in_flight)))


def used(server: Server, windows: int) -> float:
    """Return the share of the quota used in `windows` whole windows, without the first and the last one."""
    inner = sorted(server.served)[1 : windows + 1]
    assert len(inner) == windows
    return sum(server.served[window] for window in inner) / (server.limit * windows)


def refusals(server: Server) -> float:
    """Return the share of requests that were refused."""
    return server.refused / (server.total + server.refused)


def jittered(least: float, most: float, seed: int = 1) -> Callable[[], float]:
    """Return a function that draws a latency, the same ones every time."""
    chance = random.Random(seed)
    return lambda: chance.uniform(least, most)


@pytest.mark.parametrize(
    ("server", "in_flight"),
    [
        (Server(), 16),
        (Server(latency=jittered(0.01, 0.15)), 16),
        (Server(latency=jittered(0.2, 0.5)), 16),
        (Server(latency=jittered(0.02, 0.3), offset=0.37), 16),
        (Server(latency=jittered(0.02, 0.3), offset=0.99), 16),
        (Server(limit=300, seconds=60, latency=jittered(0.05, 1.0), offset=11.3), 16),
        (Server(limit=60, seconds=60, latency=jittered(0.05, 3.0), offset=0.5), 16),
        (Server(limit=1000, seconds=60, latency=jittered(0.05, 0.3), offset=0.5), 64),
        (Server(limit=10, seconds=2, latency=jittered(0.01, 0.1)), 16),
        (Server(limit=300, seconds=60, latency=jittered(0.05, 0.4), offset=0.6, rounding=float), 16),
    ],
    ids=lambda value: f"{value.limit}-per-{value.seconds:g}s-at-{value.offset}" if isinstance(value, Server) else None,
)
def test_limiter_uses_the_quota_and_hardly_ever_exceeds_it(server: Server, in_flight: int) -> None:
    """At least 80 % of every window is used, and at most 3 % of the requests are refused."""
    windows = 10
    simulate(work(server, Limiter(clock=CLOCK), (windows + 2) * server.seconds, in_flight))
    assert used(server, windows) >= 0.8
    assert refusals(server) <= 0.03


@pytest.mark.parametrize("workers", [2, 4, 8])
@pytest.mark.parametrize("limit", [1000, 3000])
def test_limiters_share_a_quota_through_its_headers_alone(workers: int, limit: int) -> None:
    """Several processes together use the quota, and the more there are, the fewer requests each has in flight."""
    server = Server(limit=limit, seconds=60, offset=0.37, latency=jittered(0.05, 0.3))

    async def all_work() -> None:
        await asyncio.gather(*(work(server, Limiter(clock=CLOCK), 12 * 60) for _ in range(workers)))

    simulate(all_work())
    assert used(server, 10) >= 0.95
    assert refusals(server) <= 0.03


def test_state_divides_what_is_left_by_the_users_of_the_quota() -> None:
    """If the quota shrinks four times as fast as we send, a quarter of what is left may be in flight."""
    state = QuotaState()
    state.learn(Allowance(1000, 1000, reset=60.0), now=0.0)
    for number in range(1, 26):
        state.sent(1.0)
        state.learn(Allowance(1000, 1000 - 4 * number, reset=60.0), now=1.0)
    state.learn(Allowance(1000, 900, reset=60.0), now=1.0)
    assert state.opens_in(1.0, in_flight=224) == 0
    assert state.opens_in(1.0, in_flight=225) == 59
    state.learn(Allowance(1000, 60, reset=120.0), now=60.0)  # a new window, of which nothing else is known yet
    assert state.opens_in(61.0, in_flight=14) == 0
    assert state.opens_in(61.0, in_flight=15) == 59


def test_state_always_lets_one_request_go() -> None:
    """Also if there seem to be more users than requests left: the guess may be wrong, and is corrected by sending."""
    state = QuotaState()
    state.learn(Allowance(1000, 1000, reset=60.0), now=0.0)
    for _ in range(20):
        state.sent(1.0)
    state.learn(Allowance(1000, 10, reset=60.0), now=1.0)
    assert state.opens_in(1.0, in_flight=0) == 0
    assert state.opens_in(1.0, in_flight=1) == 59


def test_limiter_leaves_what_other_programs_use() -> None:
    """If others use half of the quota, the other half is used and refusals stay rare."""
    server = Server(limit=300, seconds=60, others=2.5, latency=jittered(0.05, 0.5))
    simulate(work(server, Limiter(clock=CLOCK), 600))
    assert refusals(server) <= 0.03
    inner = sorted(server.served)[1:9]
    assert sum(server.served[window] for window in inner) / (300 * len(inner)) >= 0.5


@pytest.mark.parametrize("share", [0.5, 0.25, 0.01])
def test_limiter_uses_no_more_than_its_share(share: float) -> None:
    """The share is used and no more, but at least one request."""
    server = Server(limit=60, seconds=2, latency=jittered(0.01, 0.1))
    simulate(work(server, Limiter(share=share, clock=CLOCK), 24))
    allowed = max(1, int(60 * share))
    inner = sorted(server.served)[1:11]
    assert all(server.served[window] <= allowed for window in inner)
    assert sum(server.served[window] for window in inner) >= 0.8 * allowed * len(inner)
    assert server.refused == 0


def test_limiter_holds_nothing_back_without_a_quota() -> None:
    """After one response without headers, all waiting requests are sent at once."""
    server = Server(limit=10**9, headers=False, latency=lambda: 1.0)

    async def rush() -> float:
        limiter = Limiter(clock=CLOCK)
        started = now()
        await asyncio.gather(*(server.serve(limiter) for _ in range(100)))
        assert limiter.rate is None
        return now() - started

    assert simulate(rush()) == pytest.approx(2.0, abs=0.1)


def test_limiter_learns_a_quota_without_headers_from_refusals() -> None:
    """Waits grow while the source refuses, and everything is served in the end."""
    server = Server(limit=20, seconds=60, headers=False, retry_after=lambda left: None, latency=lambda: 0.1)

    async def rush() -> None:
        limiter = Limiter(clock=CLOCK)
        async with asyncio.timeout(3600):
            await asyncio.gather(*(server.serve(limiter) for _ in range(60)))

    simulate(rush())
    assert server.total == 60


async def wait_after_refusal(
    limiter: Limiter, retry_after: float | None = None, allowance: Allowance | None = None
) -> float:
    """Return the seconds until a request may be sent after a 429."""
    started = now()
    limiter.refused(retry_after, allowance)
    async with limiter.slot():
        return now() - started


def test_limiter_waits_longer_after_each_429_without_headers() -> None:
    """The wait is 1, 2, 4 and up to 60 seconds with some jitter, and a good response resets it."""

    async def refuse() -> list[float]:
        limiter = Limiter(clock=CLOCK)
        waits = [await wait_after_refusal(limiter) for _ in range(8)]
        limiter.learn(None)
        return [*waits, await wait_after_refusal(limiter)]

    *waits, again = simulate(refuse())
    for wait, least in zip(waits, [1, 2, 4, 8, 16, 32, MAX_BLIND_WAIT, MAX_BLIND_WAIT], strict=True):
        assert least <= wait <= least + 1.1
    assert 1 <= again <= 2.1


@pytest.mark.parametrize("retry_after", [0.5, 90.0, 7200.0])
def test_limiter_obeys_retry_after_however_long(retry_after: float) -> None:
    """Retry-After counts whatever the reset says."""

    async def refuse() -> float:
        return await wait_after_refusal(Limiter(clock=CLOCK), retry_after, Allowance(60, 0, now() + 10))

    assert retry_after <= simulate(refuse()) <= retry_after + 1.1


def test_limiter_waits_for_the_reset_without_retry_after() -> None:
    """Quota headers are enough to know how long to wait after a 429."""

    async def refuse() -> float:
        return await wait_after_refusal(Limiter(clock=CLOCK), None, Allowance(60, 0, now() + 42))

    assert 42 <= simulate(refuse()) <= 43.1


def test_limiter_holds_all_requests_back_after_a_429() -> None:
    """Every waiting request is held back, not only the one that was refused."""

    async def refuse() -> list[float]:
        limiter = Limiter(clock=CLOCK)
        limiter.learn(Allowance(60, 59, now() + 60))
        times: list[float] = []

        async def go() -> None:
            async with limiter.slot():
                times.append(now() - started)

        started = now()
        limiter.refused(20, None)
        await asyncio.gather(*(go() for _ in range(5)))
        return times

    assert min(simulate(refuse())) >= 20


def test_limiter_sends_one_probe_while_nothing_is_known() -> None:
    """At the start and after each reset, one request goes alone and the others follow its response."""

    async def begin() -> None:
        server = Server(limit=60, seconds=2.0, latency=lambda: 0.4)
        limiter = Limiter(clock=CLOCK)
        await asyncio.gather(*(server.serve(limiter) for _ in range(10)))
        first, *others = server.arrivals
        assert first == pytest.approx(EPOCH + 0.2, abs=0.01)
        assert min(others) == pytest.approx(EPOCH + 0.6, abs=0.01)
        await asyncio.sleep(EPOCH + 2.5 - now())
        server.arrivals.clear()
        await asyncio.gather(*(server.serve(limiter) for _ in range(10)))
        first, *others = server.arrivals
        assert first == pytest.approx(EPOCH + 2.7, abs=0.01)
        assert min(others) == pytest.approx(EPOCH + 3.1, abs=0.01)

    simulate(begin())


def test_limiter_sends_another_probe_if_one_hangs() -> None:
    """The next request goes ahead a second later."""

    async def hang() -> float:
        limiter = Limiter(clock=CLOCK)
        hanging = asyncio.ensure_future(_hold(limiter))
        await asyncio.sleep(0)
        started = now()
        async with limiter.slot():
            waited = now() - started
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        return waited

    assert simulate(hang()) <= PROBE_PATIENCE + 0.1
    assert PROBE_PATIENCE <= 1.0


def test_limiter_sends_the_next_probe_at_once_if_one_fails() -> None:
    """A failed probe does not make the next one wait."""

    async def fail() -> float:
        limiter = Limiter(clock=CLOCK)
        for _ in range(5):
            async with limiter.slot():
                await asyncio.sleep(0.1)
        return now() - EPOCH

    assert simulate(fail()) == pytest.approx(0.5, abs=0.01)


def test_limiter_serves_requests_in_the_order_in_which_they_arrive() -> None:
    """The order holds across resets too."""
    order: list[int] = []

    async def queue() -> None:
        server = Server(limit=5, seconds=2.0)
        limiter = Limiter(clock=CLOCK)

        async def go(number: int) -> None:
            async with limiter.slot():
                order.append(number)
                await asyncio.sleep(0.01)
                window = math.floor(now() / server.seconds)
                server.served[window] = server.served.get(window, 0) + 1
                limiter.learn(Allowance(5, 5 - server.served[window], (window + 1) * server.seconds))

        await asyncio.gather(*(go(number) for number in range(23)))

    simulate(queue())
    assert order == list(range(23))


def test_limiter_lets_no_request_overtake_the_queue() -> None:
    """A request that arrives at the moment of the reset waits its turn."""
    order: list[str] = []

    async def queue() -> None:
        limiter = Limiter(clock=CLOCK)
        limiter.learn(Allowance(60, 0, now() + 10))

        async def go(name: str) -> None:
            async with limiter.slot():
                order.append(name)

        waiting = [asyncio.ensure_future(go(f"early {number}")) for number in range(3)]
        await asyncio.sleep(10)
        await asyncio.gather(go("late"), *waiting)

    simulate(queue())
    assert order == ["early 0", "early 1", "early 2", "late"]


def test_limiter_loses_no_turn_to_cancelled_requests() -> None:
    """Requests cancelled while waiting, in flight, or at their turn leave the quota to the others."""

    async def cancel() -> None:
        server = Server(limit=20, seconds=2.0, latency=lambda: 0.1)
        limiter = Limiter(clock=CLOCK)
        chance = random.Random(7)
        for _ in range(20):
            tasks = [asyncio.ensure_future(server.serve(limiter)) for _ in range(30)]
            await asyncio.sleep(chance.uniform(0, 0.3))
            for task in tasks:
                if chance.random() < 0.6:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(2.5):
            await asyncio.gather(*(server.serve(limiter) for _ in range(20)))

    simulate(cancel())


def test_limiter_passes_the_turn_of_a_cancelled_request_on() -> None:
    """A request that is cancelled at its turn, before it runs, gives the turn to the next."""

    async def cancel() -> float:
        limiter = Limiter(clock=CLOCK)
        limiter.learn(Allowance(1, 1, now() + 1000))
        async with limiter.slot():
            waiting = [asyncio.ensure_future(_hold(limiter, 0.0)) for _ in range(2)]
            await asyncio.sleep(0)
        waiting[0].cancel()  # its turn has come, but it has not run since
        async with asyncio.timeout(1):
            await waiting[1]
        return now() - EPOCH

    assert simulate(cancel()) < 1


def test_limiter_ignores_a_late_response_from_the_window_before() -> None:
    """What was left of that window says nothing about this one."""

    async def overtake() -> float:
        limiter = Limiter(clock=CLOCK)
        limiter.learn(Allowance(60, 30, now() + 60))
        limiter.learn(Allowance(60, 0, now() - 1))
        await asyncio.gather(*(_hold(limiter, 0.5) for _ in range(10)))
        return now() - EPOCH

    assert simulate(overtake()) == 0.5


def test_limiter_uses_the_lowest_rest_that_responses_of_a_window_report() -> None:
    """A response that reports more left than another was overtaken on its way."""

    async def shuffled() -> float:
        limiter = Limiter(clock=CLOCK)
        for remaining in (3, 0, 5):
            limiter.learn(Allowance(60, remaining, EPOCH + 60))
        async with limiter.slot():
            return now() - EPOCH

    assert simulate(shuffled()) >= 60


def test_limiter_rate_is_what_the_quota_allows_in_the_long_run() -> None:
    """The rate is unknown at first, then the share of the limit by the length of a window."""

    async def learn() -> list[float | None]:
        limiter = Limiter(share=0.5, clock=CLOCK)
        rates = [limiter.rate]
        limiter.learn(Allowance(120, 100, now() + 20))
        rates.append(limiter.rate)
        limiter.learn(Allowance(120, 100, now() + 50))
        rates.append(limiter.rate)
        return rates

    assert simulate(learn()) == [None, 1.0, 2.0]


@pytest.mark.parametrize("retry_after", [1.0, 5.0, 30.0])
def test_limiter_rate_is_not_changed_by_a_short_wait_after_a_429(retry_after: float) -> None:
    """A request before the reset sees the same window twice, and the window is not taken for a shorter one."""

    async def learn() -> float | None:
        limiter = Limiter(clock=CLOCK)
        reset = now() + 60
        limiter.learn(Allowance(60, 10, reset))
        await wait_after_refusal(limiter, retry_after, Allowance(60, 0, reset))
        limiter.learn(Allowance(60, 5, reset))
        await asyncio.sleep(reset - now())
        limiter.learn(Allowance(60, 59, reset + 60))
        return limiter.rate

    assert simulate(learn()) == 1.0


@given(
    limit=st.integers(1, 80),
    seconds=st.sampled_from([1.0, 2.0, 10.0, 60.0]),
    offset=st.floats(0, 0.999),
    rounding=st.sampled_from([math.ceil, math.floor, float]),
    latency=st.tuples(st.floats(0, 0.2), st.floats(0.2, 4.0)),
    headers=st.booleans(),
    retry=st.sampled_from([math.ceil, float, lambda left: None, lambda left: 0]),
    share=st.floats(0.05, 1),
    others=st.floats(0, 0.5),
    seed=st.integers(0, 1000),
)
@examples(120)
def test_limiter_serves_every_request_in_the_end(
    limit: int,
    seconds: float,
    offset: float,
    rounding: Callable[[float], float],
    latency: tuple[float, float],
    headers: bool,
    retry: Callable[[float], float | None],
    share: float,
    others: float,
    seed: int,
) -> None:
    """Whatever the source is like, no request waits forever, or much longer than the quota demands."""
    server = Server(
        limit=limit,
        seconds=seconds,
        offset=offset,
        rounding=rounding,
        latency=jittered(*latency, seed),
        headers=headers,
        others=others * limit / seconds,
        retry_after=retry,
    )
    count = min(3 * limit, 60)

    async def all_of_them() -> None:
        limiter = Limiter(share=share, clock=CLOCK)
        async with asyncio.timeout(20 * count * 60 / max(1, int(limit * share))):
            await asyncio.gather(*(server.serve(limiter) for _ in range(count)))

    simulate(all_of_them())
    assert server.total == count


async def _hold(limiter: Limiter, seconds: float = 1e6) -> None:
    """Hold a turn for a while."""
    async with limiter.slot():
        await asyncio.sleep(seconds)
