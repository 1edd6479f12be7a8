"""Dagster as `deploy/dagster.production.yaml` runs it: records in PostgreSQL, a daemon, a queue, a process per run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef

from pipeline.emulator import KEY, SECRET, Emulator, World, uniform_world
from pipeline.flow import Flow
from pipeline.settings import Settings
from tests.support.flows import differences
from tests.support.object_store import CREDENTIALS, Bucket, s3_server
from tests.support.pods import PID_TAG
from tests.support.postgres import PASSWORD, Database, Postgres

DEPLOY = Path(__file__).parents[2] / "deploy"
BIN = Path(sys.executable).parent
LOCATION = "pipeline.orchestration.definitions"

BACKFILL = """
mutation start($backfillParams: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfillParams) {
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionSetNotFoundError { message }
  }
}
"""


class Production:
    """A Dagster deployment in a folder. `environment` is that of all its processes.

    With `code_servers`, their ports by the names of their locations, runs are processes of these servers. Otherwise the
    daemon starts a process for each.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        workers: int,
        code_servers: Mapping[str, int] | None = None,
    ) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.pods = folder / "pods"
        configuration: dict[str, Any] = yaml.safe_load((DEPLOY / "dagster.production.yaml").read_text())
        configuration["concurrency"]["runs"]["max_concurrent_runs"] = workers
        configuration["run_monitoring"]["poll_interval_seconds"] = 2  # a test does not wait for half a minute
        if code_servers is None:
            configuration["run_launcher"] = {
                "module": "tests.support.pods",
                "class": "ProcessRunLauncher",
                "config": {"folder": str(self.pods)},
            }
        locations: list[Any] = [
            {"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": name}}
            for name, port in (code_servers or {}).items()
        ]
        workspace = {"load_from": locations or [{"python_module": LOCATION}]}
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(configuration))
        (self.home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
        self.environment = {**environment, "DAGSTER_HOME": str(self.home)}

    @contextlib.contextmanager
    def daemon(self) -> Iterator[None]:
        """Run Dagster's daemon within the block. It is ended with all runs."""
        with self._process("daemon", BIN / "dagster-daemon", "run", "-w", self.home / "workspace.yaml"):
            yield

    @contextlib.contextmanager
    def code_server(self, port: int, **variables: str) -> Iterator[None]:
        """Serve the definitions within the block, for runs with further variables in their environment."""
        command = (BIN / "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", f"{port}", "-m", LOCATION)
        with self._process(f"code-{port}", *command, **variables):
            check = [BIN / "dagster", "api", "grpc-health-check", "-p", f"{port}"]
            quiet = {"env": self.environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            wait_until(lambda: subprocess.run(check, check=False, **quiet).returncode == 0, 120, "a code server")
            yield

    @contextlib.contextmanager
    def _process(self, name: str, *command: str | Path, **variables: str) -> Iterator[None]:
        with (self.home / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=self.home,
                env=self.environment | variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
            try:
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def backfill(self, first: date, last: date, location: str = LOCATION) -> None:
        """Start a backfill of the job `ingest`, as the web interface does: a run for each day goes into the queue."""
        days = [f"{first + timedelta(days=number)}" for number in range((last - first).days + 1)]
        repository = {"repositoryLocationName": location, "repositoryName": "__repository__"}
        selector = {"partitionSetName": "ingest_partition_set", "repositorySelector": repository}
        variables = {"backfillParams": {"selector": selector, "partitionNames": days}}
        done = subprocess.run(
            [
                *(BIN / "dagster-graphql", "-w", self.home / "workspace.yaml", "-t", BACKFILL),
                *("-v", json.dumps(variables)),
            ],
            cwd=self.home,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert '"backfillId"' in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open Dagster's records."""
        with (
            environment_of(self.environment),
            dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(self.home))) as instance,
        ):
            yield instance


@contextlib.contextmanager
def environment_of(variables: Mapping[str, str]) -> Iterator[None]:
    """Give this process further variables within the block: libraries of PostgreSQL and S3 read them."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def kill_one(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """Kill the process of a run that has begun, with SIGKILL. Returns the run."""
    run = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))[0]
    os.killpg(int(run.tags[PID_TAG]), signal.SIGKILL)
    return run


def days_done(instance: dg.DagsterInstance) -> set[str]:
    """Return the partitions with a run that succeeded."""
    runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
    return {run.tags["dagster/partition"] for run in runs}


def wait_until(is_true: Any, seconds: float, what: str) -> None:
    """Wait until a function returns something true."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"{what} took more than {seconds:.0f} seconds"
        time.sleep(0.5)


@dataclass(frozen=True)
class Trial:
    """How a backfill over several run processes went.

    Attributes:
        seconds: from its start to the success of the last day.
        runs: runs, including the one that was killed and its repetition.
        metrics_requests: requests for participant metrics.
        windows: windows that there are.
        differences: rows in which the lake and the source differ, as sentences.
    """

    seconds: float
    runs: int
    metrics_requests: int
    windows: int
    differences: Sequence[str]


def backfill_with_a_kill(folder: Path, days: int, workers: int) -> Trial:
    """Backfill some days with the data in an object store and a DuckLake in PostgreSQL, over several run processes.

    Each run is a process with an empty scratch folder. One of them is killed with SIGKILL. Needs PostgreSQL and moto.
    """
    last = datetime.now(UTC).date() - timedelta(days=1)
    first = last - timedelta(days=days - 1)
    worlds = [
        uniform_world(first + timedelta(days=number), calls=6, people=4, minutes=40, step_seconds=20)
        for number in range(days)
    ]
    with (
        Postgres() as postgres,
        s3_server() as s3,
        Emulator(World(tuple(call for world in worlds for call in world.calls))) as emulator,
    ):
        Bucket(s3, "calls")
        lake = postgres.create_database()
        Database(postgres.port, "postgres").execute("CREATE DATABASE dagster OWNER writer")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PGPASSWORD": PASSWORD,
            **CREDENTIALS,
            "STREAM_API_KEY": KEY,
            "STREAM_API_SECRET": SECRET,
            "STREAM_BASE_URL": emulator.url,
            "AWS_ENDPOINT_URL": f"http://{s3}",
            "CALL_METRICS_DATA": "s3://calls/app",
            "CALL_METRICS_WAREHOUSE": lake.setting(),
            "CALL_METRICS_START": f"{first}",
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(postgres.port),
            "DAGSTER_PG_DATABASE": "dagster",
            "DAGSTER_PG_USER": "writer",
            "PYTHONPATH": str(DEPLOY.parent),
        }
        production = Production(folder / "dagster", environment, workers=workers)
        with production.daemon(), production.instance() as instance:
            started = time.monotonic()
            production.backfill(first, last)
            wait_until(lambda: emulator.count("participant_metrics", 200) > 10, 120, "the first requests")
            killed = kill_one(instance)
            wait_until(lambda: len(days_done(instance)) == days, 120 + 15 * days, "the backfill")
            seconds = time.monotonic() - started
            runs = instance.get_runs()
            again = [run.tags.get("dagster/retry_number") for run in runs if run.parent_run_id == killed.run_id]
            assert again == ["1"], "the killed run was not repeated once"
        reader = {**environment, "CALL_METRICS_SCRATCH": str(folder / "reader")}
        with environment_of(reader), Flow(Settings.load(reader, folder)) as flow:
            found = list(differences(flow.settings.warehouse, flow.landing, emulator.expected_rows()))
        windows = days * 6 * 4 * 2
        return Trial(seconds, len(runs), emulator.count("participant_metrics", 200), windows, found)
