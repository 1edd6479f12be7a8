"""The timeline: the bars of stays, and their ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.serving import report
from tests.support.reports import NOW, figures_of, text_of
from tests.support.small_world import SmallWorld


def test_missing_instants_are_marked_unknown(world: SmallWorld, published: Callable[[], Path]) -> None:
    """A stay without joining and leaving is drawn from its data, with another mark than an edge."""
    world.rows["participant_sessions"].clear()
    world.stay("ann", until=None)
    world.rows["participant_sessions"][0]["joined_at"] = None
    made = report.make(published(), "s1", "ann", NOW)
    names = [trace["name"] for trace in figures_of(made)["timeline"]["data"]]
    assert "start or end unknown" in names
    assert "joined, left" not in names
    assert "Joined unknown Left unknown" in text_of(made)
