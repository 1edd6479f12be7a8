"""Data points: single rules, with numbers calculated by hand."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.endpoints import UNIT_LIMITS
from pipeline.landing.bodies import BodySql
from pipeline.tables.points import UNITS
from tests.support import MIDNIGHT, examples
from tests.support.points import BEGIN, PER_SECOND, SECOND, WIDTH, Pair, ResponseTracks, Result, Track, explode, times


def response(*pairs: Pair, codec: str | None = "vp8", since: int = 0, **given: Any) -> ResponseTracks:
    """Return a response of one video track with a bitrate."""
    track = Track("t", "video", codec, {"bitrate": list(pairs)})
    values = {"stay": 0, "window": 0, "since": BEGIN + since, "until": BEGIN + since + WIDTH, "tracks": [track]}
    return ResponseTracks(**values | given)


def values(responses: list[ResponseTracks]) -> list[tuple[float, float, str | None]]:
    """Return (seconds since midnight, value, codec) of every point."""
    return [((row[4] - BEGIN) / SECOND, row[5], row[6]) for row in explode(responses).rows]


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
def test_points_have_their_unit_from_the_magnitude_of_timestamps(time: float, unit: str) -> None:
    """Fifteen seconds past midnight of 1 November 2026 is the same instant in every unit."""
    result = explode([response((time, 7.0))])
    assert [row[4] for row in result.rows] == [1_793_491_215_000_000]
    assert [UNITS[number] for number in result.unit] == [unit]
    assert MIDNIGHT + timedelta(seconds=15) == MIDNIGHT.fromtimestamp(1_793_491_215, MIDNIGHT.tzinfo)


@given(st.integers(0, 1_800_000_000), st.sampled_from(["float_s", "us", "ns"]))
@examples(500)
def test_points_are_exact_to_the_microsecond(microseconds: int, unit: str) -> None:
    """Fine units lose nothing down to a microsecond, though they are read as doubles."""
    (row,) = explode([response((times(unit, microseconds), 1.0))]).rows
    assert row[4] == BEGIN + microseconds


@given(st.lists(st.tuples(st.sampled_from([*UNIT_LIMITS.values()]), st.floats(1e-3, 80)), max_size=50))
@examples(20)
def test_points_and_sql_agree_on_the_unit_of_any_timestamp(drawn: list[tuple[float, float]]) -> None:
    """A number of any magnitude is the same instant in both, also at the limit between two units."""
    limits = [int(limit) + one for limit in UNIT_LIMITS.values() for one in (-1, 0, 1)]
    numbers = [sign * number for number in [*limits, *(int(limit * by) for limit, by in drawn)] for sign in (1, -1)]
    units = explode([response((number, 1.0), window=window) for window, number in enumerate(numbers)]).unit
    texts = pa.table({"text": list(map(str, numbers))})
    with BodySql() as sql:
        microseconds = sql.query("SELECT epoch_us(any_instant(text)) AS us FROM texts", texts=texts).column("us")
    expected = [number * SECOND / PER_SECOND[UNITS[unit]] for number, unit in zip(numbers, units, strict=True)]
    assert microseconds.to_pylist() == pytest.approx(expected, rel=1e-9, abs=1)


def test_points_on_a_window_edge_come_from_the_latest_response() -> None:
    """A point that two windows contain is stored once, with the value of the later response, and counts for both."""
    first = response((times("s", 0), 1.0), (times("s", WIDTH), 2.0))
    second = response((times("s", WIDTH), 3.0), (times("s", WIDTH + SECOND), 4.0), window=1, since=WIDTH)
    assert values([first, second]) == [(0, 1, "vp8"), (1800, 3, "vp8"), (1801, 4, "vp8")]
    assert explode([first, second]).per_window == [2, 2]
    # The response that came last counts, not the one for the later window.
    late = response((times("s", WIDTH), 9.0), codec="h264")
    assert values([second, late]) == [(1800, 9, "h264"), (1801, 4, "vp8")]


def test_points_remain_if_a_later_response_lacks_them() -> None:
    """A point that a later response leaves out, or has as null, stays as it was."""
    full = response((times("s", 0), 1.0), (times("s", SECOND), 2.0))
    assert values([full, response((times("s", SECOND), None))]) == [(0, 1, "vp8"), (1, 2, "vp8")]
    assert values([full, response()]) == [(0, 1, "vp8"), (1, 2, "vp8")]


def test_points_have_the_codec_of_their_own_response() -> None:
    """A change of codec applies to the points of the response that has it."""
    first = response((times("s", 0), 1.0), (times("s", SECOND), 2.0), (times("s", 2 * SECOND), 3.0))
    second = response((times("s", SECOND), 5.0), codec="h264")
    assert values([first, second]) == [(0, 1, "vp8"), (1, 5, "h264"), (2, 3, "vp8")]


@pytest.mark.parametrize(
    ("why", "pairs"),
    [
        ("a minute and more before", [(times("s", -61 * SECOND), 1.0)]),
        ("a minute and more after", [(times("s", WIDTH + 61 * SECOND), 1.0)]),
        ("two units in one response", [(times("s", 0), 1.0), (times("ms", SECOND), 1.0)]),
        ("a value without a time", [(times("s", 0), 1.0), (None, 1.0)]),
        ("hours since midnight", [(12, 1.0)]),
    ],
)
def test_response_with_wrong_timestamps_is_suspect_as_a_whole(why: str, pairs: list[Pair]) -> None:
    """None of its points are taken, and those of other responses are."""
    good = response((times("s", SECOND), 2.0))
    result = explode([good, response(*pairs, (times("s", 5 * SECOND), 1.0))])
    assert result.suspect == [False, True], why
    assert [row[5] for row in result.rows] == [2.0]
    assert result.per_window == [1]


@pytest.mark.parametrize("pair", [(BEGIN // SECOND, math.inf), (BEGIN // SECOND, -math.inf), (math.inf, 1.0)])
def test_response_with_a_number_too_large_for_a_double_is_suspect(pair: Pair) -> None:
    """Such a value is not loaded as infinity, and no other point of the response is taken."""
    given = response((BEGIN // SECOND + 1, 5.0), pair)
    assert explode([given]).rows == []
    assert explode([given]).suspect == [True]


def test_points_may_be_a_minute_outside_their_window() -> None:
    """Clocks and sampling steps need not agree with the bounds of a window."""
    result = explode([response((times("s", -60 * SECOND), 1.0), (times("s", WIDTH + 60 * SECOND), 2.0))])
    assert result.suspect == [False]
    assert len(result.rows) == 2


def test_points_of_nothing_are_empty_tables() -> None:
    """No responses, no tracks and no points are not errors."""
    assert explode([]) == Result([], [], [], [])
    assert explode([response(tracks=[])]) == Result([], [-1], [False], [0])
    assert explode([response()]) == Result([], [-1], [False], [0])
