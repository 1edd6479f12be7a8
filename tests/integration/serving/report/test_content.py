"""What a report reads from the database: which call session is meant, and what is in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import FixSettings
from pipeline.serving.report import content
from pipeline.sql import read_statement, statement_names
from pipeline.warehouse.published import open_published
from tests.support.reports import read_call
from tests.support.small_world import SmallWorld, seconds


def test_find_takes_a_session_or_a_call_with_one(published: Callable[[], Path]) -> None:
    """Both name the only session that the call has."""
    with open_published(published()) as database:
        assert content.find(database, "s1") == content.find(database, "default:standup")


def test_find_lists_the_sessions_of_a_call_with_several(world: SmallWorld, published: Callable[[], Path]) -> None:
    """The newest are listed, in one sentence."""
    world.call("s2", started_at=seconds(7200))
    with (
        open_published(published()) as database,
        pytest.raises(
            FixSettings, match=r"names 2 call sessions; choose one: 's2' \('default:standup', .* UTC\), 's1'"
        ),
    ):
        content.find(database, "default:standup")


def test_find_suggests_similar_sessions_for_an_unknown_one(world: SmallWorld, published: Callable[[], Path]) -> None:
    """A typing error finds the session that was meant."""
    world.call("meeting-77", started_at=seconds(10))
    with open_published(published()) as database:
        with pytest.raises(FixSettings, match=r"no call session 'meeting-7'; there are 'meeting-77' "):
            content.find(database, "meeting-7")
        with pytest.raises(FixSettings, match=r"no call session 'zzz'; there are 'meeting-77' .*, 's1'"):
            content.find(database, "zzz")


def test_read_lists_the_users_for_an_unknown_one(published: Callable[[], Path]) -> None:
    """In the order of joining."""
    with pytest.raises(FixSettings, match=r"no user 'zoe' in call session 's1'; its users are 'ann', 'bob', 'cleo'$"):
        read_call(published(), "zoe")


def test_read_puts_the_worst_stay_first(published: Callable[[], Path]) -> None:
    """Poor, then good, then those who published nothing. The stays of a user are numbered."""
    found = read_call(published())
    assert [(stay.name, stay.quality["class"]) for stay in found.stays] == [
        ("ann", "poor"),
        ("bob (1 of 2)", "good"),
        ("bob (2 of 2)", "good"),
        ("cleo", "unclassified"),
    ]


def test_every_query_states_its_grain() -> None:
    """Each file begins with what one row is."""
    for name in set(statement_names("pipeline.serving.report")) - {"this_call"}:
        assert read_statement("pipeline.serving.report", name).startswith("-- Grain: one row"), name
