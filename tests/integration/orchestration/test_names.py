"""Apps with a name, as code locations of one Dagster: nothing that Dagster knows by name alone is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.instance import home, open_instance
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.orchestration.runner import Runner
from pipeline.settings import Settings
from tests.support.orchestration import AFTERWARDS, DAY, WORLD


def shown(app: str | None) -> dict[str, set[Any]]:
    """Return the names that Dagster keeps records, limits and results by."""
    settings = Settings(app=app, warehouse_file="ducklake:c.ducklake")
    repository = build_definitions(settings).get_repository_def()
    graph = repository.asset_graph
    tables = {graph.get(key).metadata.get("dagster/table_name") for key in graph.materializable_asset_keys}
    return {
        "keys": {key.to_user_string() for key in graph.get_all_asset_keys()},
        "checks": {f"{key.asset_key.to_user_string()} {key.name}" for key in graph.asset_check_keys},
        "pools": {pool for key in graph.materializable_asset_keys for pool in graph.get(key).pools or ()},
        "tables": tables - {None},
        "jobs": {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")},
        "tags": {tuple(job.tags.items()) for job in repository.get_all_jobs() if not job.name.startswith("__")},
    }


def test_names_of_an_app_begin_with_it() -> None:
    """Keys of assets and checks, pools and tables; a run has the tag, and jobs are named as ever."""
    without, support = shown(None), shown("support")
    for part, separator in (("keys", "/"), ("checks", "/"), ("pools", "/"), ("tables", ".")):
        assert support[part] == {f"support{separator}{name}" for name in without[part]}, part
    assert without["pools"] == {"stream_api", "stream_api_details", "warehouse"}
    assert support["jobs"] == without["jobs"] == {"ingest", "morning_check", "clean_lake"}
    assert (without["tags"], support["tags"]) == ({()}, {(("app", "support"),)})


def test_lineage_stays_within_the_app() -> None:
    """Assets and their columns come from assets of the same app."""
    graph = build_definitions(Settings(app="support")).resolve_asset_graph()
    assert {key.path[0] for key in graph.get_all_asset_keys()} == {"support"}
    for key in graph.materializable_asset_keys:
        lineage = graph.get(key).metadata.get("dagster/column_lineage")
        sources = lineage.deps_by_column.values() if lineage else ()
        assert {dep.asset_key.path[0] for deps in sources for dep in deps} <= {"support"}


@pytest.mark.slow
def test_command_line_records_days_of_two_apps_in_one_instance(flow_for: Callable[..., Flow], tmp_path: Path) -> None:
    """Beside each other, in the folder that they share."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        for app in ("support", "sales"):
            flow = flow_for(emulator, app=app)
            assert home(flow.settings) == tmp_path / "data" / "dagster"
            with open_instance(flow.settings) as instance:
                Runner(instance, flow).run(DAY)
        with open_instance(flow.settings) as instance:
            runs = instance.get_runs()
            assert sorted(run.tags["app"] for run in runs) == ["sales", "support"]
            keys = {tuple(key.path) for key in instance.all_asset_keys()}
            assert {key[0] for key in keys} == {"sales", "support"}
            assert len(keys) % 2 == 0
            for key in keys:
                assert instance.get_materialized_partitions(dg.AssetKey(list(key))) == {f"{DAY}"}


def test_run_without_a_job_of_ours_gets_the_tag(
    flow_for: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As after *materialize* on an asset's page."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator, dg.instance_for_test() as instance:
        settings = flow_for(emulator, app="support").settings
        for variable, value in {
            "CALL_METRICS_APP": "support",
            "CALL_METRICS_DATA": settings.root_location,
            "STREAM_API_KEY": settings.api_key or "",
            "STREAM_API_SECRET": settings.api_secret.reveal() if settings.api_secret else "",
            "STREAM_BASE_URL": settings.base_url,
        }.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.chdir(tmp_path)
        job = build_definitions(settings).resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(
            partition_key=f"{DAY}", instance=instance, asset_selection=[dg.AssetKey(["support", "raw", "call_stats"])]
        )
        assert done.success
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        assert run.tags["app"] == "support"


def test_checks_run_for_an_app(flow_for: Callable[..., Flow]) -> None:
    """Their results are of the app's assets."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator, dg.instance_for_test() as instance:
        flow = flow_for(emulator, app="support")
        definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow))
        done = definitions.resolve_job_def("ingest").execute_in_process(partition_key=f"{DAY}", instance=instance)
        results = done.get_asset_check_evaluations()
        assert {check.asset_key.path[0] for check in results} == {"support"}
        assert len(results) == 5
