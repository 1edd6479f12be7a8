"""When a publisher was worse than usual."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.quality.incidents.camera_minutes import CameraMinutes, MetricMinutes
from pipeline.quality.incidents.episodes import Episodes, StayMinutes, find_episodes, judge_minutes

NOTHING = MetricMinutes(*(np.zeros(0, kind) for kind in (np.int32, np.int32, np.float32, np.float32)))


def metric(values: list[float | None], stalled: dict[int, float] | None = None, camera: int = 0) -> MetricMinutes:
    """Return a mean for each minute from 0; None is a minute without data."""
    there = [minute for minute, value in enumerate(values) if value is not None]
    return MetricMinutes(
        np.full(len(there), camera, np.int32),
        np.array(there, np.int32),
        np.array([values[minute] for minute in there], np.float32),
        np.array([(stalled or {}).get(minute, 0) for minute in there], np.float32),
    )


def judged(framerate: MetricMinutes = NOTHING, bitrate: MetricMinutes = NOTHING) -> StayMinutes:
    """Return the verdicts on one stay with one camera."""
    return judge_minutes(CameraMinutes(np.array([0]), framerate, bitrate))


def bad_minutes(minutes: StayMinutes) -> list[int]:
    return minutes.minute[minutes.bad].tolist()


def episodes(text: str) -> Episodes:
    """Return the episodes of a stay, minute by minute: b is bad, a dot is good, a dash has no data."""
    minute = np.array([place for place, one in enumerate(text) if one != "-"])
    bad = np.array([one == "b" for one in text if one != "-"], dtype=bool)
    return find_episodes(StayMinutes(np.zeros(len(minute), np.int64), minute, bad))


@pytest.mark.parametrize(
    ("minutes", "bad"),
    [
        (judged(metric([30] * 8 + [17, 19])), [8]),
        (judged(metric([30] * 10, stalled={3: 0.1, 4: 0.09})), [3]),
        (judged(bitrate=metric([1e6] * 8 + [3e5, 5e5])), [8]),
        (judged(metric([30, 5] + [30] * 8), metric([9, 9, 1] + [9] * 7)), [1, 2]),
    ],
    ids=["frame rate", "stalls", "bitrate", "either"],
)
def test_bad_minute_is_worse_than_usual(minutes: StayMinutes, bad: list[int]) -> None:
    """Each of the three rules, and any of them is enough."""
    assert bad_minutes(minutes) == bad


def test_connection_that_is_always_bad_is_not_worse() -> None:
    """Four frames per second all the time is what is usual there."""
    assert bad_minutes(judged(metric([4.0] * 20))) == []


def test_usual_holds_for_an_incident_that_takes_most_of_a_stay() -> None:
    """Ten bad minutes of fourteen do not become what is usual."""
    assert bad_minutes(judged(metric([30.0] * 4 + [6.0] * 10))) == list(range(4, 14))


def test_minute_without_data_is_neither_good_nor_bad() -> None:
    """It is not among the judged minutes; a metric alone is enough to judge one."""
    minutes = judged(metric([30.0] * 8 + [None, None]), metric([9.0] * 9 + [None]))
    assert minutes.minute.tolist() == list(range(9))
    assert bad_minutes(minutes) == []


def test_camera_with_few_minutes_is_not_judged() -> None:
    """What is usual for it is unknown."""
    assert judged(metric([30.0] * 4 + [1.0] * 3)).minute.tolist() == []


def test_stay_is_as_bad_as_its_worst_camera() -> None:
    """Two cameras of one stay are one publisher."""
    both = [metric([30.0] * 9 + [value], camera=number) for number, value in enumerate((30.0, 2.0))]
    joined = MetricMinutes(*(np.concatenate([getattr(one, name) for one in both]) for name in vars(both[0])))
    minutes = judge_minutes(CameraMinutes(np.array([0, 0]), joined, NOTHING))
    assert (len(minutes.minute), bad_minutes(minutes)) == (10, [9])


@pytest.mark.parametrize(
    ("text", "begins", "ends", "has_onset", "has_recovery"),
    [
        ("..bbb...", [2], [5], [True], [True]),
        ("..bb-.bb..", [2], [8], [True], [True]),
        ("..bb....", [], [], [], []),
        ("bbb...", [0], [3], [False], [True]),
        ("..bbb", [2], [5], [True], [False]),
        ("..bbb..bbb.", [2, 7], [5, 10], [True, True], [True, True]),
        ("..bbb----...", [2], [5], [True], [False]),
        ("...----bbb...", [7], [10], [False], [True]),
        ("..bb---b..", [2], [8], [True], [True]),
    ],
    ids=[
        "whole",
        "one good minute and a hole inside",
        "too short",
        "from the start",
        "to the end",
        "two",
        "a long hole hides the recovery",
        "a long hole hides the onset",
        "a short hole goes on",
    ],
)
def test_episode_begins_and_ends(
    text: str, begins: list[int], ends: list[int], has_onset: list[bool], has_recovery: list[bool]
) -> None:
    """Three bad minutes at least; what is not seen is not claimed."""
    found = episodes(text)
    assert (found.begins.tolist(), found.ends.tolist()) == (begins, ends)
    assert (found.has_onset.tolist(), found.has_recovery.tolist()) == (has_onset, has_recovery)


def test_who_is_worse_already_cannot_get_worse() -> None:
    """At risk is a minute after a good one; not the first one, none within an episode, none after a long hole."""
    assert episodes("...bbb..----..").at_risk.tolist() == [*map(bool, [0, 1, 1, 1, 0, 0, 0, 1, 0, 1])]
