"""Quotas admit exactly their limit, and the headers report their state."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from pipeline.emulator import Emulator, ManualClock, Quota, WireFormat
from tests.support.emulator_reader import SMALL, SMALL_STAY, Reader, assert_refused, at, small_world

LONG = 10**9.0
"""Seconds of a window that outlasts every test."""


def test_quota_admits_exactly_its_limit_of_concurrent_requests() -> None:
    """Of thirty requests in flight ten succeed and twenty are refused."""
    with (
        Emulator(small_world(), clock=ManualClock(at(12)), quotas={"participant_metrics": Quota(10, LONG)}) as emulator,
        Reader(emulator) as reader,
        ThreadPoolExecutor(8) as pool,
    ):
        responses = list(pool.map(lambda _: reader.window(SMALL_STAY, at(10), at(10, 30)), range(30)))
        assert sorted(response.status_code for response in responses) == [200] * 10 + [429] * 20
        assert emulator.count("participant_metrics", 429) == 20
        remaining = sorted(
            int(response.headers["x-ratelimit-remaining"]) for response in responses if response.status_code == 200
        )
        assert remaining == list(range(10))
        assert reader.attendance(SMALL).status_code == 200


@pytest.mark.parametrize(("way", "wanted"), [("seconds", "3600"), ("absent", None), ("http_date", at(13))])
def test_quota_refusal_has_the_configured_retry_after(way: str, wanted: object) -> None:
    """Retry-After is in seconds, an HTTP date or absent; the body has code 9 in any case."""
    quotas = {"participant_sessions": Quota(0, 3600.0)}
    with (
        Emulator(small_world(), clock=ManualClock(at(12)), quotas=quotas, wire=WireFormat(retry_after=way)) as emulator,
        Reader(emulator) as reader,
    ):
        response = reader.attendance(SMALL)
    assert_refused(response, 429, 9)
    given = response.headers.get("retry-after")
    if way == "http_date":
        assert timedelta(0) <= parsedate_to_datetime(given) - at(13) <= timedelta(seconds=1)
    elif way == "seconds":
        assert 3595 <= int(given) <= 3600
    else:
        assert given is None
    assert abs(int(response.headers["x-ratelimit-reset"]) - at(13).timestamp()) <= 5


def test_rate_limits_endpoint_reads_quotas_without_using_them() -> None:
    """The endpoint lists the quotas under the API's names."""
    quotas = {"participant_metrics": Quota(7, LONG), "participant_stats": None}
    with Emulator(small_world(), clock=ManualClock(at(12)), quotas=quotas) as emulator, Reader(emulator) as reader:
        reader.window(SMALL_STAY, at(10), at(10, 30))
        path = "/api/v2/rate_limits"
        for _ in range(2):
            limits = reader.client.get(path, params={"server_side": "true"}).json()["server_side"]
        named = reader.client.get(path, params={"server_side": "true", "endpoints": "QueryCallSessionStats,X"}).json()
        assert "server_side" not in reader.client.get(path).json()
        headers = reader.stats(SMALL).headers
    assert limits["GetCallParticipantSessionMetrics"]["limit"] == 7
    assert limits["GetCallParticipantSessionMetrics"]["remaining"] == 6
    assert "QueryCallSessionParticipantStats" not in limits
    assert list(named["server_side"]) == ["QueryCallSessionStats"]
    assert not [name for name in headers if name.startswith("x-ratelimit")]


def test_quota_can_shrink_while_the_emulator_runs() -> None:
    """Stream's may shrink under load; requests of the current window stay counted."""
    quotas = {"participant_metrics": Quota(100, LONG)}
    with Emulator(small_world(), clock=ManualClock(at(12)), quotas=quotas) as emulator, Reader(emulator) as reader:
        assert reader.window(SMALL_STAY, at(10), at(10, 30)).status_code == 200
        emulator.set_quota("participant_metrics", Quota(2, LONG))
        assert [reader.window(SMALL_STAY, at(10), at(10, 30)).status_code for _ in range(2)] == [200, 429]


def test_quota_headers_can_be_joined_lists() -> None:
    """A proxy may join headers, and the first item can be empty."""
    with (
        Emulator(small_world(), clock=ManualClock(at(12)), wire=WireFormat(joined_headers=True)) as emulator,
        Reader(emulator) as reader,
    ):
        assert reader.attendance(SMALL).headers["x-ratelimit-limit"] == ", 60000, 60000"


def test_quota_for_an_unknown_endpoint_is_refused() -> None:
    """A misspelled endpoint does not silently lift a limit."""
    with pytest.raises(ValueError, match="no endpoint is called 'metrics'"):
        Emulator(small_world(), quotas={"metrics": Quota(1)})
