"""Points of a metric as a line to draw: broken where there is no data, and no longer than a page can bear.

The rule for a gap is that of the views (`track_statistics.py`): more than three median steps of the track to the next
point. A point counts until the next one, before a gap for one step. Nothing here knows of charts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.quality.track_statistics import GAP_STEPS

__all__ = ["COLUMNS", "FULL", "Line", "line"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

COLUMNS = 600
"""Columns that a chart can tell apart. Of a longer line each keeps its first, least, greatest and last point."""
FULL = 1500
"""Points up to which a line is kept whole."""


@dataclass(frozen=True)
class Line:
    """Instants in milliseconds since 1970 and values, NaN where the line breaks. It is drawn in steps: a value holds
    until the next one. `alone` are the places of points without a neighbour, which no line would show.
    """

    instants: Ints
    values: Floats
    alone: Ints
    points: int
    kept: int


def line(instants: Ints, values: Floats, step_seconds: float | None) -> Line:
    """The line of one metric; `instants` in microseconds, in order, with NaN in `values` where it has no point."""
    has_value = ~np.isnan(values)
    instants, values = instants[has_value], values[has_value]
    count = len(instants)
    step = round((step_seconds or 0) * 1e6)
    gap = np.append(np.diff(instants) > GAP_STEPS * step, True)[:count]
    kept = _kept(instants, values)
    # the first gap at or after each point that is kept, where one comes before the next of them
    gaps = np.flatnonzero(gap)
    ends = gaps[np.searchsorted(gaps, kept)] if count else gaps
    breaks = ends < np.append(kept[1:], count)
    # the last point of all counts for no time
    held = instants[ends] + np.where(ends < count - 1, step, 0)
    rows = [instants[kept], held[breaks], held[breaks]]
    heights = [values[kept], values[kept][breaks], np.full(breaks.sum(), np.nan)]
    order = np.argsort(np.concatenate([kept * 3, kept[breaks] * 3 + 1, kept[breaks] * 3 + 2]), kind="stable")
    begins = np.append(True, breaks[:-1])[: len(kept)]
    places = np.arange(len(kept)) + 2 * np.append(0, np.cumsum(breaks))[: len(kept)]
    return Line(
        np.concatenate(rows)[order] // 1000,
        np.concatenate(heights)[order],
        places[begins & breaks],
        count,
        len(kept),
    )


def _kept(instants: Ints, values: Floats) -> Ints:
    """Places of the points to draw: all of them, or of each column its first, least, greatest and last."""
    count = len(instants)
    if count <= FULL:
        return np.arange(count)
    span = int(instants[-1] - instants[0]) + 1
    column = (instants - instants[0]) * COLUMNS // span
    first = np.flatnonzero(np.diff(column, prepend=-1))
    last = np.append(first[1:], count) - 1
    by_value = np.lexsort((values, column))  # the columns keep their places
    return np.unique(np.concatenate([first, by_value[first], by_value[last], last]))
