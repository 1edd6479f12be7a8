"""The door for the command line: a Dagster instance, and days run through the job in this process.

Runs are recorded in the instance like any other. Runs whose process is dead are ended first, so that nothing waits for
them.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib import resources
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.instance.ref import InstanceRef
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import CallMetricsError, FixStorage, Interrupted
from pipeline.flow import Flow
from pipeline.locks import locked
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.liveness import end_dead_runs
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.settings import Settings

__all__ = ["Runner", "home", "open_instance"]


def home(settings: Settings) -> Path:
    """The folder of the Dagster instance: DAGSTER_HOME where set, else one under the data folder, made ready."""
    given = os.environ.get("DAGSTER_HOME")
    folder = Path(given).absolute() if given else settings.data / "dagster"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not given and not (folder / "dagster.yaml").exists():
            shutil.copyfile(_configuration(), folder / "dagster.yaml")
    except OSError as error:
        raise FixStorage(f"{folder} cannot be written ({error.strerror or error}); is the folder writable?") from None
    return folder


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance for runs in this process: no telemetry, and what steps print goes where it always goes."""
    overrides = {
        "telemetry": {"enabled": False},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
            "config": {},
        },
    }
    logging.getLogger("dagster").setLevel(logging.ERROR)  # that a home has no dagster.yaml is nothing to act on
    folder = home(settings)
    with locked(folder / ".call-metrics.lock", "Dagster's records"):  # two that make them at once would collide
        instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=overrides))
        instance.get_runs(limit=1)
        instance.event_log_storage.get_records_for_run("none", limit=1)
        instance.all_instigator_state()
    with instance:
        end_dead_runs(instance, settings)
        yield instance


SILENT = {"console": {"config": {"log_level": "CRITICAL"}}}
"""What Dagster prints of a run: nothing, for the command line reports by itself."""


class Runner:
    """Runs days through the job `ingest` in this process, one after the other, with one `Flow`."""

    def __init__(self, instance: dg.DagsterInstance, flow: Flow) -> None:
        definitions = build_definitions(flow.settings, flow=shared_flow_resource(flow), in_this_process=True)
        self._job = definitions.resolve_job_def("ingest")
        self._instance = instance

    def run(self, day: date) -> None:
        """Run all assets for a day. Raises what the steps raise; the run is recorded either way."""
        try:
            self._job.execute_in_process(
                partition_key=day.isoformat(), instance=self._instance, run_config={"loggers": SILENT}
            )
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            raise Interrupted("stopped; everything fetched so far has landed") from None
        except Exception as error:
            if (ours := _own_error(error)) is not None:
                raise ours from None
            if isinstance(error, SQLAlchemyError | sqlite3.Error):
                reason = str(error).splitlines()[0]
                folder = self._instance.root_directory
                raise FixStorage(f"Dagster's records in {folder} cannot be used ({reason}); mend it") from None
            raise


def _own_error(error: BaseException) -> CallMetricsError | None:
    """The error of ours that began it all, however Dagster wrapped it or stumbled over it."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, CallMetricsError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _configuration() -> Path:
    """The dagster.yaml of the checkout, or the copy that an installed package carries."""
    packaged = Path(str(resources.files(__package__).joinpath("dagster.yaml")))
    return packaged if packaged.exists() else Path(__file__).parents[2] / "dagster.yaml"
