"""Which call session and which user are meant by what somebody typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import FixSettings
from pipeline.serving import report
from pipeline.serving.report.find import find_session
from pipeline.warehouse.published import open_published
from tests.support.reports import NOW
from tests.support.small_world import SmallWorld, seconds


def test_find_takes_a_session_or_a_call_with_one(published: Callable[[], Path]) -> None:
    """Both name the only session that the call has."""
    with open_published(published()) as database:
        assert find_session(database, "s1") == find_session(database, "default:standup")


def test_find_lists_the_sessions_of_a_call_with_several(world: SmallWorld, published: Callable[[], Path]) -> None:
    """The newest are listed, in one sentence."""
    world.call("s2", started_at=seconds(7200))
    with (
        open_published(published()) as database,
        pytest.raises(
            FixSettings, match=r"names 2 call sessions; choose one: 's2' \('default:standup', .* UTC\), 's1'"
        ),
    ):
        find_session(database, "default:standup")


def test_find_suggests_similar_sessions_for_an_unknown_one(world: SmallWorld, published: Callable[[], Path]) -> None:
    """A typing error finds the session that was meant."""
    world.call("meeting-77", started_at=seconds(10))
    with open_published(published()) as database:
        with pytest.raises(FixSettings, match=r"no call session 'meeting-7'; there are 'meeting-77' "):
            find_session(database, "meeting-7")
        with pytest.raises(FixSettings, match=r"no call session 'zzz'; there are 'meeting-77' .*, 's1'"):
            find_session(database, "zzz")


def test_unknown_user_is_told_the_known_ones(published: Callable[[], Path]) -> None:
    """In the order of joining."""
    with pytest.raises(FixSettings, match=r"no user 'zoe' in call session 's1'; its users are 'ann', 'bob', 'cleo'$"):
        report.make(published(), "s1", "zoe", NOW)
