"""From an API to a published database, held against what the source has, row by row."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.emulator import (
    CallSpec,
    Emulator,
    Fault,
    ManualClock,
    Points,
    StaySpec,
    TrackSpec,
    WireFormat,
    World,
    odd_world,
)
from pipeline.extract.client import MAX_ATTEMPTS
from pipeline.flow import Flow
from pipeline.schema import TABLES
from tests.support.flows import assert_published, days_from, published, run

FIRST = date(2026, 3, 1)
START = datetime(2026, 3, 1, 10, tzinfo=UTC)
DAYS = days_from(FIRST, 3)
AFTERWARDS = datetime(2026, 3, 4, 12, tzinfo=UTC)
ODD = odd_world(FIRST, days=2, scale=0.1)


@pytest.mark.parametrize("unit", ["s", "float_s", "ms", "us", "ns"])
def test_the_database_holds_what_the_source_has_whatever_the_unit_of_its_timestamps(
    unit: str, flow_for: Callable[..., Flow]
) -> None:
    """Two days of odd calls arrive whole, in every unit of timestamp."""
    with Emulator(ODD, clock=ManualClock(AFTERWARDS), wire=WireFormat(unit=unit)) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        assert_published(flow, emulator.expected_rows())


def test_points_on_the_seams_of_windows_arrive_once(flow_for: Callable[..., Flow]) -> None:
    """Where the source takes the end of a window as part of it, a point on a seam comes twice and is held once."""
    with Emulator(ODD, clock=ManualClock(AFTERWARDS), wire=WireFormat(datetimes="rfc3339")) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        assert_published(flow, emulator.expected_rows())


def test_points_on_the_seams_of_windows_arrive_if_windows_are_half_open(flow_for: Callable[..., Flow]) -> None:
    """Where the source leaves the end of a window out, nothing is lost but a point at the very end of a full window.

    Such a point lies in no window of at most 30 minutes that begins where the one before ended.
    """
    with Emulator(ODD, clock=ManualClock(AFTERWARDS), wire=WireFormat(until_inclusive=False)) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        truth = emulator.expected_rows()
    last = {(row["user_session_id"], row["left_at"]): row["joined_at"] for row in truth["participant_sessions"]}

    def is_beyond_reach(row: dict[str, Any]) -> bool:
        joined_at = last.get((row["user_session_id"], row["timestamp"]))
        return joined_at is not None and (row["timestamp"] - joined_at) % timedelta(minutes=30) == timedelta()

    reachable = [row for row in truth["metric_points"] if not is_beyond_reach(row)]
    assert 0 < len(truth["metric_points"]) - len(reachable) < 5
    assert_published(flow, truth | {"metric_points": reachable}, but=("tracks",))


def test_the_second_backfill_asks_the_metrics_endpoint_for_nothing(flow_for: Callable[..., Flow]) -> None:
    """Days that are over cost no request for metrics or attendance again, and leave every table as it was."""
    over = World(tuple(call for call in ODD.calls if call.ended_at is not None))
    with Emulator(over, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        before = {table: published(flow, table) for table in TABLES}
        files = {path: path.stat().st_mtime_ns for path in (flow.settings.data / "tables").rglob("*.parquet")}
        emulator.clear_requests()
        run(flow, *DAYS)
        assert {request.endpoint for request in emulator.requests} == {"call_stats"}
        assert {table: published(flow, table) for table in TABLES} == before
        assert files == {path: path.stat().st_mtime_ns for path in (flow.settings.data / "tables").rglob("*.parquet")}


def test_as_few_requests_as_there_are_windows(flow_for: Callable[..., Flow]) -> None:
    """A publisher costs one request per begun half hour, someone who published nothing costs one."""
    calls = (
        call("long", minutes=95, tracks=True),  # four windows
        call("half-hour", minutes=30, tracks=True),  # one
        call("audience", minutes=300, tracks=False),  # one, for the answer says that there is nothing
    )
    with Emulator(
        World(calls), clock=ManualClock(AFTERWARDS), faults=(Fault("not_found", "participant_stats"),)
    ) as emulator:
        run(flow_for(emulator), FIRST)
        assert emulator.count("participant_metrics") == 4 + 1 + 1


def test_windows_are_asked_for_in_the_order_in_which_the_source_forgets(flow_for: Callable[..., Flow]) -> None:
    """The call that ended first is the first that is forgotten, and so the first to be fetched."""
    calls = tuple(call(f"call-{minutes}", minutes=minutes, tracks=True) for minutes in (25, 5, 15))
    with Emulator(World(calls), clock=ManualClock(AFTERWARDS)) as emulator:
        run(flow_for(emulator, concurrency=1), FIRST)
        asked = [request.ids["call_id"] for request in emulator.requests if request.endpoint == "participant_metrics"]
        assert asked == ["call-5", "call-15", "call-25"]


def test_what_the_source_has_forgotten_stays(flow_for: Callable[..., Flow]) -> None:
    """After 90 days the source lists nobody; everyone is still here, and nothing is reported missing."""
    clock = ManualClock(AFTERWARDS)
    over = World(tuple(call for call in ODD.calls if call.ended_at is not None))
    with Emulator(over, clock=clock) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        clock.advance(timedelta(days=100))
        run(flow, *DAYS)
        assert_published(flow, emulator.expected_rows(include_expired=True))
        assert all(flow.completeness(day).complete for day in DAYS)


def test_an_empty_answer_takes_nothing_back(flow_for: Callable[..., Flow]) -> None:
    """When a report is made anew and the source then lists nobody and gives no points, everything stays."""
    world = World((call("twice", minutes=40, tracks=True, reports=True),))
    clock = ManualClock(START + timedelta(hours=2))
    with Emulator(world, clock=clock) as emulator:
        flow = flow_for(emulator)
        run(flow, FIRST)
        held = published(flow, "metric_points")
        assert held
        emulator.add_faults(Fault("shrunken", "participant_sessions"), Fault("shrunken", "participant_metrics"))
        clock.now = AFTERWARDS
        emulator.clear_requests()
        run(flow, FIRST)
        assert emulator.count("participant_metrics") == 2
        assert published(flow, "metric_points") == held


def test_one_poisoned_window_stops_nothing_else(flow_for: Callable[..., Flow]) -> None:
    """A window that always fails is recorded with its error; all others land; the next run asks for just that one."""
    world = World((call("a", minutes=70, tracks=True), call("b", minutes=70, tracks=True)))
    poison = Fault("poisoned", match={"call_id": "a", "covers": START + timedelta(minutes=45)})
    with Emulator(world, clock=ManualClock(AFTERWARDS), faults=(poison,)) as emulator:
        flow = flow_for(emulator)
        run(flow, FIRST)
        states = {row[7]: row for row in published(flow, "windows") if row[2] == "a"}
        assert [row[8] for row in published(flow, "windows")].count("landed") == 5
        failed = next(row for row in states.values() if row[8] == "failed")
        assert failed[9:11] == (500, MAX_ATTEMPTS)
        assert "HTTP 500" in failed[14]
        assert list(map(str, flow.completeness(FIRST).problems)) == ["1 window of 1 stay has no final response"]
        emulator.clear_faults()
        emulator.clear_requests()
        run(flow, FIRST)
        assert emulator.count("participant_metrics") == 1
        assert_published(flow, emulator.expected_rows())
        assert flow.completeness(FIRST).complete


def test_timestamps_outside_their_window_are_kept_raw_and_not_loaded(flow_for: Callable[..., Flow]) -> None:
    """A window whose points lie elsewhere is suspect: listed as a problem, its points not loaded, its answer kept."""
    world = World((call("a", minutes=50, tracks=True),))
    shifted = Fault("shifted", match={"covers": START + timedelta(minutes=40)})
    with Emulator(world, clock=ManualClock(AFTERWARDS), faults=(shifted,)) as emulator:
        flow = flow_for(emulator)
        run(flow, FIRST)
        states = sorted(row[8] for row in published(flow, "windows"))
        assert states == ["landed", "suspect"]
        points = [
            row
            for row in emulator.expected_rows()["metric_points"]
            if row["timestamp"] <= START + timedelta(minutes=30)
        ]
        assert sum(published(flow, "metric_points").values()) == len(points)
        assert list(map(str, flow.completeness(FIRST).problems)) == ["1 window has timestamps that cannot be right"]


def test_faults_of_every_kind_cost_time_and_nothing_else(flow_for: Callable[..., Flow]) -> None:
    """One request in five meets a fault of some passing kind, and still everything arrives."""
    kinds = ("server_error", "dropped", "truncated", "not_json", "empty_body", "wrong_shape")
    faults = tuple(Fault(kind, share=0.2 / len(kinds), seed=seed) for seed, kind in enumerate(kinds))
    faults += (Fault("rate_limited", times=3),)
    with Emulator(ODD, clock=ManualClock(AFTERWARDS), faults=faults) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        run(flow, *DAYS)
        assert_published(flow, emulator.expected_rows())
        assert all(emulator.met(fault) for fault in faults)


def test_rebuilding_makes_the_same_tables_without_the_source(flow_for: Callable[..., Flow]) -> None:
    """Tables and database made from the raw answers alone are the ones that were."""
    with Emulator(ODD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
    before = {table: published(flow, table) for table in TABLES}
    shutil.rmtree(flow.settings.data / "tables")
    shutil.rmtree(flow.settings.data / ".work")
    flow.settings.warehouse.unlink()
    for day in DAYS:
        flow.build_tables(day, rebuild=True)
    flow.load(DAYS, rebuild=True)
    assert {table: published(flow, table) for table in TABLES} == before


def call(name: str, *, minutes: int, tracks: bool, reports: bool = False) -> CallSpec:
    """A call of one person who stays to the end, and talks or not."""
    end = START + timedelta(minutes=minutes)
    talk = Points.every(60, START, bitrate=tuple(range(minutes)))
    return CallSpec(
        call_type="default",
        call_id=name,
        call_session_id=f"{name}-1",
        started_at=START,
        ended_at=end,
        participants=(
            StaySpec(
                user_id="ann",
                user_session_id=f"{name}-ann",
                joined_at=START,
                left_at=end,
                tracks=(TrackSpec("mic", "audio", "opus", talk),) if tracks else (),
            ),
        ),
        reports=(timedelta(minutes=2), timedelta(days=2)) if reports else (timedelta(minutes=2),),
    )
