"""How a day runs for the command line: its errors, and its connections to Dagster's records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log.sqlite import sqlite_event_log

from pipeline.emulator import Emulator
from pipeline.errors import FixSettings
from pipeline.flow import Flow
from pipeline.orchestration.instance import open_instance
from pipeline.orchestration.kept_engines import kept_engines
from pipeline.orchestration.runner import Runner, original_error
from tests.support.command_line import SMALL, YESTERDAY


def test_original_error_is_found_in_a_circle_of_causes() -> None:
    """Dagster can raise errors that are causes of each other. The search ends, and finds an error of ours."""
    first, second = ValueError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert original_error(first) is None
    second.__cause__ = ours = FixSettings("fix it")
    ours.__context__ = first
    assert original_error(first) is ours


def open_records(folder: Path) -> list[str]:
    """Return Dagster's databases below the folder that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:  # it was closed meanwhile
            continue
        if target.startswith(str(folder)) and ".db" in target:
            found.append(target)
    return found


def test_connections_to_the_records_are_kept_for_a_run_and_no_longer(flow_for: Callable[..., Flow]) -> None:
    """Dagster gets the same engine for the same database each time. After a run nothing is open, and it is recorded."""
    before = sqlite_event_log.create_engine
    with Emulator(SMALL) as emulator:
        flow = flow_for(emulator)
        records = flow.settings.root / "dagster"
        with open_instance(flow.settings) as instance:
            runner = Runner(instance, flow)
            for _ in range(2):
                runner.run(YESTERDAY)
                assert open_records(records) == []
                assert sqlite_event_log.create_engine is before
            assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS] * 2
            url = f"sqlite:///{records}/history/runs.db"
            with kept_engines():
                first = sqlite_event_log.create_engine(url)
                with first.connect():
                    pass
                first.dispose()
                assert sqlite_event_log.create_engine(url) is first
                assert open_records(records)
            assert open_records(records) == []
