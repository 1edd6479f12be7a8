"""Days: one process works on a day at a time, and a step runs again after a segment was quarantined."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.errors import FixStorage, Quarantined
from pipeline.landing.days import DayLocks, without_broken_segments
from pipeline.turns import FileTurns
from tests.support import DAY


def test_step_runs_again_after_each_quarantined_segment() -> None:
    """The third run finds no broken segment, and its result is returned."""
    runs: list[int] = []

    def step() -> str:
        runs.append(len(runs))
        if len(runs) < 3:
            raise Quarantined("a segment was quarantined")
        return "done"

    assert without_broken_segments(step) == "done"
    assert len(runs) == 3


def test_step_does_not_run_again_after_another_error() -> None:
    """The error is raised."""

    def step() -> None:
        raise FixStorage("full")

    with pytest.raises(FixStorage):
        without_broken_segments(step)


def test_steps_of_one_day_run_one_after_the_other(tmp_path: Path) -> None:
    """A step of another day does not wait."""
    locks = DayLocks(FileTurns(tmp_path))
    order: list[str] = []
    same_day = threading.Thread(target=locks.run, args=(DAY, lambda: order.append("same day")))

    def step() -> None:
        same_day.start()
        locks.run(DAY + timedelta(days=1), lambda: order.append("other day"))
        same_day.join(0.2)
        order.append("first")

    locks.run(DAY, step)
    same_day.join(10)
    assert order == ["other day", "first", "same day"]
