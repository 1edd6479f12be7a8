"""Finds runs whose process is dead, and ends them. Each run holds a lock that dies with its process.

Dagster does not notice by itself that the process of a run was killed, and such a run would keep its slot in a pool.
Locks of days and of the database are in `landing` and `warehouse`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import filelock

from pipeline.files import locked
from pipeline.settings import Settings

__all__ = ["end_dead_runs", "end_if_dead", "holding_run_lock"]

UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@contextmanager
def holding_run_lock(settings: Settings, run_id: str | None) -> Iterator[None]:
    """Hold the lock of a run (if it has an id) within the block. It is free once the process is dead."""
    with ExitStack() as held:
        if run_id is not None:
            path = _lock(settings, run_id)
            # Other processes must never find the lock of a living run free. So it is acquired before it gets its name,
            # and it loses its name before it is released, for only then does Dagster record how the run ended.
            unnamed = path.with_suffix(".new")
            held.enter_context(locked(unnamed, f"run {run_id}"))
            unnamed.replace(path)
            held.callback(path.unlink, missing_ok=True)
        yield


def end_dead_runs(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    """Mark runs whose process is dead as failed, and free their slots in pools. Returns their ids."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [run.run_id for run in runs if end_if_dead(instance, settings, run.run_id)]


def end_if_dead(instance: dg.DagsterInstance, settings: Settings, run_id: str) -> bool:
    """Mark a run as failed if its process is dead and the run has not ended. Returns whether that was so."""
    path = _lock(settings, run_id)
    with (
        contextlib.suppress(filelock.Timeout, OSError),  # alive; or without a lock: not one of our runs, or not started
        path.open("rb") as found,
        filelock.FileLock(path, timeout=0),
    ):
        if not os.path.samestat(os.fstat(found.fileno()), path.stat()):  # it ended just now, and we created a new file
            path.unlink(missing_ok=True)
            return False
        run = instance.get_run_by_id(run_id)  # read again: it may have ended before we got the lock
        dead = run is not None and run.status in UNFINISHED
        if run is not None and dead:
            instance.report_run_failed(
                run, "The process of this run is dead. Run the day again: it resumes where it stopped."
            )
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        path.unlink(missing_ok=True)
        return dead
    return False


def _lock(settings: Settings, run_id: str) -> Path:
    return settings.work / "runs" / f"{run_id}.lock"
