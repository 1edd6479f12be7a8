"""What a report reads from the database of one call session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.sql import read_statement, statement_names
from tests.support.reports import read_call
from tests.support.small_world import IDS, SmallWorld, seconds


def test_read_puts_the_worst_stay_first(published: Callable[[], Path]) -> None:
    """Poor, then good, then those who published nothing. The stays of a user are numbered."""
    found = read_call(published())
    assert [(stay.name, stay.quality["class"]) for stay in found.stays] == [
        ("ann", "poor"),
        ("bob (1 of 2)", "good"),
        ("bob (2 of 2)", "good"),
        ("cleo", "unclassified"),
    ]


def test_windows_of_one_state_that_follow_one_another_are_one_stretch(
    world: SmallWorld, published: Callable[[], Path]
) -> None:
    """A window of another state, and one after a pause, begin a new stretch."""
    ids = {"user_id": "ann", "user_session_id": "ann"}
    for state, since, until in (
        ("failed", 0, 100),
        ("failed", 100, 200),
        ("missing", 200, 300),
        ("missing", 400, 500),
        ("landed", 500, 600),
    ):
        world.rows["windows"].append(IDS | ids | {"state": state, "since": seconds(since), "until": seconds(until)})
    ann = read_call(published()).stays[0]
    assert [(lost.state, lost.since, lost.until) for lost in ann.lost_time] == [
        ("failed", seconds(0), seconds(200)),
        ("missing", seconds(200), seconds(300)),
        ("missing", seconds(400), seconds(500)),
    ]


def test_every_query_states_its_grain() -> None:
    """Each file begins with what one row is."""
    for name in set(statement_names("pipeline.serving.report")) - {"this_call"}:
        assert read_statement("pipeline.serving.report", name).startswith("-- Grain: one row"), name
