"""The door for the command line: a Dagster instance, and days run through the job in this process.

Runs are recorded in the instance like any other. Runs whose process is dead are ended first, so that nothing waits for
them.
"""

from __future__ import annotations

import contextlib
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

from pipeline.errors import CallMetricsError, FixSettings, FixStorage, Interrupted
from pipeline.files import locked
from pipeline.flow import Flow
from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.resources import shared_flow_resource
from pipeline.orchestration.run_locks import end_dead_runs
from pipeline.settings import Settings

__all__ = ["Runner", "home", "open_instance"]


def home(settings: Settings) -> Path:
    """The folder of the Dagster instance, made ready and seen to be in order. Raises what `open_instance` does."""
    with open_instance(settings):
        return _folder(settings)


def _folder(settings: Settings) -> Path:
    """DAGSTER_HOME where set, else a folder under the data folder, with our dagster.yaml in it."""
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
    """The Dagster instance for runs in this process: no telemetry, and what steps print goes where it always goes.

    Raises `FixSettings` where dagster.yaml cannot be used, `FixStorage` where the records of runs cannot.
    """
    overrides = {
        "telemetry": {"enabled": False},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
            "config": {},
        },
    }
    logging.getLogger("dagster").setLevel(logging.ERROR)  # that a home has no dagster.yaml is nothing to act on
    folder = _folder(settings)
    try:
        with locked(folder / ".call-metrics.lock", "Dagster's records"):  # two that make them at once would collide
            try:
                instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=overrides))
            except (SQLAlchemyError, sqlite3.Error, FileExistsError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever Dagster, its configuration and YAML make of the file
                raise FixSettings(
                    f"{folder / 'dagster.yaml'} cannot be used ({_reason(error)}); correct it, or move it away"
                ) from None
            instance.get_runs(limit=1)
            instance.has_asset_key(dg.AssetKey("none"))
            instance.all_instigator_state()
            end_dead_runs(instance, settings)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise _unusable(folder, error) from None
    with instance:
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
                raise _unusable(Path(self._instance.root_directory), error) from None
            raise


def _own_error(error: BaseException) -> CallMetricsError | None:
    """The error of ours that began it all, however Dagster wrapped it or stumbled over it."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:  # Dagster's may name each other as their cause
        if isinstance(cause, CallMetricsError):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


def _unusable(folder: Path, error: Exception) -> FixStorage:
    """One sentence about Dagster's records, which names the file to move away if there is one."""
    for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        if (reason := _damage(folder / name)) is not None:
            return _move_away(folder / name, reason)
    if isinstance(error, FileExistsError | NotADirectoryError):
        return _move_away(Path(error.filename), "it is no folder")
    return FixStorage(
        f"Dagster's records in {folder} cannot be used ({_reason(error)}); is it writable, and the disk not full?"
    )


def _move_away(path: Path, reason: str) -> FixStorage:
    return FixStorage(
        f"{path} cannot be used ({reason}); move it away: Dagster's records of earlier runs go with it, the data do not"
    )


def _damage(path: Path) -> str | None:
    """What is wrong with a file of SQLite; None where it is well, or there is none."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return None if "locked" in str(error) else str(error)
    return None if verdict == "ok" else " ".join(str(verdict).split())


def _reason(error: Exception) -> str:
    """An error of someone else's, in a few words."""
    text = " ".join(str(error).split("\n[SQL")[0].split())
    return f"{text[:200]}…" if len(text) > 200 else text


def _configuration() -> Path:
    """The dagster.yaml of the checkout, or the copy that an installed package carries."""
    packaged = Path(str(resources.files(__package__).joinpath("dagster.yaml")))
    return packaged if packaged.exists() else Path(__file__).parents[2] / "dagster.yaml"
