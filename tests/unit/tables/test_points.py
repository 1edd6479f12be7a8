"""Points come out sorted, unique and in microseconds, held against a slow reference that anyone can check."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import METRICS
from pipeline.tables.points import TOLERANCE, UNITS, ResponseWindows, explode_points
from tests.support import MIDNIGHT, examples

SECOND = 1_000_000
BEGIN = int(MIDNIGHT.timestamp()) * SECOND
WIDTH = 1800 * SECOND
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

Pair = tuple[float | int | None, float | None] | None
"""Time in the source's unit and value, as in the JSON; None for a null in the place of a pair."""


@dataclass(frozen=True)
class Track:
    """A track in an answer: ids, codec, and by metric its pairs (None: the metric is absent)."""

    track_id: str | None
    track_type: str | None
    codec: str | None
    series: dict[str, list[Pair] | None]


@dataclass(frozen=True)
class Given:
    """One answer: of which stay, for which window of it, with which tracks."""

    stay: int
    window: int
    tracks: list[Track]
    since: int
    until: int
    unreadable: bool = False


@dataclass(frozen=True)
class Result:
    """What is to come out: rows (stay, track id, type, metric, microseconds, value, codec), and what was found."""

    rows: list[tuple[Any, ...]]
    unit: list[int]
    suspect: list[bool]
    per_window: list[int]


# The reference: dictionaries and loops.


def reference(answers: list[Given]) -> Result:
    """The points of answers in the order in which they came."""
    points: dict[tuple[Any, ...], tuple[float, str | None]] = {}
    windows: dict[int, set[tuple[Any, ...]]] = {answer.window: set() for answer in answers}
    units, suspects = [], []
    for answer in answers:
        pairs = [
            (track, metric, pair)
            for track in answer.tracks
            for metric, series in track.series.items()
            for pair in series or ()
            if pair is not None
        ]
        times = [pair[0] for _, _, pair in pairs if pair[0] is not None]
        found = [_unit(time) for time in times]
        unit = max(found, default=-1)
        scale = 10**6 / PER_SECOND[UNITS[max(unit, 0)]]
        suspect = (
            answer.unreadable
            or any(pair[0] is None and pair[1] is not None for _, _, pair in pairs)
            or len(set(found)) > 1
            or any(not answer.since - TOLERANCE <= time * scale <= answer.until + TOLERANCE for time in times)
        )
        units.append(unit)
        suspects.append(suspect)
        for track, metric, (time, value) in [] if suspect else pairs:
            if time is not None and value is not None:
                key = (answer.stay, track.track_id, track.track_type, metric, round(time * scale))
                points[key] = (value, track.codec)
                windows[answer.window].add(key)
    rows = [(*key, *value) for key, value in sorted(points.items(), key=lambda item: _order(item[0]))]
    return Result(rows, units, suspects, [len(windows[window]) for window in sorted(windows)])


def _unit(time: float) -> int:
    return sum(abs(time) >= limit for limit in (1e11, 1e14, 1e17))


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    stay, track_id, track_type, metric, time = key
    return stay, track_id is None, track_id or "", track_type is None, track_type or "", METRICS.index(metric), time


# The same by the code under test.


def exploded(answers: list[Given]) -> Result:
    pairs = pa.list_(pa.list_(pa.float64(), 2))
    rows = [(place, track) for place, answer in enumerate(answers) for track in answer.tracks]
    tracks = pa.table(
        {
            "n": pa.array([place for place, _ in rows], pa.int64()),
            "track_id": pa.array([track.track_id for _, track in rows], pa.string()),
            "track_type": pa.array([track.track_type for _, track in rows], pa.string()),
            "codec": pa.array([track.codec for _, track in rows], pa.string()),
            **{metric: pa.array([_pairs(track.series.get(metric)) for _, track in rows], pairs) for metric in METRICS},
        }
    )
    columns = [
        np.array([getattr(answer, name) for answer in answers], dtype=np.int64)
        for name in ("stay", "window", "since", "until")
    ]
    points = explode_points(
        tracks, ResponseWindows(*columns), np.array([answer.unreadable for answer in answers], dtype=bool)
    )
    series = points.series.to_pylist()
    out = [
        (
            series[of]["stay"],
            series[of]["track_id"],
            series[of]["track_type"],
            series[of]["metric"],
            int(time),
            float(value),
            series[of]["codec"],
        )
        for of, time, value in zip(points.of, points.timestamp, points.value, strict=True)
    ]
    assert sorted(set(points.of.tolist())) == list(range(len(series))), "every series has points, and in order"
    return Result(
        out, [int(unit) for unit in points.unit], [bool(one) for one in points.suspect], points.per_window.tolist()
    )


