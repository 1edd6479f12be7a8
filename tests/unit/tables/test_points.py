"""Points come out sorted, unique and in microseconds: single rules, with numbers worked out by hand."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables.points import UNITS
from tests.support import MIDNIGHT, examples
from tests.support.points import BEGIN, SECOND, WIDTH, Given, Pair, Result, Track, exploded, times


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
