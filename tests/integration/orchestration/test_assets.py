"""The assets on a real instance: what a day's run stores and reports, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions, defs
from pipeline.schema import TABLES
from pipeline.settings import Settings
from tests.support.flows import assert_published
from tests.support.orchestration import AFTERWARDS, DAY, WORLD


def test_assets_run_a_day_and_report_what_they_did(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """The job fills the database; materializations have row counts, paths, requests and the states of windows."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = configured(emulator)
        job = defs().resolve_job_def("ingest")
        assert job.execute_in_process(partition_key=f"{DAY}", instance=instance).success
        with Flow(settings) as flow:
            assert_published(flow, emulator.expected_rows())

    def metadata(*path: str) -> dict[str, Any]:
        event = instance.get_latest_materialization_event(dg.AssetKey(list(path)))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition == f"{DAY}"
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    raw = metadata("raw", "participant_metrics")
    assert (raw["requests"], raw["failures"]) == (8, 0)
    assert raw["path"] == str(settings.raw / "participant_metrics" / f"session_date={DAY}")
    assert metadata("lake", "windows")["windows_landed"] == 8
    points = len(emulator.expected_rows()["metric_points"])
    lake = metadata("lake", "metric_points")
    assert (lake["dagster/partition_row_count"], lake["changed"]) == (points, True)
    assert lake["path"] == str(settings.tables / "metric_points" / f"session_date={DAY}" / "metric_points.parquet")
    warehouse = metadata("warehouse", "metric_points")
    assert (warehouse["dagster/partition_row_count"], warehouse["changed"]) == (points, True)
    assert warehouse["path"].endswith("warehouse.duckdb")


def test_tables_must_be_fresh_when_the_night_is_over() -> None:
    """The deadline is four hours after the schedule, and only tables written since then count as fresh."""
    definitions = build_definitions(Settings())
    graph = definitions.resolve_asset_graph()
    policies = {graph.get(dg.AssetKey(["warehouse", table])).freshness_policy for table in TABLES}
    (policy,) = policies
    assert (policy.deadline_cron, policy.timezone) == ("15 6 * * *", "UTC")
    assert definitions.resolve_schedule_def("trailing_days").cron_schedule == "15 2 * * *"
    assert policy.lower_bound_delta == timedelta(hours=4)
    assert definitions.resolve_schedule_def("morning_check").cron_schedule == policy.deadline_cron


def test_refused_credentials_fail_a_run_without_revealing_them(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails with one sentence; neither secret nor token is in any event."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        configured(emulator)
        monkeypatch.setenv("STREAM_API_SECRET", "a-secret-that-is-wrong")
        job = defs().resolve_job_def("ingest")
        result = job.execute_in_process(partition_key=f"{DAY}", instance=instance, raise_on_error=False)
    assert not result.success
    events = "\n".join(str(record) for record in instance.all_logs(result.run_id))
    assert "Stream refuses STREAM_API_KEY or STREAM_API_SECRET" in events
    assert "a-secret-that-is-wrong" not in events
    assert "eyJ" not in events
