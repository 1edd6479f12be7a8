"""The view `participant_quality`: how one person's media was."""

from __future__ import annotations

from tests.support.small_world import Query, SmallWorld, both, only, seconds, steady


def test_participant_is_as_good_as_the_worst_track(world: SmallWorld, query: Query) -> None:
    """A good camera, a poor screen share, and a microphone without a rule."""
    world.track(steady(0, 60), track="cam")
    world.track(steady(0, 60, framerate=1), track="screen", kind="screenshare")
    world.track(steady(0, 60, framerate=None), track="mic", kind="audio")
    person = only(query("FROM participant_quality"))
    assert (person["class"], person["tracks"], person["poor_tracks"]) == ("poor", 3, 1)
    assert (person["worst_track_id"], person["worst_track_kind"]) == ("screen", "screen_share")
    assert (person["poor_due_to"], person["worst_low_framerate_share"]) == ("low framerate", 1)


def test_first_media_needs_a_bitrate(world: SmallWorld, query: Query) -> None:
    """The camera has a point at 2 s but sends at 7 s; the microphone sends at 4 s."""
    world.track({"bitrate": [(2, 0), (7, 1), (12, 1)]}, track="cam")
    world.track({"bitrate": [(4, 1), (9, 1)]}, track="mic", kind="audio")
    person = only(query("FROM participant_quality"))
    assert (person["first_media_at"], person["join_to_first_media_seconds"]) == (seconds(4), 4)


def test_published_seconds_count_time_once(world: SmallWorld, query: Query) -> None:
    """Camera 0 to 30 s, microphone 20 to 45 s, camera again 50 to 60 s with a gap of 20 s (5 s of it a step).

    0 to 45 s and 50 to 60 s: 55 s.
    """
    world.track(both(steady(0, 30), steady(50, 60)), track="cam")
    world.track(steady(20, 45, framerate=None), track="mic", kind="audio")
    assert only(query("FROM participant_quality"))["published_seconds"] == 55


def test_listener_has_a_row_and_is_unclassified(world: SmallWorld, query: Query) -> None:
    """Someone who published nothing has a row, and is not a publisher."""
    person = only(query("FROM participant_quality"))
    assert (person["class"], person["tracks"], person["published_seconds"]) == ("unclassified", 0, 0)
    assert only(query("FROM call_quality"))["publishers"] == 0
