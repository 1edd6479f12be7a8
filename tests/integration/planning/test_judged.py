"""Judgements that are kept: those of complete days, until anything of the day changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.emulator import Emulator, Fault, ManualClock, World
from pipeline.flow import Flow
from tests.support.flows import AFTERWARDS, DAY, START, WORLD, call

MARK = 99
"""A number of calls that no day of ours has: what is returned with it was kept."""


def ran(flow_for: Callable[..., Flow], *faults: Fault) -> Flow:
    """Run a day that is complete, unless there are faults."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=faults) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
    return flow


def kept(flow: Flow) -> Path:
    return flow.settings.work / "judged" / f"{DAY}.json"


def mark(flow: Flow) -> None:
    """Change the judgement that is kept, to recognize it."""
    kept(flow).write_text(json.dumps(json.loads(kept(flow).read_bytes()) | {"calls": MARK}))


def test_complete_day_is_judged_once(flow_for: Callable[..., Flow]) -> None:
    """The second look is equal to the first, field by field, and comes from what was kept."""
    flow = ran(flow_for)
    judged = flow.completeness(DAY)
    assert (judged.calls, judged.is_complete) == (2, True)
    assert not kept(flow).exists()
    assert flow.known_completeness(DAY) == judged
    assert flow.known_completeness(DAY) == judged
    mark(flow)
    assert flow.known_completeness(DAY).calls == MARK
    assert flow.completeness(DAY) == judged


def change_by_forgetting(flow: Flow) -> None:
    flow.forget("user-1")


def change_by_losing_a_segment(flow: Flow) -> None:
    Path(str(flow.landing.segments("participant_metrics", DAY)[0])).unlink()


def change_by_losing_a_table(flow: Flow) -> None:
    Path(str(flow.lake.path("windows", DAY))).unlink()


def change_by_overwriting_a_segment(flow: Flow) -> None:
    Path(str(flow.landing.segments("participant_sessions", DAY)[0])).write_bytes(b"garbage")


@pytest.mark.parametrize(
    "change",
    [
        change_by_forgetting,
        change_by_losing_a_segment,
        change_by_losing_a_table,
        change_by_overwriting_a_segment,
    ],
)
def test_day_that_changed_is_judged_again(change: Callable[[Flow], None], flow_for: Callable[..., Flow]) -> None:
    """Whatever changes, the next look sees it."""
    flow = ran(flow_for)
    before = flow.known_completeness(DAY)
    mark(flow)
    change(flow)
    assert flow.known_completeness(DAY) == flow.completeness(DAY) != before


def test_late_report_is_seen(flow_for: Callable[..., Flow]) -> None:
    """A call session that is reported again is judged again."""
    late = call("late", minutes=50, reports=(timedelta(minutes=2), timedelta(days=1)))
    clock = ManualClock(START + timedelta(hours=3))
    with Emulator(World((late,)), clock=clock) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        assert flow.known_completeness(DAY).is_complete
        mark(flow)
        clock.now = AFTERWARDS
        flow.extract.call_stats(DAY)
        assert flow.known_completeness(DAY) == flow.completeness(DAY)


def test_incomplete_day_is_not_kept(flow_for: Callable[..., Flow]) -> None:
    """It is judged each time."""
    flow = ran(flow_for, Fault("unrecoverable", "participant_metrics", times=1))
    assert flow.known_completeness(DAY).problems
    assert not kept(flow).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"made_from": 1}', "\x00"])
def test_garbage_is_judged_again(content: str, flow_for: Callable[..., Flow]) -> None:
    """And replaced."""
    flow = ran(flow_for)
    judged = flow.known_completeness(DAY)
    good = kept(flow).read_text()
    kept(flow).write_text(content)
    assert flow.known_completeness(DAY) == judged
    assert kept(flow).read_text() == good
    kept(flow).write_text(json.dumps(json.loads(good) | {"windows": 3}))
    assert flow.known_completeness(DAY) == judged


def test_folder_that_cannot_be_written_does_not_matter(flow_for: Callable[..., Flow]) -> None:
    """Days are judged each time."""
    flow = ran(flow_for)
    kept(flow).parent.write_text("a file in the place of the folder")
    assert flow.known_completeness(DAY) == flow.completeness(DAY)
