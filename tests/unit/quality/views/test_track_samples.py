"""The view `track_samples`, and the intervals that all views weigh by."""

from __future__ import annotations

import pytest

from tests.support.small_world import Query, SmallWorld, only, seconds


def test_interval_runs_to_next_point_and_last_point_has_none(world: SmallWorld, query: Query) -> None:
    """Points at 0, 5 and 15 s count for 5, 10 and 0 s; the mean weighs 10 and 40 with 5 and 10: 450 / 15 = 30."""
    world.track({"bitrate": [(0, 10), (5, 40), (15, 1000)]})
    assert [row["interval_seconds"] for row in query("FROM track_samples ORDER BY timestamp")] == [5, 10, 0]
    quality = only(query("FROM track_quality"))
    assert (quality["active_seconds"], quality["step_seconds"], quality["bitrate_mean"]) == (15, 5, 30)


def test_interval_of_more_than_three_median_steps_counts_as_one_step(world: SmallWorld, query: Query) -> None:
    """Steps 5, 5, 15, 16, 5: the median is 5. 15 is not a gap; 16 is one: it counts as 5, and 11 are missing.

    Active: 5 + 5 + 15 + 5 + 5 = 35 of 60 s, and of the 46 s from first to last point.
    """
    world.track({"bitrate": [(instant, 1) for instant in (0, 5, 10, 25, 41, 46)]})
    assert [row["interval_seconds"] for row in query("FROM track_samples ORDER BY timestamp")] == [5, 5, 15, 5, 5, 0]
    quality = only(query("FROM track_quality"))
    assert (quality["active_seconds"], quality["gaps"], quality["longest_gap_seconds"]) == (35, 1, 11)
    assert quality["coverage"] == pytest.approx(35 / 60)
    assert quality["span_coverage"] == pytest.approx(35 / 46)


def test_track_with_changed_codec_is_one_track(world: SmallWorld, query: Query) -> None:
    """vp8 for 30 s, then h264. At 30 s one response had the bitrate, another the frame rate: that is one instant."""
    world.track({"bitrate": [(instant, 1) for instant in range(0, 31, 5)]}, codec="vp8")
    world.track(
        {
            "bitrate": [(instant, 3) for instant in range(35, 61, 5)],
            "framerate": [(instant, 30) for instant in range(30, 61, 5)],
        },
        codec="h264",
    )
    samples = query("SELECT timestamp, bitrate, framerate, interval_seconds FROM track_samples ORDER BY timestamp")
    assert [row["timestamp"] for row in samples] == [seconds(instant) for instant in range(0, 61, 5)]
    assert [row["interval_seconds"] for row in samples] == [5] * 12 + [0]
    assert (samples[6]["bitrate"], samples[6]["framerate"]) == (1, 30)
    quality = only(query("FROM track_quality"))
    assert (quality["codec"], quality["active_seconds"], quality["framerate_seconds"]) == ("h264", 60, 30)
    assert quality["bitrate_mean"] == pytest.approx((35 * 1 + 25 * 3) / 60)
    assert sum(row["active_seconds"] for row in query("FROM track_minutes")) == 60
