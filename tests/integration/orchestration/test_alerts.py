"""Alerts in Dagster: failed runs, runs that end well, what cannot wait, and the look every day; no address anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.emulator import Emulator, Fault, ManualClock
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.settings import Settings
from tests.support.orchestration import AFTERWARDS, DAY, WORLD
from tests.support.webhook import Webhook

SENSORS = {"tell_failed_run", "tell_ended_run", "tell_soon"}


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with Webhook() as server:
        monkeypatch.setenv("CALL_METRICS_ALERTS", server.address)
        yield server


def run_day(definitions: dg.Definitions, instance: dg.DagsterInstance) -> Any:
    job = definitions.resolve_job_def("ingest")
    return job.execute_in_process(partition_key=f"{DAY}", instance=instance, raise_on_error=False)


def test_failed_run_is_told_and_so_is_its_end(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance, webhook: Webhook
) -> None:
    """With our sentence. A run that Dagster starts again is not told."""
    refusing = Fault("unauthorized", times=1)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=[refusing]) as emulator:
        settings = configured(emulator)
        with Flow(settings) as flow:
            definitions = build_definitions(settings, flow=shared_flow_resource(flow))
            failed = run_day(definitions, instance)
            assert not failed.success
            for tags, told in (({"dagster/will_retry": "true"}, 0), ({}, 1), ({}, 1)):
                instance.add_run_tags(failed.run_id, tags or {"dagster/will_retry": "false"})
                context = dg.build_run_status_sensor_context(
                    sensor_name="tell_failed_run",
                    dagster_event=event_of(instance, failed.run_id, dg.DagsterEventType.RUN_FAILURE),
                    dagster_instance=instance,
                    dagster_run=instance.get_run_by_id(failed.run_id),  # type: ignore[arg-type]
                    resources={"flow": flow},
                    partition_key=f"{DAY}",
                ).for_run_failure()
                definitions.resolve_sensor_def("tell_failed_run")(context)
                assert len(webhook.messages) == told
            assert f"The run of {DAY} failed: Stream refuses STREAM_API_KEY" in webhook.messages[0]["message"]
            ended = run_day(definitions, instance)
            assert ended.success
            context = dg.build_run_status_sensor_context(
                sensor_name="tell_ended_run",
                dagster_event=event_of(instance, ended.run_id, dg.DagsterEventType.RUN_SUCCESS),
                dagster_instance=instance,
                dagster_run=instance.get_run_by_id(ended.run_id),  # type: ignore[arg-type]
                resources={"flow": flow},
                partition_key=f"{DAY}",
            )
            definitions.resolve_sensor_def("tell_ended_run")(context)
            assert webhook.titles == ["A run failed", "over: A run failed"]


def event_of(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> dg.DagsterEvent:
    """Return the event of a run that a sensor is called with."""
    (record,) = instance.get_records_for_run(run_id, of_type=kind).records
    assert record.event_log_entry.dagster_event is not None
    return record.event_log_entry.dagster_event


def test_look_of_the_day_is_a_job_and_its_schedule_is_on(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance, webhook: Webhook, tmp_path: Path
) -> None:
    """It tells once, however often it runs; nothing of Dagster's has an address."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = configured(emulator)
        with Flow(settings) as flow:
            definitions = build_definitions(settings, flow=shared_flow_resource(flow))
            for _ in range(2):
                result = definitions.resolve_job_def("alerts").execute_in_process(instance=instance)
                assert result.success
                assert webhook.titles.count("Yesterday has not arrived") == 1
                logged = instance.all_logs(result.run_id)
                assert not [entry for entry in logged if "hunter2" in f"{entry}"]
                assert "open" in f"{logged}"
    schedule = definitions.resolve_schedule_def("alerts")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.cron_schedule == "30 6 * * *"


def test_what_cannot_wait_is_looked_at_by_a_sensor(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance, webhook: Webhook
) -> None:
    """It says in its tick what it did."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = configured(emulator)
        with Flow(settings) as flow:
            definitions = build_definitions(settings, flow=shared_flow_resource(flow))
            context = dg.build_sensor_context(instance=instance, resources={"flow": flow}, definitions=definitions)
            tick = definitions.resolve_sensor_def("tell_soon").evaluate_tick(context)
            assert "sent" in f"{tick.skip_message}"


def test_without_an_address_nothing_of_it_is_defined(configured: Callable[[Emulator], Settings]) -> None:
    """With one, the sensors are on."""
    with Emulator(WORLD) as emulator:
        settings = configured(emulator)
        definitions = build_definitions(settings)
        assert not SENSORS & {sensor.name for sensor in definitions.sensors or ()}
        assert "alerts" not in [job.name for job in definitions.jobs or ()]
        on = build_definitions(settings.model_copy(update={"alerts": "json://x"}))
        sensors = {sensor.name: sensor for sensor in on.sensors or ()}
        assert sensors.keys() >= SENSORS
        assert {sensors[name].default_status for name in SENSORS} == {dg.DefaultSensorStatus.RUNNING}
