"""Erasure: people who are erased on request."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import duckdb
import pytest

from pipeline.emulator import Emulator, ManualClock, World
from pipeline.flow import Flow
from pipeline.landing.erasure import ErasedUsers
from tests.support.flows import AFTERWARDS, DAY, START, assert_published, call, published, traces


def test_erased_user_leaves_no_trace_and_does_not_come_back(flow_for: Callable[..., Flow]) -> None:
    """No raw response, table or database has a trace, also after later runs and rebuilds, and totals still add up."""
    late = {"reports": (timedelta(minutes=2), timedelta(days=1))}
    world = World((call("a", minutes=50, people=3, **late), call("b", minutes=20, people=1)))
    clock = ManualClock(START + timedelta(hours=2))
    with Emulator(world, clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert traces(flow.settings.data, "user-1")
        assert flow.forget("user-1") == [DAY]
        for _ in range(2):
            assert traces(flow.settings.data, "user-1") == []
            with duckdb.connect(str(flow.settings.warehouse), read_only=True) as database:
                users = database.execute("SELECT DISTINCT user_id FROM metric_points ORDER BY ALL").fetchall()
            assert users == [("user-0",), ("user-2",)]
            assert flow.completeness(DAY).is_complete
            certificate = flow.certificates(DAY)[0]
            assert (certificate["stays_promised"], certificate["stays_held"], certificate["stays_forgotten"]) == (
                2,
                2,
                1,
            )
            clock.now = AFTERWARDS
            flow.run(DAY)
            flow.build_tables(DAY, rebuild=True)
            flow.load([DAY], rebuild=True)
        expected = emulator.expected_rows()
        of_others = {table: [row for row in expected[table] if row.get("user_id") != "user-1"] for table in expected}
        assert_published(flow, of_others)
        assert flow.forget("nobody-we-know") == []


def test_temporary_file_of_a_killed_process_is_no_trace(flow_for: Callable[..., Flow]) -> None:
    """A process that was killed while it compacted a day left all responses of the day in such a file."""
    with Emulator(World((call("a", minutes=5, people=2),)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        for segment in [*flow.settings.raw.glob("participant_*/*/*.parquet")]:
            shutil.copyfile(segment, segment.with_name(f".{segment.name}.0123abcd.tmp"))
        flow.forget("user-1")
        assert not [*flow.settings.data.rglob("*.tmp")]


@pytest.mark.slow
def test_users_who_are_erased_at_once_are_all_erased(flow_for: Callable[..., Flow]) -> None:
    """No erasure overwrites another."""
    with Emulator(World((call("a", minutes=5, people=6),)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda number: flow_for(emulator).forget(f"user-{number}"), range(6)))
        assert len(ErasedUsers.read(flow.settings.raw / "forgotten.json").users) == 6
        assert not published(flow, "participant_sessions")
