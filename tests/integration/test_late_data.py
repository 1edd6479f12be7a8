"""Late and live data: calls that end, and reports that come, after they were first fetched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipeline.emulator import Emulator, ManualClock, World
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.orchestration.runner import Runner
from tests.support.flows import AFTERWARDS, DAY, START, assert_published, call, published


@pytest.mark.slow
def test_sensor_fetches_live_and_late_calls_until_they_are_complete(
    flow_for: Callable[..., Flow], tmp_path: Path
) -> None:
    """Ticks every half hour, over midnight and past late reports, leave exactly what the source has at the end."""
    calls = (
        call("over-midnight", minutes=150, people=2),
        call("short", minutes=7),
        call("late-report", minutes=45, reports=(timedelta(minutes=2), timedelta(hours=3))),
    )
    clock = ManualClock(START - timedelta(minutes=5))
    with Emulator(World(calls), clock=clock) as emulator, dg.instance_for_test() as instance:
        flow = flow_for(emulator, start=DAY)
        definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow))
        sensor = definitions.resolve_sensor_def("late_data")
        runner = Runner(instance, flow)
        cursor: str | None = None
        done: set[str] = set()
        for _ in range(12):
            context = dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"flow": flow}, definitions=definitions
            )
            tick = sensor.evaluate_tick(context)
            for request in tick.run_requests or ():
                assert request.run_key not in done, "Dagster would not run a key twice"
                done.add(request.run_key)
                runner.run(date.fromisoformat(request.partition_key))
            cursor = tick.cursor
            clock.advance(timedelta(minutes=30))
        assert_published(flow, emulator.expected_rows())
        assert {row[0] for row in published(flow, "metric_points")} == {DAY}
        assert flow.completeness(DAY).is_complete


@pytest.mark.slow
def test_newer_report_makes_only_its_own_call_due_again(flow_for: Callable[..., Flow]) -> None:
    """Of two calls, the one with a second report is fetched again."""
    late = call("late", minutes=50, reports=(timedelta(minutes=2), timedelta(days=1)))
    clock = ManualClock(START + timedelta(hours=2))
    with Emulator(World((late, call("done", minutes=50))), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        clock.now = AFTERWARDS
        emulator.clear_requests()
        flow.run(DAY)
        requested = [
            request.ids["call_id"] for request in emulator.requests if request.endpoint == "participant_metrics"
        ]
        assert requested == ["late", "late"]
        assert_published(flow, emulator.expected_rows())


def test_live_call_is_stored_up_to_now_and_completed_later(flow_for: Callable[..., Flow]) -> None:
    """While it is live only its unsettled windows are fetched again, and nothing counts as missing."""
    clock = ManualClock(START + timedelta(minutes=65))
    with Emulator(World((call("live", minutes=100),)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert_published(flow, emulator.expected_rows())
        completeness = flow.completeness(DAY)
        assert (completeness.live_calls, completeness.verdict) == (1, "in progress")
        emulator.clear_requests()
        clock.advance(timedelta(minutes=5))
        flow.run(DAY)
        assert emulator.count("participant_metrics") == 1  # the third window; the first two had settled
        assert_published(flow, emulator.expected_rows())
        clock.now = AFTERWARDS
        flow.run(DAY)
        assert_published(flow, emulator.expected_rows())
