"""The quota is used up, and next to never overrun, whatever the source's windows, clocks and latencies are like."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.clock import Clock
from pipeline.extract.quota import MAX_BLIND_WAIT, PROBE_PATIENCE, Allowance, Limiter
from tests.support import examples, simulate

EPOCH = 1_793_500_000.0
"""Unix time at which simulations begin: a whole second, and the beginning of a window."""


def now() -> float:
    """Unix time in a simulation."""
    return EPOCH + asyncio.get_running_loop().time()


CLOCK = Clock(now, asyncio.sleep)


@dataclass
class Server:
    """A source with a fixed-window quota, in simulated time.

    `offset` is when its windows begin after whole multiples of their length, `rounding` what it makes of the reset,
    `others` the requests per second that someone else makes, `retry_after` says what a 429 asks for given the seconds
    left.
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

    async def answer(self, limiter: Limiter) -> bool:
        """Let one request go when its turn comes; whether it was served."""
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
        """The same request until it is served."""
        while not await self.answer(limiter):
            pass

    @property
    def total(self) -> int:
        return sum(self.served.values())


async def work(server: Server, limiter: Limiter, seconds: float, in_flight: int = 16) -> None:
    """Workers that always have another request, stopped after a while."""

    async def worker() -> None:
        while True:
            await server.answer(limiter)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(worker() for _ in range(in_flight)))


def used(server: Server, windows: int) -> float:
    """Share of the quota used in so many whole windows, the first and the last one left out."""
    inner = sorted(server.served)[1 : windows + 1]
    assert len(inner) == windows
    return sum(server.served[window] for window in inner) / (server.limit * windows)


def refusals(server: Server) -> float:
    """Share of requests that were refused."""
    return server.refused / (server.total + server.refused)


def jittered(least: float, most: float, seed: int = 1) -> Callable[[], float]:
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
def test_the_quota_is_used_and_hardly_ever_overrun(server: Server, in_flight: int) -> None:
    """At least 80 % of every window, at most 3 % refusals."""
    windows = 10
    simulate(work(server, Limiter(clock=CLOCK), (windows + 2) * server.seconds, in_flight))
    assert used(server, windows) >= 0.8
    assert refusals(server) <= 0.03


def test_what_others_use_of_the_quota_counts() -> None:
    """Where someone else takes half, the other half is used and refusals stay rare."""
    server = Server(limit=300, seconds=60, others=2.5, latency=jittered(0.05, 0.5))
    simulate(work(server, Limiter(clock=CLOCK), 600))
    assert refusals(server) <= 0.03
    inner = sorted(server.served)[1:9]
    assert sum(server.served[window] for window in inner) / (300 * len(inner)) >= 0.5


@pytest.mark.parametrize("share", [0.5, 0.25, 0.01])
def test_a_share_of_the_quota_leaves_the_rest_to_others(share: float) -> None:
    """What is used is the share and no more, but one request at least."""
    server = Server(limit=60, seconds=2, latency=jittered(0.01, 0.1))
    simulate(work(server, Limiter(share=share, clock=CLOCK), 24))
    allowed = max(1, int(60 * share))
    inner = sorted(server.served)[1:11]
    assert all(server.served[window] <= allowed for window in inner)
    assert sum(server.served[window] for window in inner) >= 0.8 * allowed * len(inner)
    assert server.refused == 0


def test_an_endpoint_without_a_quota_is_not_held_back() -> None:
    """Once an answer came without headers, all that wait go at once."""
    server = Server(limit=10**9, headers=False, latency=lambda: 1.0)

    async def rush() -> float:
        limiter = Limiter(clock=CLOCK)
        begun = now()
        await asyncio.gather(*(server.serve(limiter) for _ in range(100)))
        assert limiter.rate is None
        return now() - begun

    assert simulate(rush()) == pytest.approx(2.0, abs=0.1)


def test_quotas_without_headers_are_learnt_from_refusals() -> None:
    """Without any word of the source, waits grow while it refuses, and everything is served in the end."""
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
    """The seconds until a request may go after a 429."""
    begun = now()
    limiter.refused(retry_after, allowance)
    async with limiter.slot():
        return now() - begun


