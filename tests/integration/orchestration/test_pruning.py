"""Pruning by Dagster: an asset with a schedule, if a setting lets something go, and what runs of a pruned day do."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.settings import Settings
from tests.support.orchestration import AFTERWARDS, DAY, WORLD


def test_nothing_is_pruned_unless_a_setting_says_so() -> None:
    """Without one there is no asset, no job and no schedule; an app has an asset of its own."""
    without = build_definitions(Settings())
    assert "prune" not in {schedule.name for schedule in without.schedules or ()}
    for settings, key in (
        (Settings(keep_days=400), ["pruned"]),
        (Settings(keep_raw_days=30, app="support"), ["support", "pruned"]),
    ):
        definitions = build_definitions(settings)
        assert definitions.resolve_schedule_def("prune").cron_schedule == "30 1 * * *"
        job = definitions.resolve_job_def("prune")
        assert job.asset_layer.executable_asset_keys == {dg.AssetKey(key)}
        assert dg.AssetKey(key) not in definitions.resolve_job_def("ingest").asset_layer.executable_asset_keys


@pytest.mark.parametrize("removed", ["raw", pytest.param("all", marks=pytest.mark.slow)])
def test_a_run_of_a_pruned_day_changes_nothing(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance, removed: str
) -> None:
    """The job removes the day; a run of it and the sensor then request nothing, and its checks pass."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        kept = {"keep_raw_days": 30} if removed == "raw" else {"keep_days": 30}
        settings = configured(emulator).model_copy(update=kept)
        with Flow(settings) as flow:
            flow.run(DAY)
            definitions = build_definitions(settings, flow=shared_flow_resource(flow))
            done = definitions.resolve_job_def("prune").execute_in_process(instance=instance)
            metadata = done.asset_materializations_for_node("pruned")[0].metadata
            name = "days_without_raw_responses" if removed == "raw" else "days_removed"
            assert metadata[name].value == f"{DAY}"
            requests = emulator.count()
            job = definitions.resolve_job_def("ingest")
            run = job.execute_in_process(partition_key=f"{DAY}", instance=instance)
            assert run.success
            assert emulator.count() == requests
            assert flow.completeness(DAY).pruned == removed
            checks = run.get_asset_check_evaluations()
            assert checks
            assert all(check.passed for check in checks)
            sensor = definitions.resolve_sensor_def("late_data")
            context = dg.build_sensor_context(instance=instance, resources={"flow": flow}, definitions=definitions)
            assert not sensor.evaluate_tick(context).run_requests
