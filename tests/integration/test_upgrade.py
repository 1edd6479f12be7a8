"""Upgrades: data written by earlier and later versions."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.emulator import CallSpec, Emulator, ManualClock, World, uniform_world
from pipeline.errors import FixStorage, Interrupted
from pipeline.flow import Flow
from pipeline.landing.segment import RAW_SCHEMA
from tests.support.flows import AFTERWARDS, DAY, START, WORLD, assert_published, published, run, writers_database

HOLD = "import filelock, sys\nwith filelock.FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"


def test_tables_of_an_earlier_version_are_rebuilt(
    flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever day is run next, the tables of all days get the current columns from what has landed."""
    began = START + timedelta(days=1)
    next_day = CallSpec(
        "default", "c", "c-1", started_at=began, ended_at=began + timedelta(minutes=10), participants=()
    )
    with Emulator(World((*WORLD.calls, next_day)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        for path in (flow.settings.data / "tables").rglob("*.parquet"):
            rows = pq.read_table(path)
            names = [name for name in rows.column_names if name not in ("sdk", "windows_due")]
            pq.write_table(
                rows.select(names).replace_schema_metadata(
                    {"call_metrics.fingerprint": "0" * 32, "call_metrics.tables_version": "1"}
                ),
                path,
            )
        upgraded = flow_for(emulator)
        with caplog.at_level(logging.INFO):
            upgraded.run(DAY + timedelta(days=1))
        assert "rebuilding the tables of 1 days, which an earlier version of Call Metrics wrote" in caplog.text
        assert "sdk" in upgraded.lake.read("participant_sessions", DAY).column_names
        assert_published(upgraded, emulator.expected_rows())
        caplog.clear()
        flow_for(emulator).run(DAY)
        assert "earlier version" not in caplog.text


def test_interrupted_upgrade_resumes(flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> None:
    """Days whose tables were rebuilt before the interruption are loaded too."""
    days = [DAY, DAY + timedelta(days=1)]
    world = uniform_world(days[0], calls=1, people=1, minutes=5) + uniform_world(days[1], calls=1, people=1, minutes=5)
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, *days)
        before = published(flow, "participant_sessions")
        for path in (flow.settings.tables).rglob("*.parquet"):
            rows = pq.read_table(path)
            pq.write_table(rows.replace_schema_metadata({"call_metrics.fingerprint": "0" * 32}), path)
        with writers_database(flow) as database:
            database.execute("UPDATE participant_sessions SET duration_seconds = 0")
        interrupted = flow_for(emulator)
        build = interrupted.build_tables

        def build_one_and_stop(day: date, **given: Any) -> Any:
            if day != days[0]:
                raise Interrupted("stopped")
            return build(day, **given)

        monkeypatch.setattr(interrupted, "build_tables", build_one_and_stop)
        with pytest.raises(Interrupted):
            interrupted.load([])
        flow_for(emulator).load([])
        assert published(flow, "participant_sessions") == before


def test_upgrade_does_not_wait_for_a_day_that_another_process_works_on(flow_for: Callable[..., Flow]) -> None:
    """Its tables are read as they are, and upgraded by the next load."""
    days = [DAY, DAY + timedelta(days=1)]
    world = uniform_world(days[0], calls=1, people=1, minutes=5) + uniform_world(days[1], calls=1, people=1, minutes=5)
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, *days)
    current = {day: flow.lake.fingerprint("windows", day) for day in days}
    for path in (flow.settings.tables).rglob("*.parquet"):
        pq.write_table(
            pq.read_table(path).replace_schema_metadata(
                {"call_metrics.fingerprint": "0" * 32, "call_metrics.tables_version": "1"}
            ),
            path,
        )
    upgraded = Flow(flow.settings)
    lock = flow.settings.work / "locks" / f"session_date={DAY}.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        upgraded.load([])
        marks = {day: upgraded.lake.fingerprint("windows", day) for day in days}
        assert marks == {days[0]: "0" * 32, days[1]: current[days[1]]}
    upgraded.load([])
    assert {day: upgraded.lake.fingerprint("windows", day) for day in days} == current
    assert_published(flow, emulator.expected_rows())


def test_data_of_a_later_version_is_refused(flow_for: Callable[..., Flow]) -> None:
    """Raw responses that a later version wrote are left alone, and one sentence says to upgrade."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        (segment,) = flow.landing.segments("participant_metrics", DAY)
        later = RAW_SCHEMA.with_metadata({"call_metrics.raw_version": "99"})
        pq.write_table(pq.read_table(segment).replace_schema_metadata(later.metadata), segment)
        with pytest.raises(FixStorage, match="later version of Call Metrics; upgrade"):
            flow.run(DAY)
        assert segment.exists()
