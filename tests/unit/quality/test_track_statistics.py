"""Statistics per track: the example of the module, and rules that hold for any points."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.quality.track_statistics import compute_track_statistics
from pipeline.warehouse.pivot import pivot_to_samples
from tests.support import DAY, at, examples
from tests.support.small_world import SmallWorld


def test_example_of_the_module() -> None:
    """The docstring of `track_statistics` is right: step, active seconds, a gap, mean, percentiles and spans."""
    world = SmallWorld()
    instants, values = (0, 5, 10, 15, 45, 50), (800_000, 800_000, 800_000, 800_000, 1_600_000, 1_600_000)
    world.track({"bitrate": [(36_000 + after, value) for after, value in zip(instants, values, strict=True)]})
    (chunk,) = world.chunks("metric_points", DAY, dictionaries=[*world.rows["metric_points"][0]])
    found = compute_track_statistics(*pivot_to_samples(chunk, 0))
    assert found.samples.column("interval_seconds").to_pylist() == [5, 5, 5, 5, 5, 0]
    (row,) = found.statistics.to_pylist()
    assert {name: row[name] for name in ("step_seconds", "active_seconds", "gaps", "longest_gap_seconds")} == {
        "step_seconds": 5,
        "active_seconds": 25,
        "gaps": 1,
        "longest_gap_seconds": 25,
    }
    assert (row["bitrate_mean"], row["bitrate_p5"], row["bitrate_p95"]) == (960_000, 800_000, 1_600_000)
    assert [(span["since"], span["until"]) for span in found.spans.to_pylist()] == [
        (at(10), at(10, 0, 20)),
        (at(10, 0, 45), at(10, 0, 50)),
    ]


VALUES = st.one_of(st.none(), st.floats(0, 90).map(lambda value: round(value, 2)))


@st.composite
def tracks(draw: st.DrawFn) -> list[dict[str, list[tuple[float, float]]]]:
    """Draw some tracks of at most an hour: any instants, each with some of the metrics."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        steps = draw(st.lists(st.sampled_from([1, 2, 5, 5, 5, 15, 16, 60, 300]), min_size=1, max_size=12))
        instants = np.cumsum(steps).tolist()
        found.append(
            {
                metric: [(instant, value) for instant in instants if (value := draw(VALUES)) is not None]
                for metric in ("bitrate", "framerate", "resolution_width", "resolution_height")
            }
        )
    return found


def statistics_of(given_tracks: list[dict[str, list[tuple[float, float]]]]) -> list[dict[str, Any]]:
    world = SmallWorld()
    for number, points in enumerate(given_tracks):
        world.track(points, track=f"track-{number}")
    (chunk,) = world.chunks("metric_points", DAY, dictionaries=[*world.rows["metric_points"][0]])
    known = compute_track_statistics(*pivot_to_samples(chunk, 0))
    assert known.statistics.num_rows == sum(any(points.values()) for points in given_tracks)
    return known.statistics.to_pylist()


@examples(100)
@given(tracks())
def test_statistics_keep_their_bounds(given_tracks: list[dict[str, list[tuple[float, float]]]]) -> None:
    """Time never exceeds the span of the points. Means and percentiles are between the lowest and highest value."""
    given_tracks = [points for points in given_tracks if any(points.values())]
    if not given_tracks:
        return
    for points, known in zip(given_tracks, statistics_of(given_tracks), strict=True):
        instants = sorted({instant for series in points.values() for instant, _ in series})
        assert 0 <= known["active_seconds"] <= instants[-1] - instants[0]
        for metric in ("bitrate", "framerate"):
            values = [value for _, value in points[metric]]
            assert known[f"{metric}_seconds"] <= instants[-1] - instants[0]
            if known[f"{metric}_seconds"] > 0:
                percentiles = [known[f"{metric}_p{percent}"] for percent in (5, 50, 95)]
                assert percentiles == sorted(percentiles)
                assert set(percentiles) <= set(values)
                assert min(values) - 1e-9 <= known[f"{metric}_mean"] <= max(values) + 1e-9
            else:
                assert known[f"{metric}_mean"] is None
        assert sum(known["framerate_histogram"]) == pytest.approx(known["framerate_seconds"])
        assert sum(seconds for _, seconds in known["height_seconds"]) == pytest.approx(known["resolution_seconds"])
        assert 0 <= known["downscaled_seconds"] <= known["resolution_seconds"]
        assert known["send_stall_seconds"] <= known["framerate_seconds"]


@examples(100)
@given(tracks())
def test_statistics_equal_those_of_plain_python(given_tracks: list[dict[str, list[tuple[float, float]]]]) -> None:
    """The same definitions in slow, plain Python give the same numbers."""
    given_tracks = [points for points in given_tracks if any(points.values())]
    if not given_tracks:
        return
    for points, known in zip(given_tracks, statistics_of(given_tracks), strict=True):
        instants = sorted({instant for series in points.values() for instant, _ in series})
        of_bitrate = [instant for instant, _ in points["bitrate"]]
        step = lower_median_step(of_bitrate) or lower_median_step(instants)
        assert known["step_seconds"] == step
        held = dict(zip(instants, intervals(instants, step), strict=True))
        assert known["active_seconds"] == sum(held.values())
        assert known["gaps"] == sum(b - a > 3 * (step or 0) for a, b in pairwise(instants))
        framerates = points["framerate"]
        time = intervals([instant for instant, _ in framerates], step)
        assert known["framerate_seconds"] == sum(time)
        under_seven = sum(t for t, (_, value) in zip(time, framerates, strict=True) if value < 7)
        assert sum(known["framerate_histogram"][:7]) == pytest.approx(under_seven)
        ordered = sorted((value, t) for t, (_, value) in zip(time, framerates, strict=True))
        for percent in (5, 50, 95):
            assert known[f"framerate_p{percent}"] == weighted_percentile(ordered, percent)


def lower_median_step(instants: list[float]) -> float | None:
    steps = sorted(b - a for a, b in pairwise(instants))
    return steps[(len(steps) - 1) // 2] if steps else None


def intervals(instants: list[float], step: float | None) -> list[float]:
    found = [b - a if b - a <= 3 * (step or 0) else step or 0 for a, b in pairwise(instants)]
    return [*found, 0][: len(instants)]


def weighted_percentile(ordered: list[tuple[float, float]], percent: int) -> float | None:
    total, running = sum(weight for _, weight in ordered), 0.0
    for value, weight in ordered:
        running += weight
        if total > 0 and running * 100 >= total * percent:
            return value
    return None
