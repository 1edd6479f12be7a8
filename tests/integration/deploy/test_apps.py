"""Two apps as code locations of one Dagster, with runs in the environment of their code server."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

pytest.importorskip("dagster_postgres", reason="needs dagster-postgres")

from pipeline.emulator import Emulator, World, uniform_world
from pipeline.settings import Settings
from tests.support import differences, free_port
from tests.support.command_line import YESTERDAY
from tests.support.lakes import lake_of, query
from tests.support.postgres import PASSWORD, Database, Postgres
from tests.support.production import DEPLOY, Production, environment_of, wait_until

WORLDS: dict[str, Callable[[], World]] = {
    "support": lambda: uniform_world(YESTERDAY, calls=2, people=2, minutes=20, step_seconds=60),
    "sales": lambda: uniform_world(YESTERDAY, calls=3, people=3, minutes=20, step_seconds=60),
}


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_apps_run_side_by_side_in_one_dagster(postgres: Postgres, database: Database, tmp_path: Path) -> None:
    """A backfill of each fills its own assets and schema; runs carry the app's name, and no record is mixed."""
    from pipeline.flow import Flow

    postgres_main = Database(postgres.port, "postgres")
    records = f"dagster_{database.name}"
    postgres_main.execute(f"CREATE DATABASE {records} OWNER writer")
    shared = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PGPASSWORD": PASSWORD,
        "CALL_METRICS_DATA": str(tmp_path / "data"),
        "CALL_METRICS_WAREHOUSE": database.setting(),
        "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_PORT": str(postgres.port),
        "DAGSTER_PG_DATABASE": records,
        "DAGSTER_PG_USER": "writer",
        "PYTHONPATH": str(DEPLOY.parent),
    }
    ports = {app: free_port() for app in WORLDS}
    production = Production(tmp_path / "dagster", shared, workers=2, code_servers=ports)
    with ExitStack() as stack:
        sources = {
            app: stack.enter_context(Emulator(world(), key=f"key-of-{app}", secret=f"secret-of-{app}-{'x' * 32}"))
            for app, world in WORLDS.items()
        }
        own = {
            app: {
                "CALL_METRICS_APP": app,
                "CALL_METRICS_START": f"{YESTERDAY}",
                "STREAM_API_KEY": source.key,
                "STREAM_API_SECRET": source.secret,
                "STREAM_BASE_URL": source.url,
            }
            for app, source in sources.items()
        }
        for app, port in ports.items():
            stack.enter_context(production.code_server(port, **own[app]))
        stack.enter_context(production.daemon())
        instance = stack.enter_context(production.instance())
        for app in ports:
            production.backfill(YESTERDAY, YESTERDAY, app)
        wait_until(lambda: len(ended(instance)) == len(ports), 240, "the backfills")
        runs = instance.get_runs()
        assert {run.tags["app"] for run in runs} == set(ports)
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        keys = {tuple(key.path) for key in instance.all_asset_keys()}
        assert {key[0] for key in keys} == set(ports)
        by_app = [{key[1:] for key in keys if key[0] == app} for app in ports]
        assert by_app[0] == by_app[1] != set()
        for run in runs:
            records_of_run = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
            materialized = [record.asset_key.path for record in records_of_run.records if record.asset_key]
            assert {path[0] for path in materialized} == {run.tags["app"]}
        for app, source in sources.items():
            settings = Settings.load(shared | own[app], tmp_path)
            with environment_of(shared), Flow(settings) as flow:
                assert list(differences(settings.warehouse, flow.landing, source.expected_rows())) == []
        counted = "SELECT app, count(*) FROM all_apps.call_quality GROUP BY app ORDER BY app"
        assert query(lake_of(settings), counted) == [("sales", 3), ("support", 2)]


def ended(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the runs that have ended."""
    done = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    return list(instance.get_runs(dg.RunsFilter(statuses=done)))
