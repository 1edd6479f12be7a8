"""Whole runs: from the API to a published database that has the rows of the source."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
    skewed,
    uniform_world,
)
from pipeline.extract.client import MAX_ATTEMPTS
from pipeline.flow import Flow
from pipeline.schema import TABLES
from tests.support.flows import AFTERWARDS, DAY, assert_published, days_from, published, run

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
DAYS = days_from(DAY, 3)
ODD = odd_world(DAY, days=2, scale=0.1)


def call(name: str, *, minutes: int, tracks: bool, reports: bool = False) -> CallSpec:
    """Return a call of one person who stays to the end, and publishes audio if `tracks` is true."""
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


# What is published.


@pytest.mark.parametrize(
    "unit", ["float_s", *(pytest.param(unit, marks=pytest.mark.slow) for unit in ("s", "ms", "us", "ns"))]
)
def test_database_has_the_rows_of_the_source_in_every_timestamp_unit(unit: str, flow_for: Callable[..., Flow]) -> None:
    """Two days of odd calls arrive complete."""
    with Emulator(ODD, clock=ManualClock(AFTERWARDS), wire=WireFormat(unit=unit)) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        assert_published(flow, emulator.expected_rows())


def test_points_on_window_edges_are_stored_once(flow_for: Callable[..., Flow]) -> None:
    """If the source includes the end of a window, a point on an edge comes twice and is stored once."""
    with Emulator(ODD, clock=ManualClock(AFTERWARDS), wire=WireFormat(datetimes="rfc3339")) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        assert_published(flow, emulator.expected_rows())


@pytest.mark.slow
def test_points_on_window_edges_are_stored_if_windows_are_half_open(flow_for: Callable[..., Flow]) -> None:
    """If the source excludes the end of a window, only a point at the very end of a stay's last full window is lost.

    No window of at most 30 minutes that starts where the one before ended contains such a point.
    """
    with Emulator(ODD, clock=ManualClock(AFTERWARDS), wire=WireFormat(until_inclusive=False)) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        expected = emulator.expected_rows()
    last = {(row["user_session_id"], row["left_at"]): row["joined_at"] for row in expected["participant_sessions"]}

    def is_out_of_reach(row: dict[str, Any]) -> bool:
        joined_at = last.get((row["user_session_id"], row["timestamp"]))
        return joined_at is not None and (row["timestamp"] - joined_at) % timedelta(minutes=30) == timedelta()

    reachable = [row for row in expected["metric_points"] if not is_out_of_reach(row)]
    assert 0 < len(expected["metric_points"]) - len(reachable) < 5
    assert_published(flow, expected | {"metric_points": reachable}, but=("tracks",))


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_ninety_days_in_one_run_are_complete(flow_for: Callable[..., Flow]) -> None:
    """All days are stored and known to be complete, also those without calls between the first and the last."""
    days = days_from(DAY, 90)
    early = uniform_world(days[0], calls=1, people=1, minutes=10, step_seconds=60)
    late = uniform_world(days[-1], calls=1, people=1, minutes=10, step_seconds=60)
    clock = ManualClock(datetime.combine(days[-1], datetime.min.time(), UTC) + timedelta(days=1))
    with Emulator(early + late, clock=clock) as emulator:
        flow = flow_for(emulator)
        with flow.warehouse.publishing_seldom(60):  # as on the command line
            run(flow, *days)
        flow.load([])
        assert_published(flow, emulator.expected_rows())
        assert flow.lake.days() == days
        assert all(flow.completeness(day).is_complete for day in days)


def test_rebuild_gives_the_same_tables_without_the_source(flow_for: Callable[..., Flow]) -> None:
    """Tables and database made from raw responses alone have the same rows."""
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


# What is requested.


def test_second_run_requests_no_metrics_and_changes_no_table(flow_for: Callable[..., Flow]) -> None:
    """Days that are over cost no request for metrics or attendance, and no file is written again."""
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


def test_run_sends_one_request_per_window(flow_for: Callable[..., Flow]) -> None:
    """A publisher costs one request per half hour, and a user who published nothing costs one."""
    calls = (
        call("long", minutes=95, tracks=True),  # four windows
        call("half-hour", minutes=30, tracks=True),  # one
        call("audience", minutes=300, tracks=False),  # one, because the response has no tracks
    )
    with Emulator(
        World(calls), clock=ManualClock(AFTERWARDS), faults=(Fault("not_found", "participant_stats"),)
    ) as emulator:
        flow_for(emulator).run(DAY)
        assert emulator.count("participant_metrics") == 4 + 1 + 1


def test_windows_are_requested_in_the_order_in_which_calls_expire(flow_for: Callable[..., Flow]) -> None:
    """The call that ended first expires first, so it is fetched first."""
    calls = tuple(call(f"call-{minutes}", minutes=minutes, tracks=True) for minutes in (25, 5, 15))
    with Emulator(World(calls), clock=ManualClock(AFTERWARDS)) as emulator:
        flow_for(emulator, concurrency=1).run(DAY)
        requested = [
            request.ids["call_id"] for request in emulator.requests if request.endpoint == "participant_metrics"
        ]
        assert requested == ["call-5", "call-15", "call-25"]


@pytest.mark.parametrize("hours", [-1, 1])
def test_run_with_a_clock_an_hour_off_fetches_the_same(hours: int, flow_for: Callable[..., Flow]) -> None:
    """Instants are by the source's clock, so responses are final when they should be and nothing is fetched twice."""
    ended_at = datetime.now(UTC) + timedelta(hours=hours) - timedelta(minutes=3)
    started_at = ended_at - timedelta(minutes=40)
    talk = Points.every(30, started_at, bitrate=tuple(range(81)))
    stay = StaySpec(
        "ann", "ann-1", joined_at=started_at, left_at=ended_at, tracks=(TrackSpec("mic", "audio", "opus", talk),)
    )
    world = World((CallSpec("default", "c", "c-1", started_at=started_at, ended_at=ended_at, participants=(stay,)),))
    with Emulator(world, clock=skewed(timedelta(hours=hours))) as emulator:
        flow = flow_for(emulator)
        flow.run(started_at.date())
        assert_published(flow, emulator.expected_rows())
        requested = emulator.count("participant_metrics")
        flow.run(started_at.date())
        assert emulator.count("participant_metrics") == requested == 2
        (fetched_at,) = {row[13].replace(second=0, microsecond=0) for row in published(flow, "windows")} or {None}
        assert abs(fetched_at - datetime.now(UTC) - timedelta(hours=hours)) < timedelta(minutes=3)


