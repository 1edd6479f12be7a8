"""Quotas over HTTP: 429s and rate-limit headers."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.emulator import KEY, SECRET, Emulator, Fault, Quota, WireFormat, World, skewed
from pipeline.extract.client import MAX_ATTEMPTS, StreamApi
from pipeline.model import Call, Request, Response, Stay, Window
from pipeline.settings import Credentials, Secret
from tests.support import CALL, DAY, at
from tests.support.api import AFTERWARDS, METRICS, WORLD, ScriptedServer, SkippingClock, fetch, http_response, use


@pytest.mark.parametrize("way", ["seconds", "http_date"])
@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=1), timedelta(hours=-1)])
def test_429_is_waited_out_and_does_not_count_as_an_attempt(way: str, skew: timedelta) -> None:
    """After every 429, the client waits as long as Retry-After says, in seconds or as a date by the source's clock."""
    fault = Fault("rate_limited", times=8, retry_after=way, retry_after_seconds=7)
    skipping = SkippingClock()
    with Emulator(WORLD, clock=skewed(skew), faults=(fault,), quotas={"participant_metrics": None}) as emulator:
        request = replace(METRICS, stay=Stay(CALL, "unknown", "x"))
        response = fetch(emulator.url, request, clock=skipping.clock)
        assert emulator.count(status=429) == 8
    assert (response.attempts, response.status) == (1, 404)
    assert 8 * 7 <= sum(skipping.waits) <= 8 * (7 + 2 + 1)


def test_429_between_faults_costs_no_attempt() -> None:
    """All attempts are left for the faults."""
    refusals = (Fault("rate_limited", times=2, retry_after="seconds"), Fault("poisoned"))
    with Emulator(WORLD, clock=AFTERWARDS, faults=refusals, quotas={"participant_metrics": None}) as emulator:
        response = fetch(emulator.url, METRICS, clock=SkippingClock().clock)
        assert emulator.count(status=500) == MAX_ATTEMPTS
    assert response.attempts == MAX_ATTEMPTS


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=5), timedelta(hours=-5)])
def test_quota_is_followed_with_any_clock_skew(skew: timedelta) -> None:
    """The reset is a time by the source's clock, and three windows of requests get no 429."""
    with Emulator(World(()), clock=skewed(skew), quotas={"participant_metrics": Quota(4, 1.0)}) as emulator:

        async def send(api: StreamApi) -> None:
            await asyncio.gather(*(api.fetch(METRICS) for _ in range(9)))

        use(emulator.url, send, concurrency=4)
        assert emulator.count(status=429) == 0
        assert emulator.count(status=404) == 9


def test_waits_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """For the quota of an endpoint, and before another attempt: how long, and what for."""
    caplog.set_level(logging.DEBUG, logger="pipeline")
    refusals = (
        Fault("rate_limited", times=1, retry_after="seconds", retry_after_seconds=7),
        Fault("poisoned", times=1),
    )
    with Emulator(WORLD, clock=AFTERWARDS, faults=refusals, quotas={"participant_metrics": None}) as emulator:
        fetch(emulator.url, METRICS, clock=SkippingClock().clock)
    (wait,) = [record for record in caplog.records if "for the quota" in record.getMessage()]
    assert wait.getMessage().startswith("participant_metrics: waiting 7.")
    assert (wait.endpoint, wait.requests) == ("participant_metrics", 1)
    (again,) = [record for record in caplog.records if "attempt" in record.getMessage()]
    assert again.getMessage().startswith("participant_metrics, 2026-11-01, default:standup (session s1), ")
    assert again.attempt == 2
    assert [record.status for record in caplog.records if "path" in vars(record)] == [429, 500, 200]


@pytest.mark.parametrize("joined", [False, True])
def test_quota_is_read_from_the_headers(joined: bool) -> None:
    """Headers that proxies joined into lists are read too."""
    with Emulator(
        WORLD, quotas={"participant_metrics": Quota(120)}, wire=WireFormat(joined_headers=joined)
    ) as emulator:

        async def send(api: StreamApi) -> tuple[float | None, float | None]:
            before = api.rate("participant_metrics")
            await api.fetch(METRICS)
            return before, api.rate("participant_metrics")

        before, rate = use(emulator.url, send)
    assert before is None
    assert rate == pytest.approx(120 / 60, rel=0.05)


@pytest.mark.parametrize(
    "headers",
    [
        ["X-RateLimit-Limit: many", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Limit: 0", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Limit: nan", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Limit: inf", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Limit: 60", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: inf"],
        ["X-RateLimit-Limit: ,", "X-RateLimit-Remaining: ", "X-RateLimit-Reset: ,,"],
    ],
)
def test_quota_headers_without_meaning_hold_nothing_back(headers: list[str]) -> None:
    """Headers that cannot be understood are not a quota."""

    async def send(api: StreamApi) -> None:
        async with asyncio.timeout(5):
            for _ in range(3):
                assert (await api.fetch(METRICS)).error is None

    ScriptedServer(http_response({"duration": "1ms"}, 200, *headers)).use(send)


PAST = "Sun, 06 Nov 1994 08:49:37"


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "soon", "Sun, 99 Nov 2026 00:00:00 GMT", PAST, f"{PAST} GMT"])
def test_retry_after_without_meaning_is_a_short_wait(value: str) -> None:
    """A 429 with a Retry-After that cannot be used is followed by a short wait."""
    refusal = http_response({"code": 9}, 429, f"Retry-After: {value}")
    server = ScriptedServer(refusal, http_response({"duration": "1ms"}))
    skipping = SkippingClock()

    async def send(api: StreamApi) -> Response:
        async with asyncio.timeout(5):
            return await api.fetch(METRICS)

    assert server.use(send, clock=skipping.clock).attempts == 1
    assert 0 < sum(skipping.waits) <= 62


def test_quota_of_a_server_is_hardly_ever_exceeded() -> None:
    """80 requests at 20 per two seconds, 16 in flight, all get a response with almost no 429s."""
    stay = Stay(Call("default", "c", "s"), "u", "us")
    request = Request("participant_metrics", DAY, stay=stay, window=Window(at(10), at(10, 30)))
    with Emulator(World(()), quotas={"participant_metrics": Quota(20, 2.0)}) as emulator:

        async def send() -> None:
            async with StreamApi(emulator.url, Credentials(KEY, Secret(SECRET)), concurrency=16) as api:
                queue = iter(range(80))

                async def worker() -> None:
                    for _ in queue:
                        assert (await api.fetch(request)).status == 404

                await asyncio.gather(*(worker() for _ in range(16)))

        asyncio.run(send())
        assert emulator.count(status=404) == 80
        assert emulator.count(status=429) <= 0.03 * 80
