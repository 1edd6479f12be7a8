"""A run launcher for tests: each run is a process with a scratch folder of its own, as a pod in Kubernetes is.

`dagster.yaml` names it as `tests.support.pods.ProcessRunLauncher`. Run monitoring asks it whether a run still lives.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

from dagster import DagsterInstance, DagsterRun, StringSource
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData

PID_TAG = "test/pid"
"""Tag of a run with the id of its process."""


class ProcessRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Starts a process per run. Its scratch folder, empty at first, is below `folder`, and so is what it prints."""

    def __init__(self, folder: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()
        self._folder = Path(folder)
        self._inst_data = inst_data
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Return where the configuration is from."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the fields of its configuration."""
        return {"folder": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]) -> Self:
        """Return the launcher of a configuration."""
        return cls(**config_value, inst_data=inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the process of a run."""
        run = context.dagster_run
        assert run.job_code_origin is not None
        arguments = ExecuteRunArgs(run.job_code_origin, run.run_id, self._instance.get_ref(), True)
        scratch = self._folder / run.run_id
        scratch.mkdir(parents=True)
        with (self._folder / f"{run.run_id}.log").open("wb") as log:
            process = subprocess.Popen(
                arguments.get_command_args(),
                env={**os.environ, "CALL_METRICS_SCRATCH": str(scratch)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[run.run_id] = process
        self._instance.add_run_tags(run.run_id, {PID_TAG: str(process.pid)})

    def terminate(self, run_id: str) -> bool:
        """End the process of a run."""
        process = self._processes.get(run_id)
        if process is None or process.poll() is not None:
            return False
        process.send_signal(signal.SIGTERM)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Return True."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return whether the process of a run still lives."""
        process = self._processes.get(run.run_id)
        lives = process is not None and process.poll() is None
        return CheckRunHealthResult(WorkerStatus.RUNNING if lives else WorkerStatus.FAILED)

    def dispose(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
