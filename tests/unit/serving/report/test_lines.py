"""Lines: dots for points alone, and long lines thinned without losing extremes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.quality.track_statistics import GAP_STEPS
from pipeline.serving.report.lines import MAX_COLUMNS, MAX_UNTHINNED_POINTS, line
from tests.support import examples


def test_point_without_neighbours_is_a_dot() -> None:
    """Five points, the third far from all others: a line of two, a dot, a line of two."""
    instants = np.array([0, 5, 100, 200, 205]) * 1_000_000
    drawn = line(instants, np.array([1.0, 2, 3, 4, 5]), 5)
    assert drawn.values[drawn.alone].tolist() == [3]
    assert [value for value in drawn.values.tolist() if value == value] == [1, 2, 2, 3, 3, 4, 5, 5]


@pytest.mark.parametrize("step", [None, 5.0])
def test_metric_without_points_has_no_line(step: float | None) -> None:
    """Neither no point nor only points without a value make a line."""
    for values in (np.array([]), np.array([np.nan, np.nan])):
        drawn = line(np.arange(len(values)), values, step)
        assert (drawn.points, len(drawn.instants), len(drawn.alone)) == (0, 0, 0)


@given(st.integers(0, 2**32))
@examples(20)
def test_long_line_keeps_the_extremes_of_every_column(seed: int) -> None:
    """Each column keeps its lowest and highest value, no stretch reaches into a gap, and the line has a bound."""
    random = np.random.default_rng(seed)
    count = MAX_UNTHINNED_POINTS + int(random.integers(1, 3000))
    instants = np.cumsum(random.integers(1, 40, count)) * 1_000_000
    values = random.integers(0, 10, count).astype(float)
    drawn = line(instants, values, 10)
    assert drawn.kept <= 4 * MAX_COLUMNS
    shown = {}
    for instant, value in zip(drawn.instants.tolist(), drawn.values.tolist(), strict=True):
        if value == value:
            shown.setdefault(instant, set()).add(value)
    column = (instants - instants[0]) * MAX_COLUMNS // (instants[-1] - instants[0] + 1)
    for number in set(column.tolist()):
        mine = np.flatnonzero(column == number)
        drawn_values = [value for place in mine for value in shown.get(instants[place] // 1000, ())]
        assert (min(drawn_values), max(drawn_values)) == (values[mine].min(), values[mine].max())
    gaps = np.flatnonzero(np.diff(instants) > GAP_STEPS * 10_000_000)
    drawn_here = ~np.isnan(drawn.values[:-1]) & ~np.isnan(drawn.values[1:])
    since, until = drawn.instants[:-1][drawn_here], drawn.instants[1:][drawn_here]
    for begin, end in zip(instants[gaps] // 1000 + 10_000, instants[gaps + 1] // 1000, strict=True):
        assert not ((since < end) & (until > begin)).any()