def _pairs(series: list[Pair] | None) -> list[list[float | None] | None] | None:
    if series is None:
        return None
    return [None if pair is None else [None if one is None else float(one) for one in pair] for pair in series]


# What the properties are tried on.


def times(unit: str, microseconds: int) -> float | int:
    """An instant (microseconds since midnight of the day) as the source would write it."""
    if unit == "float_s":
        return (BEGIN + microseconds) / SECOND
    return (BEGIN + microseconds) * PER_SECOND[unit] // SECOND


@st.composite
def histories(draw: st.DrawFn) -> list[Given]:
    """Answers about two stays of up to three windows each, some of them asked for several times."""
    unit = draw(st.sampled_from(["s", "float_s", "ms", "us", "ns"]))
    step = {"s": SECOND, "ms": 1000}.get(unit, 1)
    # Few instants, so that answers agree on many: the seams of windows, some within, some just in the margin.
    offsets = [0, 1, 2, 900, 1799, 1800, 3600, 5400, 5430]
    fractions = st.sampled_from([0, 1, 999_999]) if step == 1 else st.sampled_from([0, step]).map(lambda x: x % SECOND)
    instants = st.builds(lambda second, part: second * SECOND + part, st.sampled_from(offsets), fractions)
    names = st.sampled_from(
        [("a", "audio", "opus"), ("v", "video", "vp8"), ("v", "video", "h264"), ("v", "screen", None)]
    )
    odd_names = st.tuples(*[st.sampled_from([None, "a", "v", "ż"])] * 3)
    answers = []
    window_numbers: dict[tuple[int, int], int] = {}
    for stay in range(draw(st.integers(1, 2))):
        asked = draw(st.lists(st.integers(0, 2), min_size=1, max_size=4))
        for part in sorted(set(asked)):
            window_numbers[stay, part] = len(window_numbers)
        for part in asked:
            since = part * WIDTH
            within = instants.filter(lambda at, since=since: since - TOLERANCE <= at <= since + WIDTH + TOLERANCE)  # type: ignore[misc]
            pair = st.one_of(
                st.tuples(within.map(lambda at: times(unit, at)), st.none() | st.integers(0, 3).map(float)),
                st.just((None, None)),
                st.none(),
            )
            tracks = [
                Track(
                    *draw(names | odd_names),
                    {metric: draw(st.none() | st.lists(pair, max_size=6)) for metric in METRICS},
                )
                for _ in range(draw(st.integers(0, 3)))
            ]
            mishap = draw(st.sampled_from([None] * 6 + ["shifted", "no time", "other unit", "unreadable"]))
            if mishap and tracks:
                spoilt: dict[str, Pair] = {
                    "shifted": (times(unit, since + WIDTH + TOLERANCE + SECOND), 1.0),
                    "no time": (None, 1.0),
                    "other unit": (times("ms" if unit in ("s", "float_s") else "s", since), 1.0),
                    "unreadable": None,
                }
                tracks[0].series["bitrate"] = [*(tracks[0].series["bitrate"] or []), spoilt[mishap]]
            answers.append(
                Given(
                    stay,
                    window_numbers[stay, part],
                    tracks,
                    BEGIN + since,
                    BEGIN + since + WIDTH,
                    mishap == "unreadable",
                )
            )
    return answers


@given(histories())
@examples(250)
def test_points_are_those_of_the_reference(answers: list[Given]) -> None:
    """Any units, nulls, repetitions, disorder, changes of codec and suspect answers, over several windows and stays."""
    assert exploded(answers) == reference(answers)


# Single rules, with numbers worked out by hand.


def answer(*pairs: Pair, codec: str | None = "vp8", since: int = 0, **given: Any) -> Given:
    """An answer of one video track with a bitrate."""
    track = Track("t", "video", codec, {"bitrate": list(pairs)})
    values = {"stay": 0, "window": 0, "since": BEGIN + since, "until": BEGIN + since + WIDTH, "tracks": [track]}
    return Given(**values | given)


def values(answers: list[Given]) -> list[tuple[float, float, str | None]]:
    """(Seconds since midnight, value, codec) of all points."""
    return [((row[4] - BEGIN) / SECOND, row[5], row[6]) for row in exploded(answers).rows]


