"""The view `call_quality`: publishers, people, and what happened at the same time."""

from __future__ import annotations

import pytest

from tests.support.small_world import Query, SmallWorld, both, only, seconds, steady


def test_call_counts_publishers_and_the_peak_of_low_ones(world: SmallWorld, query: Query) -> None:
    """Ann low 0 to 60 s on two tracks, bob 40 to 60 s, cat never: peak 2 from 40 s. Dan is not judged.

    Poor: ann (all of the time) and bob (20 of 60 s); good: cat. Share 2 / 3, score 100 × 1 / 3.
    """
    world.track(steady(0, 60, framerate=5), track="cam")
    world.track(steady(0, 60, framerate=1), track="screen", kind="screenshare")
    for user, points in {
        "bob": both(steady(0, 39, 1), steady(40, 60, 1, framerate=5)),
        "cat": steady(0, 60),
        "dan": steady(0, 10),
    }.items():
        world.stay(user)
        world.track(points, user_id=user)
    world.rows["call_sessions"][0]["cq_score"] = 70
    call = only(query("FROM call_quality"))
    assert (call["publishers"], call["poor_publishers"], call["good_publishers"]) == (4, 2, 1)
    assert (call["unclassified_publishers"], call["poor_share"]) == (1, pytest.approx(2 / 3))
    assert (call["peak_publishers_low"], call["peak_publishers_low_at"]) == (2, seconds(40))
    assert (call["quality_score"], call["cq_score"]) == (pytest.approx(100 / 3), 70)


def test_low_publishers_one_after_the_other_are_not_a_peak(world: SmallWorld, query: Query) -> None:
    """Ann is low until 30 s, bob from 30 s: never two at once."""
    world.track(both(steady(0, 29, 1, framerate=5), steady(30, 60, 1)))
    world.stay("bob")
    world.track(both(steady(0, 29, 1), steady(30, 60, 1, framerate=5)), user_id="bob")
    assert only(query("FROM call_quality"))["peak_publishers_low"] == 1


def test_rejoins_are_counted_and_second_devices_are_not(world: SmallWorld, query: Query) -> None:
    """Ann is away from 60 to 70 s and from 80 to 110 s; bob's second stay overlaps his first."""
    world.stay("ann", 70, 80, user_session_id="ann-2")
    world.stay("ann", 110, 120, user_session_id="ann-3")
    world.stay("bob", 0, 60, user_session_id="bob-1")
    world.stay("bob", 30, 90, user_session_id="bob-2")
    call = only(query("FROM call_quality"))
    assert (call["users"], call["user_sessions"], call["user_sessions_per_user"]) == (2, 5, 2.5)
    assert (call["rejoins"], call["rejoin_gap_seconds_p50"], call["rejoin_gap_seconds_max"]) == (2, 20, 30)
