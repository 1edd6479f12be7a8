"""The page about scale has the tables that follow from its measured values, and the lines mean what they say."""

from __future__ import annotations

import json
import random
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.planning.details import details_windows, timeline_windows
from pipeline.planning.facts import CallFacts, StayFacts
from pipeline.planning.windows import tile
from tests.bench.scale import MEASURED, PAGE, with_tables
from tests.bench.scale_model import (
    MEAN_STAY,
    PEOPLE,
    QUOTA,
    RATED,
    Day,
    Line,
    requests_a_minute,
    windows_of_a_stay,
)
from tests.support import CALL, STAY

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """Return the measured values in the page's folder."""
    found = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_tables_follow_from_the_measured_values(measured: dict[str, Any]) -> None:
    """`python -m tests.bench.scale --write` with the same values would not change the page."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page, measured) == page


def test_page_of_other_values_is_another(measured: dict[str, Any]) -> None:
    """A value that is changed by hand is noticed."""
    page = PAGE.read_text(encoding="utf-8")
    days = [{**day, "raw": day["raw"] * 2} for day in measured["days"]]
    assert with_tables(page, {**measured, "days": days}) != page


def test_line_goes_through_the_measured_days() -> None:
    """Fixed part, part of a session and part of a point are told apart."""
    days = [
        {"sessions": sessions, "points": points, "cost": 7 + 3 * sessions + points / 2}
        for sessions, points in ((100, 1000), (500, 5000), (500, 400))
    ]
    line = Line(days, lambda day: day["cost"])
    assert (line.fixed, line.per_session, line.per_point) == pytest.approx((7, 3, 0.5))
    assert line.at(10**7, 10**9) == pytest.approx(7 + 3e7 + 5e8)


def test_noise_gives_no_negative_part() -> None:
    """A day of fewer points that took longer does not give points a negative cost."""
    days = [{"sessions": s, "points": p, "cost": c} for s, p, c in ((100, 1000, 9), (500, 5000, 8), (500, 400, 8.5))]
    line = Line(days, lambda day: day["cost"])
    assert min(line.fixed, line.per_session, line.per_point) >= 0


@pytest.mark.parametrize("minutes", [5, 30, 120])
def test_windows_of_a_stay_are_those_that_the_plan_cuts(minutes: int) -> None:
    """The formula gives the mean number of windows of random stays."""
    chance = random.Random(0)
    lengths = [timedelta(minutes=chance.expovariate(1 / minutes)) for _ in range(20_000)]
    mean = statistics.fmean(len(tile(MIDNIGHT, MIDNIGHT + length)) for length in lengths)
    assert windows_of_a_stay(minutes) == pytest.approx(mean, rel=0.02)


def test_details_and_timelines_are_those_that_the_plan_makes(measured: dict[str, Any]) -> None:
    """Details of a stay take a request per hour, its timeline takes one; ratings take two per rated call."""
    chance = random.Random(0)
    stays = [timedelta(minutes=chance.expovariate(1 / MEAN_STAY)) for _ in range(20_000)]
    call = CallFacts(CALL, started_at=MIDNIGHT, ended_at=MIDNIGHT + max(stays), generated_at=None)
    facts = [StayFacts(STAY, call, MIDNIGHT, MIDNIGHT + length, MIDNIGHT + max(stays)) for length in stays]
    day = Day(measured, len(stays))
    planned = sum(len(details_windows(one)) for one in facts)
    assert day.extra_requests["participant_details"] == pytest.approx(planned, rel=0.02)
    assert day.extra_requests["participant_timeline"] == sum(len(timeline_windows(one)) for one in facts)
    assert day.requests["user_feedback"] == 2 * RATED * len(stays) / PEOPLE


def test_measured_days_needed_as_many_requests_as_the_arithmetic_says(measured: dict[str, Any]) -> None:
    """A day of that many sessions is derived with the requests that the pipeline really sent."""
    for day in [*measured["days"], measured["check"]]:
        derived = Day(measured, day["sessions"]).requests
        assert derived["participant_sessions"] == day["requests"]["participant_sessions"]
        assert derived["participant_stats"] == day["requests"]["participant_stats"]
        assert derived["participant_metrics"] == pytest.approx(day["requests"]["participant_metrics"], rel=0.1)


@pytest.mark.parametrize(
    ("quota", "in_flight", "expected"), [(1000, 16, 1000), (300, 256, 300), (60_000, 16, 16 / 0.2 * 60)]
)
def test_a_process_sends_what_quota_and_latency_allow(quota: int, in_flight: int, expected: float) -> None:
    """The limiter uses a small quota whole; a large one is bounded by the requests in flight."""
    assert requests_a_minute(quota, in_flight) == pytest.approx(expected, rel=0.02)


def test_ten_million_sessions_need_more_quota_than_a_day_has(measured: dict[str, Any]) -> None:
    """What the page says of the largest day is so."""
    day = Day(measured, 10**7)
    assert 7 * 24 * 60 < day.quota_minutes == max(day.requests.values()) / QUOTA < 8 * 24 * 60
