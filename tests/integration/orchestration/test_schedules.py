"""The schedules: which days run at night."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from pipeline.emulator import Emulator, Fault, ManualClock, World
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.orchestration.schedules import MAX_OLDER_DAYS
from pipeline.settings import Settings
from tests.support.flows import run
from tests.support.orchestration import AFTERWARDS, DAY, a_call


def night(flow: Flow, day: date) -> list[dg.RunRequest]:
    """Return what the schedule requests at 02:15 of a day."""
    definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow))
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(day.year, day.month, day.day, 2, 15, tzinfo=UTC),
        resources={"flow": flow},
        repository_def=definitions.get_repository_def(),
    )
    return list(definitions.resolve_schedule_def("trailing_days").evaluate_tick(context).run_requests or ())


def test_schedule_requests_the_last_days(tmp_path: Path) -> None:
    """Every night yesterday and the two days before it, yesterday first, but no day before the first partition."""
    with Flow(Settings(data=tmp_path)) as flow:
        requests = night(flow, date(2026, 3, 10))
        assert [request.partition_key for request in requests] == ["2026-03-09", "2026-03-08", "2026-03-07"]
        priorities = [int(request.tags["dagster/priority"]) for request in requests]
        assert priorities == sorted(priorities, reverse=True)
        assert [request.partition_key for request in night(flow, date(2026, 1, 2))] == ["2026-01-01"]


@pytest.mark.slow
def test_schedule_requests_older_days_that_are_incomplete(flow_for: Callable[..., Flow]) -> None:
    """Every night with a new key, first those that expire first, until they are complete or have expired."""
    days = [DAY + timedelta(days=offset) for offset in range(4)]
    world = World(tuple(a_call(datetime(2026, 3, day.day, 20, tzinfo=UTC), minutes=5) for day in days))
    night_of = date(2026, 3, 20)
    with Emulator(world, clock=ManualClock(datetime(2026, 3, 19, tzinfo=UTC))) as emulator:
        flow = flow_for(emulator)
        run(flow, days[3])  # complete
        emulator.add_faults(Fault("unrecoverable", "participant_metrics"))
        run(flow, days[1])  # a window failed
        flow.extract.call_stats(days[0])  # interrupted: participants are not listed
        emulator.clear_faults()
        emulator.add_faults(Fault("shifted", "participant_metrics"))
        run(flow, days[2])  # a suspect response, and another one would be the same

        def older(day: date) -> list[str]:
            return [request.run_key for request in night(flow, day)[3:]]

        assert older(night_of) == ["2026-03-20:2026-03-01", "2026-03-20:2026-03-02"]
        assert older(night_of + timedelta(days=1)) == ["2026-03-21:2026-03-01", "2026-03-21:2026-03-02"]
        assert older(date(2026, 5, 31)) == ["2026-05-31:2026-03-02"]
        assert older(date(2026, 6, 2)) == []
        emulator.clear_faults()
        run(flow, days[0], days[1])
        assert older(night_of) == []


def test_a_day_with_an_interrupted_list_of_calls_is_incomplete(flow_for: Callable[..., Flow]) -> None:
    """A day is incomplete until its calls are listed to the end, even if all calls that are known are complete."""
    start = datetime(2026, 3, 1, 10, tzinfo=UTC)
    calls = tuple(replace(a_call(start, minutes=1), call_id=f"call-{number}") for number in range(101))
    interrupted = Fault("unrecoverable", "call_stats", match={"page": "later"})
    with Emulator(World(calls), clock=ManualClock(AFTERWARDS), faults=(interrupted,)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        assert flow.incomplete_days(AFTERWARDS) == [DAY]
        emulator.clear_faults()
        run(flow, DAY)
        assert flow.incomplete_days(AFTERWARDS) == []


def test_days_with_tables_of_an_earlier_version_are_judged_by_raw_responses(flow_for: Callable[..., Flow]) -> None:
    """If the completeness table lacks the newer columns, the raw responses decide."""
    world = World((a_call(datetime(2026, 3, 1, 10, tzinfo=UTC), minutes=1),))
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        (path,) = (flow.settings.tables / "ingest_completeness_by_call").rglob("*.parquet")
        pq.write_table(pq.read_table(path).drop_columns(["is_complete", "windows_due"]), path)
        assert flow.incomplete_days(AFTERWARDS) == []


def test_schedule_limits_the_number_of_older_days(flow_for: Callable[..., Flow]) -> None:
    """However many days are incomplete, a night runs only those that expire first."""
    days = [DAY + timedelta(days=offset) for offset in range(MAX_OLDER_DAYS + 5)]
    with Emulator(World(()), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        for day in reversed(days):
            flow.extract.call_stats(day)
        requests = night(flow, date(2026, 4, 20))
        assert [request.partition_key for request in requests[3:]] == [f"{day}" for day in days[:MAX_OLDER_DAYS]]


@pytest.mark.slow
def test_lake_is_cleaned_every_night(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """A job without a day removes old snapshots. There is none if the warehouse is a file."""
    world = World((a_call(datetime(2026, 3, DAY.day, 20, tzinfo=UTC), minutes=5),))
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, warehouse_file=f"ducklake:{tmp_path / 'c.ducklake'}", snapshot_days=1)
        run(flow, DAY)
        definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow))
        assert definitions.resolve_schedule_def("clean_lake").job_name == "clean_lake"
        ingest = definitions.resolve_job_def("ingest").asset_layer.selected_asset_keys
        assert dg.AssetKey(["warehouse", "cleaned"]) not in ingest
        done = definitions.resolve_job_def("clean_lake").execute_in_process()
        (made,) = done.asset_materializations_for_node("warehouse__cleaned")
        assert {name: value.value for name, value in made.metadata.items()} == {"snapshots": 0, "files": 0}
        embedded = build_definitions(flow_for(emulator).settings)
        assert "clean_lake" not in [job.name for job in embedded.jobs or ()]
