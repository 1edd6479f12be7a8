"""The data points of a track: drawn from a seed, or written by hand."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.emulator import METRICS, CallSpec, Episode, Level, Points, Signal, StaySpec, TrackSpec, World
from tests.support.emulator_reader import at

VIDEO = (Level(900, 30, 1280, 720, weight=3), Level(300, 15, 640, 360))
SIGNALS = st.builds(
    Signal,
    st.sampled_from((VIDEO, (Level(32),), (*VIDEO, Level(0, 0, 320, 180, weight=0)))),
    step_seconds=st.integers(1, 90),
    offset_seconds=st.integers(0, 100),
    hold_points=st.integers(1, 40),
    gap_share=st.sampled_from((0.0, 0.3)),
    null_share=st.sampled_from((0.0, 0.3)),
    episodes=st.lists(
        st.builds(lambda starts, length, level: Episode(starts, starts + length, level),
                  st.integers(0, 3000), st.integers(0, 900), st.sampled_from((None, 0))), max_size=3
    ).map(tuple),
)  # fmt: skip


@settings(derandomize=True, deadline=None)
@given(SIGNALS, st.integers(0, 3_600_000_000), st.lists(st.integers(0, 3_600_000_000), max_size=6))
def test_series_has_the_same_points_however_it_is_cut(signal: Signal, origin: int, cuts: list[int]) -> None:
    """Adjacent windows together contain exactly the points of one window over all of them."""
    base = 1_772_409_600 * 10**6
    ends = sorted({0, 3_600_000_000, *cuts})

    def read(since: int, until: int) -> list[tuple[str, int, object]]:
        columns = signal.columns(b"key", base + origin, base + since, base + until - 1, 10**6)
        return [(name, *point) for name, times, values in columns for point in zip(times, values, strict=True)]

    whole = read(0, ends[-1])
    pieces = [point for since, until in pairwise(ends) for point in read(since, until)]
    assert sorted(pieces, key=repr) == sorted(whole, key=repr)
    assert all(base + origin <= time < base + ends[-1] for _, time, _ in whole)


@settings(derandomize=True, deadline=None)
@given(SIGNALS)
def test_series_has_the_same_values_in_any_unit(signal: Signal) -> None:
    """Seconds and nanoseconds differ only in the digits of the times."""
    start = 1_772_409_600 * 10**6
    seconds, nanoseconds = (
        list(signal.columns(b"key", start, start, start + 1_800_000_000, ticks)) for ticks in (1, 10**9)
    )
    assert [(name, [time * 10**9 for time in times], values) for name, times, values in seconds] == nanoseconds


def test_series_follows_its_episodes() -> None:
    """An episode decides exactly its own seconds; a gap has no points."""
    signal = Signal(
        (*VIDEO, Level(5, 1, 2, 3, weight=0)), 10, 0, episodes=(Episode(60, 120, 2), Episode(120, 180, None))
    )
    columns = {
        name: dict(zip(times, values, strict=True))
        for name, times, values in signal.columns(b"k", 0, 0, 300 * 10**6, 1)
    }
    assert list(columns) == list(METRICS)
    heights = columns["resolution_height"]
    assert [second for second, height in heights.items() if height == 3] == [60, 70, 80, 90, 100, 110]
    assert not [second for second in heights if 120 <= second < 180]
    assert {height for second, height in heights.items() if second >= 180} <= {720, 360}


def test_drawn_values_are_near_their_level() -> None:
    """A bitrate deviates from its level by at most the spread, and both levels occur."""
    signal = Signal((Level(1000, 30, 2, 1, weight=3), Level(100, 10, 4, 3)), 1, 0, hold_points=5, spread=0.2)
    columns = {name: values for name, _, values in signal.columns(b"k", 0, 0, 1800 * 10**6, 1)}
    shares = Counter(columns["resolution_height"])
    assert 0.6 < shares[1] / sum(shares.values()) < 0.9
    for bitrate, height in zip(columns["bitrate"], columns["resolution_height"], strict=True):
        mean = 1000 if height == 1 else 100
        assert abs(float(bitrate or 0) - mean) <= 0.2 * mean + 1


def test_points_by_hand_are_returned_as_written() -> None:
    """No value is added, rounded or reordered."""
    points = Points.every(7.5, at(10), bitrate=(1, None, 0.25), framerate=())
    start = int(at(10).timestamp())
    columns = list(points.columns(b"", 0, start * 10**6, (start + 100) * 10**6, 1000))
    assert columns == [
        ("bitrate", [start * 1000, start * 1000 + 7500, start * 1000 + 15000], [1, None, 0.25]),
        ("framerate", [], []),
    ]


def test_series_of_different_tracks_differ() -> None:
    """The values depend on the seed, on every id and on the type of the track."""
    signal = Signal((Level(10**6),), 5)
    names = [["a"] * 7] + [["a"] * place + ["b"] + ["a"] * (6 - place) for place in range(7)]
    keys = [
        World((), seed).series_key(
            CallSpec(*parts[:3], at(10)), StaySpec(parts[3], parts[4], at(10)), TrackSpec(parts[5], parts[6])
        )
        for seed in (0, 1)
        for parts in names
    ]
    drawn = {tuple(next(signal.columns(key, 0, 0, 10**9, 1))[2]) for key in keys}
    assert len(drawn) == len(keys) == 16
