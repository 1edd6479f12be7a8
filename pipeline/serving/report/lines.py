"""A metric as a line to draw: broken at gaps, and thinned to what a chart can show.

The rule for a gap is that of `quality.track_statistics`: the next point is more than three median steps of the track
away. A point counts until the next one; before a gap it counts for one step. How lines are drawn is in `stay_chart`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.quality.track_statistics import GAP_STEPS

__all__ = ["MAX_COLUMNS", "MAX_UNTHINNED_POINTS", "Line", "line"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_COLUMNS = 600
"""Columns that a chart can show. A thinned line keeps the first, lowest, highest and last point of each."""

MAX_UNTHINNED_POINTS = 1500
"""Lines with more points are thinned."""


@dataclass(frozen=True)
class Line:
    """A line that is drawn in steps: each value holds until the next instant.

    Attributes:
        instants: milliseconds since 1970 (UTC).
        values: the value from each instant; NaN where the line breaks.
        alone: positions of points without a neighbour, which no line would show.
        points: points of the metric.
        kept: points that are drawn; fewer if the line is thinned.
    """

    instants: Ints
    values: Floats
    alone: Ints
    points: int
    kept: int


def line(instants: Ints, values: Floats, step_seconds: float | None) -> Line:
    """Return the line of one metric of a track.

    `instants` are microseconds since 1970 (UTC), in order. `values` is NaN at instants without a point. `step_seconds`
    is the median step of the track; None if it has only one point.
    """
    has_value = ~np.isnan(values)
    instants, values = instants[has_value], values[has_value]
    count = len(instants)
    step = round((step_seconds or 0) * 1e6)
    gap = np.append(np.diff(instants) > GAP_STEPS * step, True)[:count]
    kept = _kept(instants, values)
    # The line breaks after a kept point if a gap comes before the next kept one. `ends` is the last point before it.
    gaps = np.flatnonzero(gap)
    ends = gaps[np.searchsorted(gaps, kept)] if count else gaps
    breaks = ends < np.append(kept[1:], count)
    # The last point of all counts for no time.
    held = instants[ends] + np.where(ends < count - 1, step, 0)
    # Each break adds two rows after its point: the end of its time, and a NaN.
    rows = [instants[kept], held[breaks], held[breaks]]
    heights = [values[kept], values[kept][breaks], np.full(breaks.sum(), np.nan)]
    order = np.argsort(np.concatenate([kept * 3, kept[breaks] * 3 + 1, kept[breaks] * 3 + 2]), kind="stable")
    begins = np.append(True, breaks[:-1])[: len(kept)]
    positions = np.arange(len(kept)) + 2 * np.append(0, np.cumsum(breaks))[: len(kept)]
    return Line(
        np.concatenate(rows)[order] // 1000,
        np.concatenate(heights)[order],
        positions[begins & breaks],
        count,
        len(kept),
    )


def _kept(instants: Ints, values: Floats) -> Ints:
    """Return the positions of the points to draw: all, or the first, lowest, highest and last of each column."""
    count = len(instants)
    if count <= MAX_UNTHINNED_POINTS:
        return np.arange(count)
    span = int(instants[-1] - instants[0]) + 1
    column = (instants - instants[0]) * MAX_COLUMNS // span
    first = np.flatnonzero(np.diff(column, prepend=-1))
    last = np.append(first[1:], count) - 1
    by_value = np.lexsort((values, column))  # sorted within each column, so that columns keep their positions
    return np.unique(np.concatenate([first, by_value[first], by_value[last], last]))
