"""The pipeline as Dagster sees and runs it, on real instances."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.emulator import KEY, SECRET, Emulator, Fault, ManualClock, World
from pipeline.exchange import ENDPOINTS
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions, defs
from pipeline.orchestration.liveness import end_dead_runs
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.orchestration.running import open_instance
from pipeline.settings import Settings
from pipeline.tables import TABLES
from tests.conftest import assert_published

DAY = date(2026, 3, 1)
WORLD = World.uniform(DAY, calls=2, people=2, minutes=40, step_seconds=60)
AFTERWARDS = datetime(2026, 3, 3, 12, tzinfo=UTC)


HOLDER = """
import sys, time
from pathlib import Path
from pipeline.locks import locked
with locked(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Emulator], Settings]:
    """Settings in the environment, where Dagster's processes read them."""

    def configure(emulator: Emulator) -> Settings:
        monkeypatch.setenv("STREAM_API_KEY", KEY)
        monkeypatch.setenv("STREAM_API_SECRET", SECRET)
        monkeypatch.setenv("STREAM_BASE_URL", emulator.url)
        monkeypatch.setenv("CALL_METRICS_DATA", str(tmp_path / "data"))
        monkeypatch.chdir(tmp_path)
        return Settings.load()

    return configure


def test_the_assets_are_the_stages_and_tables_by_name() -> None:
    """Raw answers by endpoint, then each table in the lake and in the warehouse, all partitioned by the same days."""
    graph = build_definitions(Settings()).resolve_asset_graph()
    keys = {"/".join(key.path) for key in graph.materializable_asset_keys}
    raw = {f"raw/{endpoint}" for endpoint in ENDPOINTS}
    assert keys == raw | {f"{layer}/{table}" for layer in ("lake", "warehouse") for table in TABLES}
    partitions = {graph.get(key).partitions_def for key in graph.materializable_asset_keys}
    (days,) = partitions
    assert days.get_first_partition_key() == "2026-01-01"
    assert days.get_last_partition_key() == datetime.now(UTC).date().isoformat()
    assert graph.get(dg.AssetKey(["warehouse", "tracks"])).parent_keys == {dg.AssetKey(["lake", "tracks"])}


def test_a_day_runs_and_says_what_it_did(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """The job fills the database; materializations carry row counts, paths, requests and the states of windows."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = configured(emulator)
        job = defs().resolve_job_def("ingest")
        assert job.execute_in_process(partition_key=f"{DAY}", instance=instance).success
        with Flow(settings) as flow:
            assert_published(flow, emulator.truth())

    def metadata(*path: str) -> dict[str, Any]:
        event = instance.get_latest_materialization_event(dg.AssetKey(list(path)))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition == f"{DAY}"
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    assert metadata("raw", "participant_metrics")["requests"] == 8
    assert metadata("lake", "windows")["windows_landed"] == 8
    points = len(emulator.truth()["metric_points"])
    assert metadata("lake", "metric_points")["dagster/partition_row_count"] == points
    assert metadata("warehouse", "metric_points")["dagster/partition_row_count"] == points
    assert metadata("warehouse", "metric_points")["path"].endswith("warehouse.duckdb")


def test_tables_carry_the_descriptions_of_their_columns() -> None:
    """The column schema in Dagster is that of the contract, comments included."""
    graph = build_definitions(Settings()).resolve_asset_graph()
    for table in TABLES.values():
        for layer in ("lake", "warehouse"):
            schema = graph.get(dg.AssetKey([layer, table.name])).metadata["dagster/column_schema"]
            assert {column.name: column.description for column in schema.columns} == {
                name: table.comment_of(name) for name in table.schema.names
            }


def test_checks_say_in_sentences_what_is_missing(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """A window without an answer fails the check of its day, not the run; the check names the day's edge."""
    fault = Fault("unrecoverable", "participant_metrics", times=1)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        configured(emulator)
        job = defs().resolve_job_def("ingest")

        def evaluations() -> dict[str, Any]:
            result = job.execute_in_process(partition_key=f"{DAY}", instance=instance)
            assert result.success
            return {found.check_name: found for found in result.get_asset_check_evaluations()}

        first = evaluations()
        assert not first["every_window_has_landed"].passed
        assert first["every_window_has_landed"].description == (
            "1 windows of 1 stays have no final answer; the source forgets the first of it on 2026-05-30"
        )
        assert first["everyone_promised_is_held"].passed
        assert all(found.passed for found in evaluations().values())


def test_refused_credentials_end_a_run_without_their_secret(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails with one sentence; neither secret nor token is in any event."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        configured(emulator)
        monkeypatch.setenv("STREAM_API_SECRET", "a-secret-that-is-wrong")
        job = defs().resolve_job_def("ingest")
        result = job.execute_in_process(partition_key=f"{DAY}", instance=instance, raise_on_error=False)
    assert not result.success
    told = "\n".join(str(record) for record in instance.all_logs(result.run_id))
    assert "Stream refuses STREAM_API_KEY or STREAM_API_SECRET" in told
    assert "a-secret-that-is-wrong" not in told
    assert "eyJ" not in told


def test_the_schedule_goes_over_the_last_days() -> None:
    """Every night yesterday and the two days before it, yesterday first."""
    definitions = build_definitions(Settings())
    schedule = definitions.resolve_schedule_def("trailing_days")
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 3, 10, 2, 15, tzinfo=UTC),
        repository_def=definitions.get_repository_def(),
    )
    requests = schedule.evaluate_tick(context).run_requests
    assert [request.partition_key for request in requests] == ["2026-03-09", "2026-03-08", "2026-03-07"]
    priorities = [int(request.tags["dagster/priority"]) for request in requests]
    assert priorities == sorted(priorities, reverse=True)


