"""Dagster as `deploy/dagster.production.yaml` runs it: PostgreSQL storage, the daemon, its queue, and a process per run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef

from tests.support.pods import PID_TAG

DEPLOY = Path(__file__).parents[2] / "deploy"
BIN = Path(sys.executable).parent


class Production:
    """A Dagster deployment in a folder. `environment` is that of all its processes."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, workers: int) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.pods = folder / "pods"
        configuration: dict[str, Any] = yaml.safe_load((DEPLOY / "dagster.production.yaml").read_text())
        configuration["concurrency"]["runs"]["max_concurrent_runs"] = workers
        configuration["run_monitoring"]["poll_interval_seconds"] = 2  # a test does not wait for half a minute
        configuration["run_launcher"] = {
            "module": "tests.support.pods",
            "class": "ProcessRunLauncher",
            "config": {"folder": str(self.pods)},
        }
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(configuration))
        (self.home / "workspace.yaml").write_text("load_from:\n  - python_module: pipeline.orchestration.definitions\n")
        self.environment = {**environment, "DAGSTER_HOME": str(self.home)}

    @contextlib.contextmanager
    def daemon(self) -> Iterator[None]:
        """Run Dagster's daemon within the block. It is ended with all runs."""
        with (self.home / "daemon.log").open("wb") as log:
            process = subprocess.Popen(
                [BIN / "dagster-daemon", "run", "-w", self.home / "workspace.yaml"],
                cwd=self.home,
                env=self.environment,
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

    def backfill(self, first: date, last: date) -> None:
        """Put a run for each day into the queue."""
        command = [
            *(BIN / "dagster", "job", "backfill", "-w", self.home / "workspace.yaml", "-j", "ingest"),
            *("--from", f"{first}", "--to", f"{last}", "--noprompt"),
        ]
        done = subprocess.run(
            command, cwd=self.home, env=self.environment, check=False, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == 0, done.stderr[-2000:]

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open Dagster's records."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(self.home))) as instance:
                yield instance
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
