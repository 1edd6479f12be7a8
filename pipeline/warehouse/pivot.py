"""From long points to wide samples: the metrics of a track side by side, one row per instant.

The lake is long: `metric_points` has one row per data point, as the contract says, and each row repeats eight texts.
The database stores samples instead (`store.sql`), a quarter of the rows with a whole number in place of the texts,
which makes loading ten times cheaper. Readers see points all the same: in the database, `metric_points` is a view that
turns samples into points again.

NumPy and Arrow only. `load` stores what this module returns; points come from the lake, in the order of its file.

Example: `pivot_to_samples(points, 7)` for one track, whose codec changes at 10:00:10 and whose frame rate is missing at
10:00:05. Columns that are equal in all rows, and the two resolutions, are left out here.

    points    track_id  codec  metric     timestamp   value
              cam       vp8    bitrate    10:00:00   800000
              cam       vp8    bitrate    10:00:05   900000
              cam       h264   bitrate    10:00:10   700000
              cam       vp8    framerate  10:00:00       30
              cam       h264   framerate  10:00:10       25

    series    series_id  track_id  codec
              7          cam       vp8
              8          cam       h264

    samples   series_id  timestamp  bitrate  framerate
              7          10:00:00    800000         30
              7          10:00:05    900000       NULL
              8          10:00:10    700000         25
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.schema import METRICS, TRACK_KEY

__all__ = ["SERIES_KEY", "chunk_by_track", "pivot_to_samples"]

Ints = npt.NDArray[np.int64]

SERIES_KEY = (*TRACK_KEY, "codec")
"""Columns that identify a series."""


def chunk_by_track(chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same rows of `metric_points`, cut so that no track is in two chunks.

    Text columns are dictionaries, in what is given and in what is yielded.
    """
    waiting: pa.Table | None = None
    for chunk in chunks:
        if not chunk.num_rows:
            continue
        rows = chunk.unify_dictionaries().combine_chunks()
        if waiting is not None:
            if _track_at(waiting, waiting.num_rows - 1) != _track_at(rows, 0):
                yield waiting
            else:
                track_starts = np.flatnonzero(_differs(waiting, TRACK_KEY))
                cut = int(track_starts[-1]) if len(track_starts) else 0
                if cut:
                    yield waiting.slice(0, cut)
                rows = pa.concat_tables([waiting.slice(cut), rows]).unify_dictionaries().combine_chunks()
        waiting = rows
    if waiting is not None:
        yield waiting


def pivot_to_samples(chunk: pa.Table, first: int) -> tuple[pa.Table, pa.Table]:
    """Return the series of a chunk of whole tracks, numbered from `first`, and their samples.

    Series have `series_id`, `session_date` and the columns of `SERIES_KEY`. Samples have `series_id`, `timestamp` and a
    column for each of `METRICS`, null if the metric has no point at that instant. Both are sorted.
    """
    starts = np.flatnonzero(_differs(chunk, (*SERIES_KEY, "metric"), first=True))
    runs = chunk.select(["session_date", *SERIES_KEY, "metric"]).take(pa.array(starts))
    numbers: dict[tuple[Any, ...], int] = {}
    keys = zip(*(_codes(runs.column(name)).tolist() for name in SERIES_KEY), strict=True)
    series_of = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    metric_of = np.array([METRICS.index(name) for name in runs.column("metric").to_pylist()], dtype=np.int64)
    ids = np.arange(len(numbers)) + first
    _, first_runs = np.unique(series_of, return_index=True)
    series = runs.take(pa.array(first_runs)).drop_columns(["metric"]).append_column("series_id", pa.array(ids))

    timestamp = np.asarray(chunk.column("timestamp").cast(pa.int64()))
    lengths = np.diff(np.append(starts, chunk.num_rows))
    row, counts = _sample_rows(series_of, metric_of, starts, lengths, timestamp)
    total = int(counts.sum())
    instants = np.empty(total, dtype=np.int64)
    instants[row] = timestamp
    values = np.full((len(METRICS), total), np.nan)
    values[np.repeat(metric_of, lengths), row] = np.asarray(chunk.column("value"))
    samples = {
        "series_id": pa.array(np.repeat(ids, counts)),
        "timestamp": pa.array(instants).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
    }
    samples |= {name: pa.array(values[number], from_pandas=True) for number, name in enumerate(METRICS)}
    return series, pa.table(samples)


def _sample_rows(series_of: Ints, metric_of: Ints, starts: Ints, lengths: Ints, timestamp: Ints) -> tuple[Ints, Ints]:
    """Return for each point its row in the samples, and for each series its number of samples.

    A run is a stretch of points of one series and metric. As a rule all metrics of a series have the same instants.
    Then the position of a point in its run is its position in the samples of the series. For any other series, the
    instants of all its points are sorted.
    """
    position = np.arange(len(timestamp)) - np.repeat(starts, lengths)
    series = np.repeat(series_of, lengths)
    _, first_run, runs = np.unique(series_of, return_index=True, return_counts=True)
    reference = first_run[series_of]
    compared = np.minimum(np.repeat(starts[reference], lengths) + position, len(timestamp) - 1)
    is_equal = np.logical_and.reduceat(timestamp == timestamp[compared], starts) & (lengths == lengths[reference])
    # A metric can have several runs in a series: the codec changed back and forth.
    metrics = np.bincount(np.unique(series_of * len(METRICS) + metric_of) // len(METRICS))
    is_aligned = metrics == runs
    np.logical_and.at(is_aligned, series_of, is_equal)

    counts = lengths[first_run].copy()
    unaligned = np.flatnonzero(~is_aligned[series])
    if len(unaligned):
        order = unaligned[np.lexsort((timestamp[unaligned], series[unaligned]))]
        owner = series[order]
        starts_series = np.diff(owner, prepend=-1) != 0
        is_new = starts_series | (np.diff(timestamp[order], prepend=0) != 0)
        ordinal = np.cumsum(is_new) - 1
        points = np.diff(np.append(np.flatnonzero(starts_series), len(order)))
        position[order] = ordinal - np.repeat(ordinal[starts_series], points)
        counts[~is_aligned] = np.bincount(owner[is_new], minlength=len(counts))[~is_aligned]
    return (np.cumsum(counts) - counts)[series] + position, counts


def _differs(rows: pa.Table, columns: Sequence[str], *, first: bool = False) -> npt.NDArray[np.bool_]:
    """Return for each row whether any of the dictionary `columns` differs from the row before; `first` for the first.

    Null equals null.
    """
    differs = np.zeros(rows.num_rows, dtype=bool)
    differs[:1] = first
    for name in columns:
        codes = _codes(rows.column(name))
        differs[1:] |= codes[1:] != codes[:-1]
    return differs


def _track_at(rows: pa.Table, row: int) -> tuple[str | None, ...]:
    return tuple(rows.column(name)[row].as_py() for name in TRACK_KEY)


def _codes(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return the number of each value in the dictionary of a column, -1 for null."""
    indices = column.combine_chunks().indices
    return np.asarray(indices.fill_null(-1) if indices.null_count else indices)
