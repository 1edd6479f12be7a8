"""Worlds are reproducible and consistent, and contain what they promise."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.emulator import (
    METRICS,
    CallSpec,
    Episode,
    Level,
    Points,
    Signal,
    StaySpec,
    TrackSpec,
    World,
    demo_world,
    expected_rows,
    odd_world,
    uniform_world,
)
from tests.integration.emulator.emulator_reader import DAY, at, small_world

MAKERS = {
    "odd": lambda seed: odd_world(DAY.date(), 2, seed, 0.1),
    "demo": lambda seed: demo_world(DAY.date(), 1, seed),
    "uniform": lambda seed: uniform_world(DAY.date(), 3, 2, seed=seed),
}
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


@pytest.mark.parametrize("kind", MAKERS)
def test_same_seed_makes_the_same_world(kind: str) -> None:
    """Specs and drawn values are equal; another seed draws other values."""
    one, two, other = (MAKERS[kind](seed) for seed in (1, 1, 2))
    assert one == two
    now = at(40)
    drawn = [
        expected_rows(replace(world, calls=world.calls[:6]), now, tables=("metric_points",))["metric_points"]
        for world in (one, two, other)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


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


def test_uniform_world_has_the_points_that_benchmarks_rely_on() -> None:
    """A participant of 55 minutes has 660 points in each of five series, none of them on an edge."""
    world = uniform_world(date(2026, 3, 2), calls=2, people=1)
    expected = expected_rows(world, at(40))
    assert [row["points"] for row in expected["tracks"]] == [660, 2640, 660, 2640]
    first = [row["timestamp"] for row in expected["metric_points"] if row["call_id"].endswith("0000")]
    assert (min(first), max(first)) == (at(0, 0, 1), at(0, 54, 56))
    whole = uniform_world(date(2026, 3, 2))
    assert (len(whole.calls), {len(call.participants) for call in whole.calls}) == (80, {10})
    assert all(call.ended_at and call.ended_at < at(24) for call in whole.calls)


def test_odd_world_contains_every_oddity() -> None:
    """Everything that the odd world exists for is in it."""
    world = odd_world(DAY.date(), days=2)
    stays = [(call, stay) for call in world.calls for stay in call.participants]
    tracks = [track for _, stay in stays for track in stay.tracks]
    lengths = {(call.ended_at or at(72)) - call.started_at for call in world.calls}
    assert timedelta(minutes=30) in lengths
    assert max(lengths) > timedelta(days=1)
    assert any(call.ended_at and call.ended_at.date() > call.started_at.date() for call in world.calls)
    assert max(len(call.participants) for call in world.calls) > 100
    assert sum(call.started_at.date() == DAY.date() for call in world.calls) > 100
    assert any(call.ended_at is None for call in world.calls)
    assert any(not call.participants for call in world.calls)
    assert any(call.participants and not any(stay.tracks for stay in call.participants) for call in world.calls)
    users = Counter((call.ids, stay.user_id) for call, stay in stays)
    assert max(users.values()) == 3
    assert any(stay.joined_at == stay.left_at for _, stay in stays)
    assert any(stay.left_at is None and call.ended_at for call, stay in stays)
    assert any(stay.joined_at is None for _, stay in stays)
    assert any("/" in call.call_id and "#" in call.call_id for call in world.calls)
    assert {"audio", "video", "screensharing"} <= {track.track_type for track in tracks}
    assert any(track.codec is None for track in tracks)
    assert any(track.extra for track in tracks)
    assert any(len(track.warnings) > len(set(track.warnings)) for track in tracks)
    assert any(call.reports[1:] for call in world.calls)
    assert any(isinstance(track.points, Signal) and track.points.null_share for track in tracks)
    expected = expected_rows(world, at(60), tables=("metric_points",))["metric_points"]
    edges = [row["timestamp"] for row in expected if row["call_id"] == "on-the-edges"]
    assert edges == [at(11), at(11, 30), at(12)]
    assert len(expected) < 60_000


def test_demo_world_contains_its_stories() -> None:
    """A person can find the stories by SQL."""
    world = demo_world(DAY.date(), days=2)
    expected = expected_rows(world, at(24))
    per_day = Counter(row["session_date"] for row in expected["call_sessions"])
    assert len(per_day) == 3
    assert all(20 <= count <= 40 for count in per_day.values())
    points = Counter(row["session_date"] for row in expected["metric_points"])
    assert all(50_000 < count < 310_000 for count in points.values())
    stays = {row["user_session_id"]: row for row in expected["participant_sessions"]}
    rates: dict[str, list[float]] = {"cellular": [], "wifi": []}
    for row in expected["metric_points"]:
        network = stays[row["user_session_id"]]["network_type"]
        if row["metric"] == "framerate" and row["track_type"] == "video" and network in rates:
            rates[network].append(row["value"])
    means = {network: sum(values) / len(values) for network, values in rates.items()}
    assert means["cellular"] < 18 < 28 < means["wifi"]
    codes = Counter(row["code"] for row in expected["track_warnings"])
    assert set(codes) == {"high_packet_loss", "low_bandwidth", "video_frozen"}
    frozen = {row["user_session_id"] for row in expected["track_warnings"] if row["code"] == "video_frozen"}
    assert {stays[one]["client_version"] for one in frozen} == {"4.2.0"}
    crowd = max(expected["call_sessions"], key=lambda row: row["participants"])
    assert (crowd["call_type"], crowd["publishers"]) == ("livestream", 2)
    visits = Counter((row["call_session_id"], row["user_id"]) for row in expected["participant_sessions"])
    assert max(visits.values()) == 3


def test_worlds_can_be_added() -> None:
    """The sum of two worlds has the calls of both; the same call twice is refused."""
    one, two = small_world(), uniform_world(DAY.date(), 2, 1, seed=7)
    assert [call.ids for call in (one + two).calls] == [call.ids for call in (*one.calls, *two.calls)]
    with pytest.raises(ValueError, match="same ids"):
        _ = one + one


@pytest.mark.parametrize(
    "stays",
    [
        (StaySpec("ann", "1", at(10)), StaySpec("ann", "1", at(11))),
        (StaySpec("ann", "1", at(10), tracks=(TrackSpec("a"), TrackSpec("a"))),),
        (StaySpec("ann", "1", datetime(2026, 3, 2)),),  # noqa: DTZ001 - the missing zone is the point
    ],
)
def test_ambiguous_world_is_refused(stays: tuple[StaySpec, ...]) -> None:
    """Two stays or tracks with the same ids, or a time without a zone, are mistakes of the author."""
    with pytest.raises(ValueError, match=r"same ids|time zone"):
        World((CallSpec("default", "one", "s1", at(10), at(12), stays),))


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
