"""The view `quality_by_segment`: shares of poor tracks, with their intervals."""

from __future__ import annotations

import pytest

from tests.support.small_world import Query, SmallWorld, only, steady


def test_segments_show_n_and_wilson_intervals(world: SmallWorld, query: Query) -> None:
    """1 poor of 4 judged: share 0.25, 95 % interval 0.0456 to 0.6994 (z = 1.96). A fifth one is not judged.

    Camera time: 60 s at 5, 180 s at 30, 10 s at 30 frames: 5 % of 250 s are 12.5 s, all at 5.
    """
    world.rows["participant_sessions"].clear()
    client = {"network_type": "wifi", "country": "Norway", "client_name": "chrome", "client_version": "1"}
    for number, points in enumerate([steady(0, 60, framerate=5), *[steady(0, 60)] * 3, steady(0, 10)]):
        world.stay(f"user-{number}", **client)
        world.track(points, user_id=f"user-{number}")
    segment = only(query("FROM quality_by_segment"))
    assert {name: segment[name] for name in client} == client
    assert (segment["codec"], segment["tracks"], segment["n"], segment["poor"]) == ("vp8", 5, 4, 1)
    assert segment["poor_share"] == 0.25
    assert segment["poor_share_low"] == pytest.approx(0.0456, abs=1e-4)
    assert segment["poor_share_high"] == pytest.approx(0.6994, abs=1e-4)
    assert segment["framerate_p5"] == 5


def test_segment_without_a_judged_track_has_no_share(world: SmallWorld, query: Query) -> None:
    """It shows an n of 0 and no share. Unknown clients are a segment too."""
    world.track(steady(0, 60, framerate=None), kind="audio", codec="opus")
    segment = only(query("FROM quality_by_segment"))
    assert (segment["n"], segment["poor_share"], segment["poor_share_low"]) == (0, None, None)
    assert (segment["network_type"], segment["framerate_p5"], segment["active_seconds"]) == (None, None, 60)
