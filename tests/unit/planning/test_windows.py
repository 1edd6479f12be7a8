"""Windows: a stay is cut into windows that cover it exactly, and when a response for one is final."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Window
from pipeline.planning.windows import MAX_WINDOW, SETTLING_TIME, is_final, tile
from tests.support import at, examples

INSTANTS = st.integers(0, 86_400_000_000).map(lambda microseconds: at(0) + timedelta(microseconds=microseconds))
LENGTHS = st.one_of(
    st.integers(1, 5 * 86_400_000_000).map(lambda microseconds: timedelta(microseconds=microseconds)),
    st.integers(1, 50).map(lambda windows: windows * MAX_WINDOW),
    st.integers(1, 50).map(lambda windows: windows * MAX_WINDOW + timedelta(microseconds=1)),
    st.integers(1, 50).map(lambda windows: windows * MAX_WINDOW - timedelta(microseconds=1)),
)


@given(INSTANTS, LENGTHS)
@examples(200)
def test_windows_cover_a_stay_exactly(joined_at: datetime, length: timedelta) -> None:
    """The first window begins at joined_at, each other where the last one ended, and the last ends at left_at."""
    windows = tile(joined_at, joined_at + length)
    assert windows[0].since == joined_at
    assert windows[-1].until == joined_at + length
    assert all(earlier.until == later.since for earlier, later in pairwise(windows))
    assert all(window.since < window.until for window in windows)


@given(INSTANTS, LENGTHS)
@examples(200)
def test_windows_are_half_an_hour_wide_except_the_last(joined_at: datetime, length: timedelta) -> None:
    """All windows but the last are as wide as the API allows, so there are as few as possible."""
    windows = tile(joined_at, joined_at + length)
    assert all(window.until - window.since == timedelta(minutes=30) for window in windows[:-1])
    assert timedelta(0) < windows[-1].until - windows[-1].since <= timedelta(minutes=30)
    assert len(windows) == -(-length // timedelta(minutes=30))


@given(INSTANTS, LENGTHS, LENGTHS)
@examples(100)
def test_windows_of_a_continuing_stay_only_grow_at_the_end(
    joined_at: datetime, length: timedelta, more: timedelta
) -> None:
    """Windows of a stay that lasts longer begin where they began before, and only the last one may grow."""
    before = tile(joined_at, joined_at + length)
    after = tile(joined_at, joined_at + length + more)
    assert after[: len(before) - 1] == before[:-1]
    assert after[len(before) - 1].since == before[-1].since


@given(INSTANTS, st.timedeltas(timedelta(0), timedelta(days=2)))
@examples(50)
def test_windows_of_a_stay_of_no_length_are_one(joined_at: datetime, backwards: timedelta) -> None:
    """A stay that ends when it begins, or before, has one window of no length."""
    assert tile(joined_at, joined_at - backwards) == [Window(joined_at, joined_at)]


def test_windows_of_70_minutes_are_30_30_and_10() -> None:
    """The worked example."""
    assert tile(at(10, 5), at(11, 15)) == [
        Window(at(10, 5), at(10, 35)),
        Window(at(10, 35), at(11, 5)),
        Window(at(11, 5), at(11, 15)),
    ]


def test_window_covers_itself_and_everything_inside() -> None:
    """The bounds belong to it, and a microsecond more on either side does not."""
    window = Window(at(10), at(10, 30))
    moment = timedelta(microseconds=1)
    assert window.covers(window)
    assert window.covers(Window(at(10), at(10)))
    assert not window.covers(Window(at(10) - moment, at(10, 30)))
    assert not window.covers(Window(at(10), at(10, 30) + moment))


@pytest.mark.parametrize(
    ("fetched_at", "ended_at", "generated_at", "final"),
    [
        (at(12), at(11), at(11, 5), True),
        (at(11, 5), at(11), at(11, 5), True),
        (at(11, 4), at(11), at(11, 5), False),
        (at(11), at(11), None, True),
        (at(10, 59), at(11), None, False),
        (at(10, 59), at(11), at(10, 50), False),
        (at(11), at(11), at(10, 50), True),
        (at(10, 32), None, at(10, 45), True),
        (at(10, 31, 59), None, None, False),
    ],
)
def test_response_is_final_once_the_source_has_everything(
    fetched_at: datetime, ended_at: datetime | None, generated_at: datetime | None, final: bool
) -> None:
    """It is final after the end and the report of a call that has ended, or two minutes after a window of a live
    one."""
    window = Window(at(10), at(10, 30))
    assert timedelta(minutes=2) == SETTLING_TIME
    assert is_final(window, window, fetched_at=fetched_at, ended_at=ended_at, generated_at=generated_at) is final


def test_response_for_a_shorter_window_is_not_final_for_a_longer_one() -> None:
    """A stay that continued after its last window was requested is requested again."""
    requested, longer = Window(at(10), at(10, 12)), Window(at(10), at(10, 30))
    late = at(23)
    assert not is_final(longer, requested, fetched_at=late, ended_at=at(11), generated_at=at(11))
    assert is_final(requested, longer, fetched_at=late, ended_at=at(11), generated_at=at(11))
