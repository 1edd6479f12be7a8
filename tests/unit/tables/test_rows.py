"""Rows grouped by stay: runs, windows, batches of whole stays, dictionaries."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import INSTANT
from pipeline.tables.rows import batches, number_runs, number_windows, optional_text, take_as_dictionary
from tests.support import at, examples


def test_runs_are_numbered_by_changes_in_any_column() -> None:
    """A value that comes again later starts a run of its own, and null equals null."""
    rows = pa.table({"a": ["x", "x", "y", "x", None, None], "b": [1, 1, 1, 1, 1, 2]})
    assert number_runs(rows, ("a",)).tolist() == [0, 0, 1, 2, 3, 3]
    assert number_runs(rows, ("a", "b")).tolist() == [0, 0, 1, 2, 3, 4]


def test_windows_are_numbered_by_stay_and_start() -> None:
    """The same start in another stay is another window, and the same window may come again."""
    since = pa.chunked_array([pa.array([at(10), at(11), at(10), at(10)], INSTANT)])
    assert number_windows(np.array([0, 0, 0, 1]), since).tolist() == [0, 1, 0, 2]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 50)), max_size=20), st.integers(1, 100))
@examples(100)
def test_batches_are_whole_stays_of_about_the_given_size(stays: list[tuple[int, int]], size: int) -> None:
    """Batches follow one another, never divide a stay, and exceed the size only if they have one stay."""
    stay = np.array([number for number, (rows, _) in enumerate(stays) for _ in range(rows)], dtype=np.int64)
    sizes = [body for rows, body in stays for _ in range(rows)]
    slices = list(batches(stay, pa.chunked_array([pa.array(sizes, pa.int64())]), size))
    assert [place for start, stop in slices for place in range(start, stop)] == list(range(len(stay)))
    for start, stop in slices:
        assert start == 0 or stay[start] != stay[start - 1]
        assert sum(sizes[start:stop]) <= size or len(set(stay[start:stop].tolist())) == 1


@pytest.mark.parametrize("values", [["a", "b", None, "a"], [None], []])
def test_take_as_dictionary_values_are_those_of_the_column(values: list[str | None]) -> None:
    """The dictionary has only the values that occur."""
    of = pa.array([place for place, _ in enumerate(values) for _ in range(2)], pa.int32())
    column = take_as_dictionary(pa.chunked_array([pa.array(values, pa.string())]), of)
    assert column.to_pylist() == [value for value in values for _ in range(2)]
    assert pa.types.is_dictionary(column.type)


def test_optional_text_is_null_for_a_negative_number() -> None:
    """Other numbers are the places of their texts."""
    assert optional_text(np.array([1, -1, 0]), ("a", "b")).to_pylist() == ["b", None, "a"]
