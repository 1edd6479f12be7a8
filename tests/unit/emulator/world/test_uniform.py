"""The uniform world."""

from __future__ import annotations

from datetime import date

from pipeline.emulator import expected_rows, uniform_world
from tests.support.emulator_reader import at


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
