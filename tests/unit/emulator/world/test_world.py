"""Worlds: reproducible, consistent, and added to each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from pipeline.emulator import CallSpec, StaySpec, TrackSpec, World, demo_world, expected_rows, odd_world, uniform_world
from tests.support.emulator_reader import DAY, at, small_world

MAKERS = {
    "odd": lambda seed: odd_world(DAY.date(), 2, seed, 0.1),
    "demo": lambda seed: demo_world(DAY.date(), 1, seed),
    "uniform": lambda seed: uniform_world(DAY.date(), 3, 2, seed=seed),
}


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
