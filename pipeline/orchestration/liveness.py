"""Which runs are dead: each run holds a lock that its process takes with it.

Dagster cannot tell by itself that the process of a run was killed, and such a run would keep its place in a pool.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import filelock

from pipeline.locks import locked
from pipeline.settings import Settings

__all__ = ["alive", "end_dead_runs"]

UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@contextmanager
def alive(settings: Settings, run_id: str | None) -> Iterator[None]:
    """Hold the run's lock: it is free once its process is dead, see `end_dead_runs`."""
    with ExitStack() as held:
        if run_id is not None:
            path = _lock(settings, run_id)
            held.callback(path.unlink, missing_ok=True)
            held.enter_context(locked(path, f"run {run_id}"))
        yield


def end_dead_runs(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    """Mark runs whose process is dead as failed and give back their places in pools; returns their ids."""
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        path = _lock(settings, run.run_id)
        if not path.exists():
            continue  # not ours, or not begun
        with contextlib.suppress(filelock.Timeout, OSError), filelock.FileLock(path, timeout=0):
            instance.report_run_failed(
                run, "The process of this run is dead. Run the day again: it goes on where it stopped."
            )
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            path.unlink(missing_ok=True)
            ended.append(run.run_id)
    return ended


def _lock(settings: Settings, run_id: str) -> Path:
    return settings.data / ".work" / "runs" / f"{run_id}.lock"
