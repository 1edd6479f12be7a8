"""The view `track_minutes`: averages per minute."""

from __future__ import annotations

from tests.support.small_world import Query, SmallWorld, seconds


def test_interval_across_a_minute_is_shared(world: SmallWorld, query: Query) -> None:
    """10 from 55 s to 65 s, 40 from there to 75 s: 5 s in the first minute, 5 + 10 s in the next, mean 30."""
    world.track({"bitrate": [(55, 10), (65, 40), (75, 0)]})
    first, second = query("FROM track_minutes ORDER BY minute")
    assert (first["minute"], first["active_seconds"], first["bitrate_mean"]) == (seconds(0), 5, 10)
    assert (second["minute"], second["active_seconds"], second["bitrate_mean"]) == (seconds(60), 15, 30)
    assert (second["bitrate_min"], second["bitrate_max"]) == (0, 40)
    assert second["framerate_mean"] is None


def test_interval_over_several_minutes_counts_in_each(world: SmallWorld, query: Query) -> None:
    """Points at 30 s and 210 s: 30, 60, 60 and 30 s."""
    world.track({"bitrate": [(30, 1), (210, 1)]})
    found = query("FROM track_minutes ORDER BY minute")
    assert [row["active_seconds"] for row in found] == [30, 60, 60, 30]


def test_interval_that_ends_with_its_minute_adds_no_other(world: SmallWorld, query: Query) -> None:
    """Points at 50 and 60 s: the second minute has a point, but no time and so no mean."""
    world.track({"bitrate": [(50, 1), (60, 2)]})
    assert [(row["active_seconds"], row["bitrate_mean"]) for row in query("FROM track_minutes ORDER BY minute")] == [
        (10, 1),
        (0, None),
    ]