@pytest.mark.parametrize(
    ("time", "unit"),
    [
        (1_793_491_215, "s"),
        (1_793_491_215.0, "s"),
        (1_793_491_215_000, "ms"),
        (1_793_491_215_000_000, "us"),
        (1_793_491_215_000_000_000, "ns"),
    ],
)
def test_units_are_told_apart_by_magnitude(time: float, unit: str) -> None:
    """Fifteen seconds past midnight of 1 November 2026, in every unit."""
    result = exploded([answer((time, 7.0))])
    assert [row[4] for row in result.rows] == [1_793_491_215_000_000]
    assert [UNITS[number] for number in result.unit] == [unit]
    assert MIDNIGHT + timedelta(seconds=15) == MIDNIGHT.fromtimestamp(1_793_491_215, MIDNIGHT.tzinfo)


@given(st.integers(0, 1_800_000_000), st.sampled_from(["float_s", "us", "ns"]))
@examples(500)
def test_instants_are_exact_to_the_microsecond(microseconds: int, unit: str) -> None:
    """Fine units, though read as doubles, lose nothing down to a microsecond."""
    (row,) = exploded([answer((times(unit, microseconds), 1.0))]).rows
    assert row[4] == BEGIN + microseconds


def test_the_latest_answer_wins_at_a_seam() -> None:
    """A point at 30:00 that two windows give is held once, as the later answer has it, and counts for both."""
    first = answer((times("s", 0), 1.0), (times("s", WIDTH), 2.0))
    second = answer((times("s", WIDTH), 3.0), (times("s", WIDTH + SECOND), 4.0), window=1, since=WIDTH)
    assert values([first, second]) == [(0, 1, "vp8"), (1800, 3, "vp8"), (1801, 4, "vp8")]
    assert exploded([first, second]).per_window == [2, 2]
    # Whichever came last, not whichever window is later.
    late = answer((times("s", WIDTH), 9.0), codec="h264")
    assert values([second, late]) == [(1800, 9, "h264"), (1801, 4, "vp8")]


def test_a_later_answer_takes_nothing_back() -> None:
    """What it leaves out, and what it has null, stays as it was."""
    full = answer((times("s", 0), 1.0), (times("s", SECOND), 2.0))
    assert values([full, answer((times("s", SECOND), None))]) == [(0, 1, "vp8"), (1, 2, "vp8")]
    assert values([full, answer()]) == [(0, 1, "vp8"), (1, 2, "vp8")]


def test_a_change_of_codec_goes_with_its_points() -> None:
    """Each point has the codec of the answer that it is from."""
    first = answer((times("s", 0), 1.0), (times("s", SECOND), 2.0), (times("s", 2 * SECOND), 3.0))
    second = answer((times("s", SECOND), 5.0), codec="h264")
    assert values([first, second]) == [(0, 1, "vp8"), (1, 5, "h264"), (2, 3, "vp8")]


@pytest.mark.parametrize(
    ("why", "pairs"),
    [
        ("a minute and more before", [(times("s", -61 * SECOND), 1.0)]),
        ("a minute and more after", [(times("s", WIDTH + 61 * SECOND), 1.0)]),
        ("two units in one answer", [(times("s", 0), 1.0), (times("ms", SECOND), 1.0)]),
        ("a value without a time", [(times("s", 0), 1.0), (None, 1.0)]),
        ("hours since midnight", [(12, 1.0)]),
    ],
)
def test_an_answer_that_cannot_be_right_is_suspect_as_a_whole(why: str, pairs: list[Pair]) -> None:
    """None of its points are taken; those of other answers are."""
    good = answer((times("s", SECOND), 2.0))
    result = exploded([good, answer(*pairs, (times("s", 5 * SECOND), 1.0))])
    assert result.suspect == [False, True], why
    assert [row[5] for row in result.rows] == [2.0]
    assert result.per_window == [1]


@pytest.mark.parametrize("pair", [(BEGIN // SECOND, math.inf), (BEGIN // SECOND, -math.inf), (math.inf, 1.0)])
def test_a_number_beyond_a_double_makes_an_answer_suspect(pair: Pair) -> None:
    """1e400 is no value to load as if it had been received; nor are the points beside it taken."""
    given = answer((BEGIN // SECOND + 1, 5.0), pair)
    assert exploded([given]).rows == []
    assert exploded([given]).suspect == [True]


def test_a_minute_of_difference_is_allowed() -> None:
    """Clocks and steps of sampling need not agree with the window's bounds."""
    result = exploded([answer((times("s", -60 * SECOND), 1.0), (times("s", WIDTH + 60 * SECOND), 2.0))])
    assert result.suspect == [False]
    assert len(result.rows) == 2


def test_nothing_is_something_too() -> None:
    """No answers, no tracks and no points are empty tables, not errors."""
    assert exploded([]) == Result([], [], [], [])
    assert exploded([answer(tracks=[])]) == Result([], [-1], [False], [0])
    assert exploded([answer()]) == Result([], [-1], [False], [0])
