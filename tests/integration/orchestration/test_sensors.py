"""The sensor: which days run because the source has updated them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.emulator import Emulator, Fault, ManualClock, World, odd_world
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.settings import Settings
from tests.support.flows import assert_published, run
from tests.support.orchestration import DAY, WORLD, a_call


def asked_at(cursor: str | None) -> datetime:
    """Return the instant up to which a cursor has looked."""
    return datetime.fromisoformat(json.loads(cursor or "")["asked_at"])


def test_sensor_requests_each_day_with_updates_once(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """The same update again requests nothing; a newer update of the day requests another run."""
    clock = ManualClock(datetime(2026, 3, 1, 23, tzinfo=UTC))
    world = World(tuple(WORLD.calls) + tuple(odd_world(DAY, days=1, scale=0).calls))
    with Emulator(world, clock=clock) as emulator:
        settings = configured(emulator)
        with Flow(settings) as flow:
            definitions = build_definitions(settings, flow=shared_flow_resource(flow))
            sensor = definitions.resolve_sensor_def("late_data")

            def tick(cursor: str | None) -> Any:
                context = dg.build_sensor_context(
                    instance=instance, cursor=cursor, resources={"flow": flow}, definitions=definitions
                )
                return sensor.evaluate_tick(context)

            first = tick(None)
            assert [request.partition_key for request in first.run_requests] == [f"{DAY}"]
            again = tick(first.cursor)
            assert not again.run_requests
            clock.advance(timedelta(days=1))
            later = tick(again.cursor)
            assert [request.partition_key for request in later.run_requests] == [f"{DAY}"]
            assert later.run_requests[0].run_key != first.run_requests[0].run_key


class Sensor:
    """The sensor as Dagster's daemon evaluates it: new for every tick, with nothing but the last cursor."""

    def __init__(self, flow: Flow, instance: dg.DagsterInstance, cursor: str | None = None) -> None:
        self.cursor = cursor
        self.run_keys: set[str] = set()
        self._flow = flow
        self._instance = instance

    def tick(self) -> list[str]:
        """Return the days requested with a new run key: Dagster ignores the others."""
        definitions = build_definitions(self._flow.settings, flow=shared_flow_resource(self._flow))
        context = dg.build_sensor_context(
            instance=self._instance,
            cursor=self.cursor,
            resources={"flow": self._flow},
            definitions=definitions,
        )
        tick = definitions.resolve_sensor_def("late_data").evaluate_tick(context)
        assert tick.skip_message is None or not tick.run_requests
        self.cursor = tick.cursor
        fresh = [request for request in tick.run_requests or () if request.run_key not in self.run_keys]
        self.run_keys |= {request.run_key for request in fresh}
        return [request.partition_key for request in fresh]


class HurryingClock(ManualClock):
    """A clock that advances whenever it is read, so that calls continue between two requests of one tick."""

    def __init__(self, now: datetime, step: timedelta) -> None:
        super().__init__(now)
        self.step = step

    def __call__(self) -> datetime:
        self.advance(self.step)
        return self.now


@pytest.mark.slow
def test_sensor_catches_up_by_at_most_a_day_per_tick(
    flow_for: Callable[..., Flow], instance: dg.DagsterInstance
) -> None:
    """After days without ticks, each tick makes progress and covers a day at most. In the end nothing is missing.

    Calls continue all the time, also while the sensor looks: the source's clock advances with every request.
    """
    starts = [datetime(2026, 3, day, 22, tzinfo=UTC) for day in (1, 2, 4, 9, 10)]
    world = World(tuple(a_call(start, minutes=150) for start in starts))
    clock = HurryingClock(starts[0], timedelta(seconds=20))
    with Emulator(world, clock=clock) as emulator:
        flow = flow_for(emulator, start=DAY)
        sensor = Sensor(flow, instance)
        run(flow, *map(date.fromisoformat, sensor.tick()))
        clock.advance(timedelta(days=8, hours=23))
        ticks = 0
        while asked_at(sensor.cursor) < starts[-1] + timedelta(hours=4):
            before = asked_at(sensor.cursor)
            requested = sensor.tick()
            assert timedelta() < asked_at(sensor.cursor) - before <= timedelta(days=1)
            assert len(requested) <= 2, "a day of updates concerns few days"
            run(flow, *map(date.fromisoformat, requested))
            if clock.now - asked_at(sensor.cursor) < timedelta(
                hours=1
            ):  # caught up: ticks have their usual interval again
                clock.advance(timedelta(minutes=20))
            ticks += 1
        assert ticks > 9
        assert_published(flow, emulator.expected_rows())
        assert all(flow.completeness(start.date()).is_complete for start in starts)


