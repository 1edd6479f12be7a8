"""The source's clock, as the client learns it from responses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.emulator import Emulator, skewed
from pipeline.extract.client import StreamApi
from pipeline.model import Response
from tests.support.api import METRICS, WORLD, ScriptedServer, http_response, use


@pytest.mark.parametrize("skew", [timedelta(days=3), timedelta(seconds=-90)])
def test_now_is_the_time_of_the_source(skew: timedelta) -> None:
    """The client takes the time from responses, to the second, and dates what it fetches by it."""
    with Emulator(WORLD, clock=skewed(skew)) as emulator:

        async def send(api: StreamApi) -> tuple[datetime, Response]:
            await api.rate_limits()
            return api.now(), await api.fetch(METRICS)

        now, response = use(emulator.url, send)
        theirs = emulator.clock()
    assert abs(now - theirs) < timedelta(seconds=2.5)
    assert abs(response.fetched_at - theirs) < timedelta(seconds=2.5)


@pytest.mark.parametrize("date", ["Date: yesterday", "X-Date: none", "Date: Sun, 99 Nov 2026 00:00:00 GMT"])
def test_date_header_without_meaning_is_ignored(date: str) -> None:
    """Without a usable Date header, our own clock counts."""

    async def send(api: StreamApi) -> tuple[Response, timedelta]:
        return await api.fetch(METRICS), api.skew

    response, skew = ScriptedServer(http_response({"duration": "1ms"}, 200, date)).use(send)
    assert response.error is None
    assert skew == timedelta(0)
    assert abs(response.fetched_at - datetime.now(UTC)) < timedelta(seconds=5)