def test_the_sensor_asks_for_the_days_that_have_news(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """A tick requests each day with news once; the same news again is the same run, newer news is another."""
    clock = ManualClock(datetime(2026, 3, 1, 23, tzinfo=UTC))
    world = World(tuple(WORLD.calls) + tuple(World.odd(DAY, days=1, scale=0).calls))
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


def test_the_sensor_skips_with_a_sentence_where_it_cannot_ask(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Without credentials a tick is skipped and says what to set; the cursor stays."""
    settings = Settings(data=tmp_path)
    with Flow(settings) as flow:
        sensor = build_definitions(settings).resolve_sensor_def("late_data")
        context = dg.build_sensor_context(instance=instance, cursor=None, resources={"flow": flow})
        result = sensor.evaluate_tick(context)
    assert "set STREAM_API_KEY and STREAM_API_SECRET" in result.skip_message
    assert not result.run_requests


def test_a_run_whose_process_is_dead_is_ended(tmp_path: Path) -> None:
    """A killed run is marked as failed when the next one begins; one that is alive is left alone."""
    settings = Settings(data=tmp_path)
    with open_instance(settings) as instance:
        job = build_definitions(settings).resolve_job_def("ingest")
        dead, alive = (instance.create_run_for_job(job, tags={}) for _ in range(2))
        for run in (dead, alive):
            instance.report_dagster_event(
                dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="ingest"), run_id=run.run_id
            )
        locks = tmp_path / ".work" / "runs"
        locks.mkdir(parents=True)
        (locks / f"{dead.run_id}.lock").touch()
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                HOLDER,
                str(locks / f"{alive.run_id}.lock"),
            ],
            stdout=subprocess.PIPE,
        )
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            assert end_dead_runs(instance, settings) == [dead.run_id]
        finally:
            holder.kill()
            holder.communicate()
        assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(alive.run_id).status == dg.DagsterRunStatus.STARTED


def test_dagster_shows_the_runs_of_the_command_line(tmp_path: Path) -> None:
    """`call-metrics ui` opens Dagster on the instance of the command line, which goes on beside it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CALL_METRICS_DATA": str(tmp_path / "data")}
    subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", "--days", "1"],
        check=True,
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    ui = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "ui", "--port", str(port)],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    query = "{ runsOrError { ... on Runs { results { jobName status } } } assetNodes { assetKey { path } } }"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    data = json.load(response)["data"]
                break
            except OSError:
                assert time.monotonic() < deadline, "Dagster did not come up"
                time.sleep(0.5)
        assert data["runsOrError"]["results"] == [{"jobName": "ingest", "status": "SUCCESS"}]
        assert ["warehouse", "metric_points"] in [node["assetKey"]["path"] for node in data["assetNodes"]]
        beside = [sys.executable, "-m", "pipeline", "demo", "--days", "1"]
        subprocess.run(beside, check=True, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    finally:
        os.killpg(ui.pid, signal.SIGTERM)
        try:
            ui.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(ui.pid, signal.SIGKILL)
            ui.communicate()
