"""Reading an object by ranges."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.ranged import TAIL_BYTES, RangedFile
from tests.support import examples

CONTENT = bytes(range(251)) * 1_000


@given(
    st.lists(st.tuples(st.integers(0, len(CONTENT) + 5), st.integers(-1, 70_000)), max_size=8), st.integers(0, 90_000)
)
@examples(60)
def test_ranges_are_those_of_a_file(reads: list[tuple[int, int]], known: int) -> None:
    """Whatever is read, in whatever order, is what a file of the same content gives."""
    file = io.BytesIO(CONTENT)
    tail = CONTENT[-known:] if known else None
    ranged = RangedFile(len(CONTENT), lambda start, end: CONTENT[start:end], tail)
    for place, size in reads:
        assert ranged.seek(place) == file.seek(place)
        assert ranged.read(size) == file.read(size)
        assert ranged.tell() == file.tell()


def test_small_object_is_fetched_once() -> None:
    """A Parquet file smaller than the tail costs one request, whatever is read of it."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": range(100), "b": ["x"] * 100}), sink, row_group_size=10)
    fetched = []

    def fetch(start: int, end: int) -> bytes:
        fetched.append((start, end))
        return sink.getvalue()[start:end]

    size = len(sink.getvalue())
    assert size < TAIL_BYTES
    with pq.ParquetFile(RangedFile(size, fetch)) as file:
        assert file.read().num_rows == 100
    assert fetched == [(0, size)]
