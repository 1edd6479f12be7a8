"""From points to samples: the metrics of a track side by side, one row per instant, and the tracks numbered.

Numpy and Arrow only. `warehouse.py` stores what comes out; the points come from `lake.py` as they are sorted there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.schema import METRICS, TRACK_KEY

__all__ = ["SERIES", "chunk_by_track", "pivot_to_samples"]

Ints = npt.NDArray[np.int64]

SERIES = (*TRACK_KEY, "codec")
"""What samples of one series have in common."""


def chunk_by_track(chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows of metric_points, cut so that no track is in two chunks. Text columns are dictionaries."""
    rest: pa.Table | None = None
    for chunk in chunks:
        joined = chunk if rest is None else pa.concat_tables([rest, chunk])
        joined = joined.unify_dictionaries().combine_chunks()
        changes = np.flatnonzero(_differs(joined, TRACK_KEY))
        cut = int(changes[-1]) if len(changes) else 0
        if cut:
            yield joined.slice(0, cut)
        rest = joined.slice(cut)
    if rest is not None and rest.num_rows:
        yield rest


def pivot_to_samples(chunk: pa.Table, first: int) -> tuple[pa.Table, pa.Table]:
    """The series of a chunk of whole tracks, numbered from `first`, and their samples.

    Series have `series_id`, `session_date` and the columns of `SERIES`; samples have `series_id`, `timestamp` and a
    column for each of `METRICS`, null where the metric has no point at that instant. Both are sorted.
    """
    starts = np.flatnonzero(_differs(chunk, (*SERIES, "metric"), first=True))
    runs = chunk.select(["session_date", *SERIES, "metric"]).take(pa.array(starts))
    number: dict[tuple[Any, ...], int] = {}
    keys = zip(*(runs.column(name).to_pylist() for name in SERIES), strict=True)
    series_of = np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.int64)
    metric_of = np.array([METRICS.index(name) for name in runs.column("metric").to_pylist()], dtype=np.int64)
    _, representative = np.unique(series_of, return_index=True)
    series = (
        runs.take(pa.array(representative))
        .drop_columns(["metric"])
        .append_column("series_id", pa.array(np.arange(len(number)) + first))
    )
    timestamp = np.asarray(chunk.column("timestamp").cast(pa.int64()))
    lengths = np.diff(np.append(starts, chunk.num_rows))
    row, counts = _rows(series_of, metric_of, starts, lengths, timestamp)
    total = int(counts.sum())
    instants = np.empty(total, dtype=np.int64)
    instants[row] = timestamp
    values = np.full((len(METRICS), total), np.nan)
    values[np.repeat(metric_of, lengths), row] = np.asarray(chunk.column("value"))
    samples = {
        "series_id": pa.array(np.repeat(np.arange(len(number)) + first, counts)),
        "timestamp": pa.array(instants).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
    }
    samples |= {name: pa.array(values[place], from_pandas=True) for place, name in enumerate(METRICS)}
    return series, pa.table(samples)


def _rows(series_of: Ints, metric_of: Ints, starts: Ints, lengths: Ints, timestamp: Ints) -> tuple[Ints, Ints]:
    """For each point its row among the samples, and the number of samples of each series.

    A run is of one series and metric. As a rule all metrics of a series have the same instants, so that the place in
    the run is the place among the samples; where they have not, the instants are sorted.
    """
    place = np.arange(len(timestamp)) - np.repeat(starts, lengths)
    series = np.repeat(series_of, lengths)
    _, first_run, runs = np.unique(series_of, return_index=True, return_counts=True)
    model = first_run[series_of]
    modelled = np.minimum(np.repeat(starts[model], lengths) + place, len(timestamp) - 1)
    alike = np.logical_and.reduceat(timestamp == timestamp[modelled], starts) & (lengths == lengths[model])
    # A metric may come in several runs of a series: the codec changed to and fro.
    metrics = np.bincount(np.unique(series_of * len(METRICS) + metric_of) // len(METRICS))
    aligned = metrics == runs
    np.logical_and.at(aligned, series_of, alike)

    counts = lengths[first_run].copy()
    apart = np.flatnonzero(~aligned[series])
    if len(apart):
        order = apart[np.lexsort((timestamp[apart], series[apart]))]
        owner = series[order]
        new_series = np.diff(owner, prepend=-1) != 0
        new = new_series | (np.diff(timestamp[order], prepend=0) != 0)
        ordinal = np.cumsum(new) - 1
        place[order] = ordinal - np.repeat(
            ordinal[new_series], np.diff(np.append(np.flatnonzero(new_series), len(order)))
        )
        counts[~aligned] = np.bincount(owner[new], minlength=len(counts))[~aligned]
    return (np.cumsum(counts) - counts)[series] + place, counts


def _differs(rows: pa.Table, columns: Sequence[str], *, first: bool = False) -> npt.NDArray[np.bool_]:
    """Of each row whether any of the dictionary `columns` has another value than in the row before."""
    differs = np.zeros(rows.num_rows, dtype=bool)
    differs[:1] = first
    for name in columns:
        codes = np.asarray(rows.column(name).combine_chunks().indices.fill_null(-1))
        differs[1:] |= codes[1:] != codes[:-1]
    return differs