@pytest.mark.slow
def test_sensor_resumes_where_an_error_stopped_it(flow_for: Callable[..., Flow], instance: dg.DagsterInstance) -> None:
    """An interrupted tick keeps what it saw, and the next one resumes from there, also after a restart."""
    early, late = datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 3, 2, 20, tzinfo=UTC)
    many = tuple(replace(a_call(late, minutes=5), call_id=f"call-{number}") for number in range(101))
    clock = ManualClock(early - timedelta(hours=1))
    with Emulator(World((a_call(early, minutes=5), *many)), clock=clock) as emulator:
        sensor = Sensor(flow_for(emulator), instance)
        assert sensor.tick() == []
        clock.now = datetime(2026, 3, 3, 6, tzinfo=UTC)
        emulator.add_faults(Fault("unrecoverable", "call_stats", match={"page": "later"}))
        assert [sensor.tick() for _ in range(2)] == [[f"{DAY}"], []]
        stopped_at = asked_at(sensor.cursor)
        assert late - timedelta(hours=1) < stopped_at < late + timedelta(minutes=10)
        assert sensor.tick() == []
        assert asked_at(sensor.cursor) == stopped_at
        emulator.clear_faults()
        restarted = Sensor(flow_for(emulator), instance, sensor.cursor)
        assert [restarted.tick() for _ in range(2)] == [["2026-03-02"], []]


def test_sensor_drops_days_before_the_start_and_defers_later_ones(
    flow_for: Callable[..., Flow], instance: dg.DagsterInstance
) -> None:
    """Updates of days before the first partition are ignored; those of a future day wait for its partition."""
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    tomorrow = today + timedelta(days=1)
    long_ago = datetime(2025, 12, 31, 10, tzinfo=UTC)
    calls = tuple(a_call(start, minutes=5) for start in (long_ago, today, tomorrow))
    clock = ManualClock(long_ago + timedelta(hours=1))
    with Emulator(World(calls), clock=clock) as emulator:
        flow = flow_for(emulator, start=date(2026, 1, 1))
        assert Sensor(flow, instance).tick() == []
        clock.now = tomorrow + timedelta(hours=1)
        sensor = Sensor(flow, instance)
        assert today.date().isoformat() not in sensor.tick()
        cursor = json.loads(sensor.cursor or "")
        assert cursor["waiting"] == [f"{tomorrow.date()}"]
        cursor["waiting"] = [f"{today.date()}"]  # a day later
        later = Sensor(flow, instance, json.dumps(cursor))
        assert later.tick() == [f"{today.date()}"]
        assert json.loads(later.cursor or "")["waiting"] == []
        assert later.tick() == []


def test_sensor_skips_with_a_sentence_without_credentials(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """The tick is skipped and says what to set; the cursor stays."""
    settings = Settings(data=tmp_path)
    with Flow(settings) as flow:
        sensor = build_definitions(settings).resolve_sensor_def("late_data")
        context = dg.build_sensor_context(instance=instance, cursor=None, resources={"flow": flow})
        result = sensor.evaluate_tick(context)
    assert "set STREAM_API_KEY and STREAM_API_SECRET" in result.skip_message
    assert not result.run_requests
