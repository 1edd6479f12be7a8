"""Data points of any responses are those of a slow reference that anyone can check."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import METRICS
from pipeline.tables.points import TOLERANCE, UNITS
from tests.support import examples
from tests.support.points import BEGIN, PER_SECOND, SECOND, WIDTH, Pair, ResponseTracks, Result, Track, explode, times


def reference(responses: list[ResponseTracks]) -> Result:
    """Return the points of responses in the order in which they came, with dictionaries and loops."""
    points: dict[tuple[Any, ...], tuple[float, str | None]] = {}
    windows: dict[int, set[tuple[Any, ...]]] = {response.window: set() for response in responses}
    units, suspects = [], []
    for response in responses:
        pairs = [
            (track, metric, pair)
            for track in response.tracks
            for metric, series in track.series.items()
            for pair in series or ()
            if pair is not None
        ]
        times = [pair[0] for _, _, pair in pairs if pair[0] is not None]
        found = [_unit(time) for time in times]
        unit = max(found, default=-1)
        scale = 10**6 / PER_SECOND[UNITS[max(unit, 0)]]
        suspect = (
            response.unreadable
            or any(pair[0] is None and pair[1] is not None for _, _, pair in pairs)
            or len(set(found)) > 1
            or any(not response.since - TOLERANCE <= time * scale <= response.until + TOLERANCE for time in times)
        )
        units.append(unit)
        suspects.append(suspect)
        for track, metric, (time, value) in [] if suspect else pairs:
            if time is not None and value is not None:
                key = (response.stay, track.track_id, track.track_type, metric, round(time * scale))
                points[key] = (value, track.codec)
                windows[response.window].add(key)
    rows = [(*key, *value) for key, value in sorted(points.items(), key=lambda item: _order(item[0]))]
    return Result(rows, units, suspects, [len(windows[window]) for window in sorted(windows)])


def _unit(time: float) -> int:
    return sum(abs(time) >= limit for limit in (1e11, 1e14, 1e17))


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    stay, track_id, track_type, metric, time = key
    return stay, track_id is None, track_id or "", track_type is None, track_type or "", METRICS.index(metric), time


@st.composite
def histories(draw: st.DrawFn) -> list[ResponseTracks]:
    """Draw responses about two stays of up to three windows each, some of them requested several times."""
    unit = draw(st.sampled_from(["s", "float_s", "ms", "us", "ns"]))
    step = {"s": SECOND, "ms": 1000}.get(unit, 1)
    # Few instants, so that responses share many: edges of windows, some inside, some just within the tolerance.
    offsets = [0, 1, 2, 900, 1799, 1800, 3600, 5400, 5430]
    fractions = st.sampled_from([0, 1, 999_999]) if step == 1 else st.sampled_from([0, step]).map(lambda x: x % SECOND)
    instants = st.builds(lambda second, part: second * SECOND + part, st.sampled_from(offsets), fractions)
    names = st.sampled_from(
        [("a", "audio", "opus"), ("v", "video", "vp8"), ("v", "video", "h264"), ("v", "screen", None)]
    )
    odd_names = st.tuples(*[st.sampled_from([None, "a", "v", "ż"])] * 3)
    responses = []
    window_numbers: dict[tuple[int, int], int] = {}
    for stay in range(draw(st.integers(1, 2))):
        parts = draw(st.lists(st.integers(0, 2), min_size=1, max_size=4))
        for part in sorted(set(parts)):
            window_numbers[stay, part] = len(window_numbers)
        for part in parts:
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
            fault = draw(st.sampled_from([None] * 6 + ["shifted", "no time", "other unit", "unreadable"]))
            if fault and tracks:
                faulty: dict[str, Pair] = {
                    "shifted": (times(unit, since + WIDTH + TOLERANCE + SECOND), 1.0),
                    "no time": (None, 1.0),
                    "other unit": (times("ms" if unit in ("s", "float_s") else "s", since), 1.0),
                    "unreadable": None,
                }
                tracks[0].series["bitrate"] = [*(tracks[0].series["bitrate"] or []), faulty[fault]]
            responses.append(
                ResponseTracks(
                    stay,
                    window_numbers[stay, part],
                    tracks,
                    BEGIN + since,
                    BEGIN + since + WIDTH,
                    fault == "unreadable",
                )
            )
    return responses


@given(histories())
@examples(100)
def test_points_are_those_of_the_reference(responses: list[ResponseTracks]) -> None:
    """They agree for any units, nulls, repetitions, disorder, changes of codec and suspect responses."""
    assert explode(responses) == reference(responses)
