"""The figures of a page, as Plotly takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go

from pipeline.serving import report
from tests.support.reports import NOW, figures_of, lose_a_window
from tests.support.small_world import SmallWorld


def test_plotly_accepts_every_figure(world: SmallWorld, published: Callable[[], Path]) -> None:
    """Its own validation finds nothing unknown in any figure."""
    lose_a_window(world)
    figures = figures_of(report.make(published(), "s1", None, NOW))
    assert set(figures) == {"timeline", "stay-1", "stay-2", "stay-3"}
    for figure in figures.values():
        go.Figure(figure)