def test_a_429_without_any_header_waits_longer_each_time_and_never_beyond_a_minute() -> None:
    """1, 2, 4 … 60 seconds, and a little by chance; a good answer begins anew."""

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
def test_retry_after_is_taken_as_it_stands(retry_after: float) -> None:
    """However long, and whatever the reset says."""

    async def refuse() -> float:
        return await wait_after_refusal(Limiter(clock=CLOCK), retry_after, Allowance(60, 0, now() + 10))

    assert retry_after <= simulate(refuse()) <= retry_after + 1.1


def test_without_retry_after_the_reset_is_waited_for() -> None:
    """A 429 with the quota's headers says enough."""

    async def refuse() -> float:
        return await wait_after_refusal(Limiter(clock=CLOCK), None, Allowance(60, 0, now() + 42))

    assert 42 <= simulate(refuse()) <= 43.1


def test_after_a_429_nobody_goes_before_its_time() -> None:
    """All that wait are held back, not only the one that was refused."""

    async def refuse() -> list[float]:
        limiter = Limiter(clock=CLOCK)
        limiter.learn(Allowance(60, 59, now() + 60))
        times: list[float] = []

        async def go() -> None:
            async with limiter.slot():
                times.append(now() - begun)

        begun = now()
        limiter.refused(20, None)
        await asyncio.gather(*(go() for _ in range(5)))
        return times

    assert min(simulate(refuse())) >= 20


def test_one_scout_goes_ahead_while_nothing_is_known() -> None:
    """At the start, and after each reset, one request goes alone; the others follow its answer."""

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


def test_a_scout_that_hangs_holds_nobody_up_for_long() -> None:
    """Another goes ahead a second later."""

    async def hang() -> float:
        limiter = Limiter(clock=CLOCK)
        hanging = asyncio.ensure_future(_hold(limiter))
        await asyncio.sleep(0)
        begun = now()
        async with limiter.slot():
            waited = now() - begun
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        return waited

    assert simulate(hang()) <= PROBE_PATIENCE + 0.1
    assert PROBE_PATIENCE <= 1.0


def test_a_scout_that_fails_is_followed_at_once() -> None:
    """It came back, if without news: the next one need not wait."""

    async def fail() -> float:
        limiter = Limiter(clock=CLOCK)
        for _ in range(5):
            async with limiter.slot():
                await asyncio.sleep(0.1)
        return now() - EPOCH

    assert simulate(fail()) == pytest.approx(0.5, abs=0.01)


def test_turns_come_in_the_order_of_asking() -> None:
    """First come, first served, across resets too."""
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


def test_who_comes_when_the_quota_opens_does_not_pass_those_who_wait() -> None:
    """In the very moment of the reset the queue goes first."""
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


def test_who_stops_waiting_takes_no_turn_with_them() -> None:
    """Cancelled waiters, cancelled holders and cancelled winners of a turn leave the quota to the others."""

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


def test_who_is_cancelled_in_the_moment_of_their_turn_hands_it_on() -> None:
    """The turn was theirs already, but they never run."""

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


def test_an_answer_that_was_overtaken_does_not_bring_the_old_window_back() -> None:
    """What is left of the window before says nothing of this one: requests go on side by side."""

    async def overtake() -> float:
        limiter = Limiter(clock=CLOCK)
        limiter.learn(Allowance(60, 30, now() + 60))
        limiter.learn(Allowance(60, 0, now() - 1))
        await asyncio.gather(*(_hold(limiter, 0.5) for _ in range(10)))
        return now() - EPOCH

    assert simulate(overtake()) == 0.5


def test_answers_of_one_window_in_any_order_leave_the_least() -> None:
    """An answer that says more is left than another has been overtaken."""

    async def shuffled() -> float:
        limiter = Limiter(clock=CLOCK)
        for remaining in (3, 0, 5):
            limiter.learn(Allowance(60, remaining, EPOCH + 60))
        async with limiter.slot():
            return now() - EPOCH

    assert simulate(shuffled()) >= 60


def test_the_rate_is_what_the_quota_allows_in_the_long_run() -> None:
    """Unknown at first, then the limit by the window's length, share included."""

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
def test_a_short_wait_after_a_429_makes_no_window_shorter(retry_after: float) -> None:
    """Who is let in again before the reset has seen the same window twice, and the rate stays what it was."""

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
def test_every_request_is_served_in_the_end(
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
    """Whatever the source is like, nobody waits for ever, and nobody waits much longer than the quota demands."""
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
    async with limiter.slot():
        await asyncio.sleep(seconds)