# Data that the source no longer has, and faults.


@pytest.mark.slow
def test_data_remains_after_it_expired_at_the_source(flow_for: Callable[..., Flow]) -> None:
    """After 90 days the source lists no one, everything is still stored, and nothing is reported missing."""
    clock = ManualClock(AFTERWARDS)
    over = World(tuple(call for call in ODD.calls if call.ended_at is not None))
    with Emulator(over, clock=clock) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        clock.advance(timedelta(days=100))
        run(flow, *DAYS)
        assert_published(flow, emulator.expected_rows(include_expired=True))
        assert all(flow.completeness(day).is_complete for day in DAYS)


def test_empty_response_after_a_newer_report_removes_nothing(flow_for: Callable[..., Flow]) -> None:
    """The source lists no one and gives no points after a second report, and everything stays."""
    world = World((call("twice", minutes=40, tracks=True, reports=True),))
    clock = ManualClock(START + timedelta(hours=2))
    with Emulator(world, clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        before = published(flow, "metric_points")
        assert before
        emulator.add_faults(Fault("shrunken", "participant_sessions"), Fault("shrunken", "participant_metrics"))
        clock.now = AFTERWARDS
        emulator.clear_requests()
        flow.run(DAY)
        assert emulator.count("participant_metrics") == 2
        assert published(flow, "metric_points") == before


@pytest.mark.slow
def test_window_that_always_fails_does_not_affect_the_others(flow_for: Callable[..., Flow]) -> None:
    """It is recorded with its error, all others land, and the next run requests only that one."""
    world = World((call("a", minutes=70, tracks=True), call("b", minutes=70, tracks=True)))
    poison = Fault("poisoned", match={"call_id": "a", "covers": START + timedelta(minutes=45)})
    with Emulator(world, clock=ManualClock(AFTERWARDS), faults=(poison,)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        states = {row[7]: row for row in published(flow, "windows") if row[2] == "a"}
        assert [row[8] for row in published(flow, "windows")].count("landed") == 5
        failed = next(row for row in states.values() if row[8] == "failed")
        assert failed[9:11] == (500, MAX_ATTEMPTS)
        assert "HTTP 500" in failed[14]
        assert list(map(str, flow.completeness(DAY).problems)) == ["1 window of 1 stay has no final response"]
        emulator.clear_faults()
        emulator.clear_requests()
        flow.run(DAY)
        assert emulator.count("participant_metrics") == 1
        assert_published(flow, emulator.expected_rows())
        assert flow.completeness(DAY).is_complete


def test_points_outside_their_window_are_kept_raw_and_not_loaded(flow_for: Callable[..., Flow]) -> None:
    """The window is suspect and reported as a problem."""
    world = World((call("a", minutes=50, tracks=True),))
    shifted = Fault("shifted", match={"covers": START + timedelta(minutes=40)})
    with Emulator(world, clock=ManualClock(AFTERWARDS), faults=(shifted,)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        states = sorted(row[8] for row in published(flow, "windows"))
        assert states == ["landed", "suspect"]
        points = [
            row
            for row in emulator.expected_rows()["metric_points"]
            if row["timestamp"] <= START + timedelta(minutes=30)
        ]
        assert sum(published(flow, "metric_points").values()) == len(points)
        assert list(map(str, flow.completeness(DAY).problems)) == ["1 window has timestamps that cannot be right"]


def test_passing_faults_of_every_kind_lose_nothing(flow_for: Callable[..., Flow]) -> None:
    """One request in five meets a passing fault, and still everything arrives."""
    kinds = ("server_error", "dropped", "truncated", "not_json", "empty_body", "wrong_shape")
    faults = tuple(Fault(kind, share=0.2 / len(kinds), seed=seed) for seed, kind in enumerate(kinds))
    faults += (Fault("rate_limited", times=3),)
    with Emulator(ODD, clock=ManualClock(AFTERWARDS), faults=faults) as emulator:
        flow = flow_for(emulator)
        run(flow, *DAYS)
        run(flow, *DAYS)
        assert_published(flow, emulator.expected_rows())
        assert all(emulator.met(fault) for fault in faults)
