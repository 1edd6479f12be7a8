"""The ledger counts what the setting of details costs: what it predicts of a day is what the emulator then counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.emulator import CallSpec, Emulator, Fault, ManualClock, Points, RatingSpec, StaySpec, TrackSpec, World
from pipeline.flow import Flow
from pipeline.warehouse.published import open_published

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
EARLIER, LATER = ((NOW - timedelta(days=back)).date() for back in (4, 3))
ENDPOINTS = {
    "call_list_requests": ("call_stats",),
    "listing_requests": ("participant_sessions", "participant_stats"),
    "metrics_requests": ("participant_metrics",),
    "feedback_requests": ("user_feedback",),
    "details_requests": ("participant_details",),
    "timeline_requests": ("participant_timeline",),
}
"""The endpoints whose requests a column of the ledger counts."""


def calls(day: date) -> tuple[CallSpec, ...]:
    """Return three calls of a day, of 90 minutes: two that people rated, one of them with a poor publisher."""
    start = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    end = start + timedelta(minutes=90)

    def stay(user: str, framerate: float | None, **given: Any) -> StaySpec:
        points = Points.every(30, start, bitrate=[1e6] * 180, framerate=[framerate] * 180)
        tracks = (TrackSpec("cam", "video", "vp8", points),) if framerate else ()
        return StaySpec(user, f"{user}-1", joined_at=start, left_at=end, tracks=tracks, **given)

    def call(name: str, framerate: float, *ratings: RatingSpec) -> CallSpec:
        people = (stay("host", framerate), stay("guest", 30), stay("viewer", None, ratings=ratings))
        return CallSpec("default", name, f"{name}-{day}", started_at=start, ended_at=end, participants=people)

    rating = RatingSpec(end, 4)
    return call("poor", 3, rating), call("good", 30, rating), call("silent", 30)


def predicted(flow: Flow, day: date) -> dict[str, Any]:
    """Return the ledger's row of a day."""
    with open_published(flow.settings.warehouse) as database:
        found = database.execute("FROM ledger WHERE session_date = $day", {"day": day}).to_arrow_table().to_pylist()
    (row,) = found
    return row


@pytest.mark.parametrize(
    ("details", "chosen", "is_listed"),
    [
        ("all", 9, True),
        ("poor", 3, False),
        pytest.param("all", 9, False, marks=pytest.mark.slow),
        pytest.param("poor", 3, True, marks=pytest.mark.slow),
        pytest.param("off", 0, False, marks=pytest.mark.slow),
        pytest.param("off", 0, True, marks=pytest.mark.slow),
    ],
)
def test_ledger_predicts_the_requests_of_an_unfetched_day(
    details: str, chosen: int, is_listed: bool, flow_for: Callable[..., Flow]
) -> None:
    """A day like an earlier one, never listed or of which only the calls are known, with ratings and any setting."""
    world = World((*calls(EARLIER), *calls(LATER)))
    with Emulator(world, clock=ManualClock(NOW)) as emulator:
        flow = flow_for(emulator, details=details, start=EARLIER)
        flow.run(EARLIER)
        if is_listed:
            flow.extract.call_stats(LATER)
            flow.build_tables(LATER)
            flow.load([LATER])
        row = predicted(flow, LATER)
        assert row["is_estimate"] is not is_listed
        emulator.clear_requests()
        flow.run(LATER)
        for column, endpoints in ENDPOINTS.items():
            assert row[column] == sum(emulator.count(endpoint) for endpoint in endpoints), column
        assert row["requests"] == emulator.count()
        assert (row["details_requests"], row["timeline_requests"]) == (2 * chosen, chosen)
        assert row["feedback_requests"] == 2
        with open_published(flow.settings.warehouse) as database:
            left = database.execute("SELECT count(*) FROM ledger WHERE session_date <= $day", {"day": LATER}).fetchall()
        assert left == [(0,)]


def test_stays_with_details_are_not_counted_again(flow_for: Callable[..., Flow]) -> None:
    """Of a call that another report made incomplete, only the timeline that failed counts."""
    (poor, *_) = calls(LATER)
    spec = replace(poor, reports=(timedelta(minutes=2), timedelta(days=1)))
    clock = ManualClock(NOW - timedelta(days=3))
    fault = Fault("server_error", "participant_timeline", match={"user_id": "viewer"})
    with Emulator(World((spec,)), clock=clock, faults=(fault,)) as emulator:
        flow = flow_for(emulator, details="all", start=LATER)
        flow.run(LATER)
        clock.now = NOW
        flow.extract.call_stats(LATER)
        flow.build_tables(LATER)
        flow.load([LATER])
        row = predicted(flow, LATER)
        assert (row["details_requests"], row["timeline_requests"], row["feedback_requests"]) == (0, 1, 0)
