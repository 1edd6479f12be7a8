"""How samples are stored in a DuckDB file, so that they take a fraction of the space. NumPy and Arrow only.

DuckDB compresses each column by itself, 2,048 rows at a time, and does it best where neighbours are alike:

- Series with the same metrics are next to each other. A vector with cameras alone needs fewer bits than one with
  cameras and microphones, and where all of a metric is missing, that costs nothing.
- An instant is a whole number of steps. The step of a series is the greatest common divisor of the times between its
  samples. `tick` counts the steps, and goes on from series to series as if they were one. So ticks grow by one from row
  to row, except at a gap or an uneven instant, and DuckDB stores equal differences as one number. `step_micros` and
  `shift_micros` are the same throughout a series: an instant is tick * step_micros + shift_micros, in microseconds
  since 1970 (UTC).

The column `timestamp` of `store.samples` computes that (`sql/packed_samples.sql`). It is exact: all are whole numbers.

Example: two series at seconds after 10:00:00. In the table, shifts are seconds after 10:00:00 too.

    series_id  timestamp  tick  step  shift
    7          0             0     5      0
    7          5             1     5      0
    7          20            4     5      0
    8          2             3     5    -13
    8          7             4     5    -13
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import METRICS

__all__ = ["pack_samples"]

Ints = npt.NDArray[np.int64]

MOST_MICROS = 1 << 62
"""Most microseconds that the product of a tick and a step may have, so that it fits into 64 bits. A series with longer
steps gets steps of one microsecond."""


def pack_samples(samples: pa.Table) -> pa.Table:
    """Return samples, sorted by series and instant, as rows of the table `store.samples` of a DuckDB file.

    Instead of `timestamp` they have `tick`, `step_micros` and `shift_micros`. The samples of a series stay together and
    in order; series may be in another order.
    """
    if not samples.num_rows:
        return _with_instants(samples, *[np.zeros(0, dtype=np.int64)] * 3)
    starts, lengths = _runs(np.asarray(samples.column("series_id")))
    order = np.argsort(_metrics_of_series(samples, starts), kind="stable")
    if (np.diff(order) != 1).any():
        rows = np.repeat(starts[order] - _starts(lengths[order]), lengths[order]) + np.arange(samples.num_rows)
        samples, lengths = pc.take(samples, pa.array(rows), boundscheck=False), lengths[order]
        starts = _starts(lengths)
    instant = np.asarray(samples.column("timestamp").cast(pa.int64()))
    to_previous = np.diff(instant, prepend=instant[:1])
    to_previous[starts] = 0
    step = np.gcd.reduceat(to_previous, starts)
    step[(step == 0) | (step > MOST_MICROS // samples.num_rows)] = 1
    first = instant[starts]
    tick = (instant - np.repeat(first, lengths)) // np.repeat(step, lengths) + np.repeat(starts, lengths)
    return _with_instants(samples, tick, np.repeat(step, lengths), np.repeat(first - starts * step, lengths))


def _runs(series: Ints) -> tuple[Ints, Ints]:
    """Return the position of the first sample of each series, and how many it has."""
    starts = np.flatnonzero(np.diff(series, prepend=series[0] - 1))
    return starts, np.diff(starts, append=len(series))


def _starts(lengths: Ints) -> Ints:
    return np.cumsum(lengths) - lengths


def _metrics_of_series(samples: pa.Table, starts: Ints) -> Ints:
    """Return for each series a number that says which metrics it has: one bit for each."""
    metrics = np.zeros(len(starts), dtype=np.int64)
    for bit, name in enumerate(METRICS):
        has_value = np.asarray(samples.column(name).is_valid())
        metrics |= np.logical_or.reduceat(has_value, starts).astype(np.int64) << bit
    return metrics


def _with_instants(samples: pa.Table, tick: Ints, step: Ints, shift: Ints) -> pa.Table:
    for name, values in {"tick": tick, "step_micros": step, "shift_micros": shift}.items():
        samples = samples.append_column(name, pa.array(values))
    return samples.drop_columns(["timestamp"])
