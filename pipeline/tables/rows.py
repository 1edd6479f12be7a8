"""Arrow and NumPy helpers for rows that come grouped by stay: runs, batches, ids, dictionaries.

Example: five responses of two stays, with bodies of 3, 3, 3, 2 and 2 characters.

    user_session_id   a  a  a  b  b
    number_runs       0  0  0  1  1
    batches(size=9)   (0, 3), (3, 5)      whole stays; no batch is cut inside a stay
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.landing.order import microseconds
from pipeline.schema import STAY_KEY, TABLES

__all__ = ["batches", "number_runs", "number_windows", "optional_text", "take_as_dictionary", "with_day", "with_ids"]

Ints = npt.NDArray[np.int64]


def number_runs(rows: pa.Table, columns: tuple[str, ...]) -> Ints:
    """Return a number per row that grows by one with each change in `columns`: a, a, b, a gives 0, 0, 1, 2."""
    new = np.zeros(rows.num_rows, dtype=bool)
    for name in columns:
        codes = np.asarray(rows.column(name).combine_chunks().dictionary_encode(null_encoding="encode").indices)
        new[1:] |= codes[1:] != codes[:-1]
    return np.cumsum(new)


def number_windows(stay: Ints, since: pa.ChunkedArray) -> Ints:
    """Return a dense number per pair of stay and start of the window."""
    pairs = np.stack([stay, microseconds(since)], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)


def batches(stay: Ints, body_bytes: pa.ChunkedArray, size: int) -> Iterator[tuple[int, int]]:
    """Yield slices (start, stop) of whole stays with about `size` bytes of bodies each."""
    starts = np.flatnonzero(np.diff(stay, prepend=-1)).tolist()
    total = np.concatenate(([0], np.cumsum(np.asarray(body_bytes, dtype=np.int64))))
    begin = 0
    for start, stop in pairwise([*starts, len(stay)]):
        if start > begin and total[stop] - total[begin] > size:
            yield begin, start
            begin = start
    if begin < len(stay):
        yield begin, len(stay)


def with_ids(rows: pa.Table, ids: pa.Table) -> pa.Table:
    """Return `rows` with the ids of their stay instead of its number: `stay` 1 becomes the ids in row 1 of `ids`."""
    of = rows.column("stay").combine_chunks()
    columns = {name: ids.column(name).take(of) for name in STAY_KEY}
    columns |= {name: rows.column(name) for name in rows.column_names if name != "stay"}
    return pa.table(columns)


def with_day(name: str, day: date, rows: pa.Table) -> pa.Table:
    """Return the rows of a table with their `session_date`, in the table's order of columns."""
    rows = rows.append_column("session_date", pa.repeat(pa.scalar(day, pa.date32()), rows.num_rows))
    return rows.select(TABLES[name].schema.names)


def take_as_dictionary(column: pa.ChunkedArray, rows: pa.Array) -> pa.Array:
    """Return the values of a column at `rows`, as a dictionary of the few that there are. `rows` are not checked."""
    encoded = column.combine_chunks().dictionary_encode()
    indices = pc.take(encoded.indices, rows, boundscheck=False)
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, safe=False)


def optional_text(numbers: npt.NDArray[Any], texts: tuple[str, ...]) -> pa.Array:
    """Return the text for each number, null for -1."""
    return pa.array(texts).take(pa.array(numbers, mask=numbers < 0))
