"""Runs whose process is dead are ended; those that are alive are left alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg

from pipeline.orchestration.definitions import build_definitions
from pipeline.orchestration.instance import open_instance
from pipeline.orchestration.run_locks import end_dead_runs, end_if_dead, holding_run_lock
from pipeline.settings import Settings

HOLDER = """
import sys, time
from pathlib import Path
from pipeline.files import locked
with locked(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_end_dead_runs_fails_runs_of_dead_processes_only(tmp_path: Path) -> None:
    """A killed run is marked as failed when the next one starts; one that is alive is left alone."""
    settings = Settings(data=tmp_path)
    with open_instance(settings) as instance:
        job = build_definitions(settings).resolve_job_def("ingest")
        dead, living = (instance.create_run_for_job(job, tags={}) for _ in range(2))
        for run in (dead, living):
            instance.report_dagster_event(
                dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="ingest"), run_id=run.run_id
            )
        locks = tmp_path / ".work" / "runs"
        locks.mkdir(parents=True)
        (locks / f"{dead.run_id}.lock").touch()
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(locks / f"{living.run_id}.lock")], stdout=subprocess.PIPE
        )
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            assert end_dead_runs(instance, settings) == [dead.run_id]
        finally:
            holder.kill()
            holder.communicate()
        assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(living.run_id).status == dg.DagsterRunStatus.STARTED


def started_run(instance: dg.DagsterInstance, settings: Settings) -> str:
    """Return a run that Dagster takes to be running."""
    run = instance.create_run_for_job(build_definitions(settings).resolve_job_def("ingest"), tags={})
    report(instance, run.run_id, "PIPELINE_START")
    return run.run_id


def report(instance: dg.DagsterInstance, run_id: str, event: str) -> None:
    instance.report_dagster_event(dg.DagsterEvent(event_type_value=event, job_name="ingest"), run_id=run_id)


def test_end_if_dead_leaves_a_run_that_has_just_ended(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """The lock of a run can be free because the run has just ended: its state is read again before it is failed."""
    settings = Settings(data=tmp_path)
    run_id = started_run(instance, settings)
    lock = tmp_path / ".work" / "runs" / f"{run_id}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    report(instance, run_id, "PIPELINE_SUCCESS")
    assert not end_if_dead(instance, settings, run_id)
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.SUCCESS
    assert not lock.exists()


def test_end_if_dead_never_ends_a_living_run(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """It is not ended while it acquires its lock, nor after it releases the lock and before Dagster records its end."""
    settings = Settings(data=tmp_path)
    run_id = started_run(instance, settings)
    stop = threading.Event()

    def start_and_end() -> None:
        while not stop.is_set():
            with holding_run_lock(settings, run_id):
                pass

    thread = threading.Thread(target=start_and_end)
    thread.start()
    try:
        assert not any(end_if_dead(instance, settings, run_id) for _ in range(3_000))
    finally:
        stop.set()
        thread.join()
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED
