"""From lists of `[timestamp, value]` pairs to sorted columns of points: the arithmetic of flattening.

Numpy and Arrow only, on as many answers as fit in memory at a time; no files, no JSON, no DuckDB. A series is one
metric of one track in one answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tables import METRICS

__all__ = ["UNITS", "Answers", "Points", "explode"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UNITS = ("s", "ms", "us", "ns")
_UNIT_LIMITS = np.array([1e11, 1e14, 1e17])
"""Unix time is near 1e9 in seconds, 1e12 in milliseconds, 1e15 in microseconds, 1e18 in nanoseconds; the limits lie
between them. The source does not document which it sends."""
_MICROSECONDS = np.array([1e6, 1e3, 1.0, 1e-3])

TOLERANCE = 60_000_000
"""Microseconds by which a point may lie outside the window that was asked for."""


@dataclass(frozen=True)
class Answers:
    """The answers that the series are from, one element each, in an order in which a later answer has a greater place.

    `stay` numbers the user session, `window` the window; `since` and `until` are microseconds since 1970 (UTC).
    """

    stay: Ints
    window: Ints
    since: Ints
    until: Ints


@dataclass(frozen=True)
class Points:
    """Points sorted by stay, track, metric and time, unique in these, and what was found on the way.

    `series` has a row per stay, track and metric (`stay, track_id, track_type, codec, metric`); `of` says for each
    point which row it belongs to. `timestamp` is microseconds since 1970 (UTC). `unit` is an index into `UNITS` per
    answer, -1 without points; `suspect` tells per answer whether its points were left out for their timestamps, and
    `per_window` counts distinct points by window.
    """

    series: pa.Table
    of: npt.NDArray[np.int32]
    timestamp: Ints
    value: Floats
    unit: Ints
    suspect: Flags
    per_window: Ints


@dataclass(frozen=True)
class _Series:
    """The series that have pairs, one element each: row in the table of tracks, index into `METRICS`, answer, pairs."""

    row: Ints
    metric: Ints
    answer: Ints
    pairs: Ints

    @property
    def starts(self) -> Ints:
        """Where the pairs of each begin."""
        return _starts(self.pairs)


def explode(tracks: pa.Table, answers: Answers, unreadable: Flags) -> Points:
    """The points of `tracks`: columns `n` (place in `answers`), `track_id`, `track_type`, `codec`, and for each of
    `METRICS` one list of pairs of doubles.

    A pair whose value is null is no point. An answer is suspect, and none of its points are taken, where `unreadable`
    says so, where a number is larger than a double can be, where timestamps are missing or of different units, or
    where any lies further than `TOLERANCE` outside the answer's window.
    """
    series, time, value = _columns(tracks)
    has_value = ~np.isnan(value)
    unit, suspect = _units(series, time, value, answers)
    suspect |= unreadable
    scale = _MICROSECONDS[np.maximum(unit, 0)]

    # Series in the order of the table, and in each the points as they came: sorted already, as a rule.
    group, order = _ranks(tracks, series, answers)
    pairs = series.pairs[order]
    pair = np.repeat(series.starts[order] - _starts(pairs), pairs) + np.arange(len(time))
    of_series = np.repeat(order, pairs)
    keep = has_value[pair] & ~suspect[series.answer[of_series]]
    if not keep.all():
        pair, of_series = pair[keep], of_series[keep]
    answer = series.answer[of_series]
    timestamp = np.rint(time[pair] * scale[answer]).astype(np.int64)
    values = value[pair]
    of_group = group[of_series]

    backwards = (np.diff(of_group) == 0) & (np.diff(timestamp) < 0)
    if bool(backwards.any()):
        by_time = np.lexsort((answer, timestamp, of_group))
        timestamp, values = timestamp[by_time], values[by_time]
        of_group, of_series, answer = of_group[by_time], of_series[by_time], answer[by_time]
    repeated = (np.diff(of_group) == 0) & (np.diff(timestamp) == 0)
    window = answers.window[answer]
    per_window = np.bincount(window, minlength=int(answers.window.max(initial=-1)) + 1)
    if bool(repeated.any()):
        taken, twice_in = _latest(repeated, answer, window)
        per_window -= np.bincount(twice_in, minlength=len(per_window))
        timestamp, values, of_group, of_series = timestamp[taken], values[taken], of_group[taken], of_series[taken]
    rows, of = _described(tracks, series, answers, of_group, of_series)
    return Points(rows, of, timestamp, values, unit, suspect, per_window)


def _columns(tracks: pa.Table) -> tuple[_Series, Floats, Floats]:
    """The series, and per pair its time and value (NaN where there is none)."""
    rows, metrics, counts, times, values = [], [], [], [], []
    for number, name in enumerate(METRICS):
        lists = tracks.column(name).combine_chunks()
        length = _numbers(pc.fill_null(pc.list_value_length(lists), 0))
        pairs = pc.list_flatten(lists)
        pair = pairs.values.slice(2 * pairs.offset, 2 * len(pairs)).to_numpy(zero_copy_only=False).reshape(-1, 2)
        if pairs.null_count:
            pair = np.where(np.asarray(pairs.is_null())[:, None], np.nan, pair)
        filled = np.flatnonzero(length)
        rows.append(filled)
        metrics.append(np.full(len(filled), number))
        counts.append(length[filled])
        times.append(pair[:, 0].astype(np.float64))
        values.append(pair[:, 1].astype(np.float64))
    row = np.concatenate(rows)
    series = _Series(row, np.concatenate(metrics), _numbers(tracks.column("n"))[row], np.concatenate(counts))
    return series, np.concatenate(times), np.concatenate(values)


def _units(series: _Series, time: Floats, value: Floats, answers: Answers) -> tuple[Ints, Flags]:
    """Per answer the unit of its timestamps (-1 without any), and whether its points are beyond belief."""
    size = len(answers.stay)
    least = np.full(size, np.inf)
    most = np.full(size, -np.inf)
    unreadable = np.zeros(size, dtype=bool)
    if len(time):
        lost = (np.isnan(time) & ~np.isnan(value)) | np.isinf(time) | np.isinf(value)
        if bool(lost.any()):
            unreadable[np.repeat(series.answer, series.pairs)[lost]] = True
        np.fmin.at(least, series.answer, np.fmin.reduceat(time, series.starts))
        np.fmax.at(most, series.answer, np.fmax.reduceat(time, series.starts))
    any_point = np.isfinite(least) & np.isfinite(most)
    unit = np.where(any_point, np.searchsorted(_UNIT_LIMITS, np.abs(most), side="right"), -1)
    other = np.where(any_point, np.searchsorted(_UNIT_LIMITS, np.abs(least), side="right"), -1)
    scale = _MICROSECONDS[np.maximum(unit, 0)]
    outside = (least * scale < answers.since - TOLERANCE) | (most * scale > answers.until + TOLERANCE)
    return unit, unreadable | (any_point & (outside | (unit != other)))


def _ranks(tracks: pa.Table, series: _Series, answers: Answers) -> tuple[Ints, Ints]:
    """Per series the number of its stay, track and metric, ascending in the order of the table; and that order."""
    row = pa.array(series.row)
    keys = pa.table(
        {
            "stay": answers.stay[series.answer],
            "track_id": tracks.column("track_id").take(row),
            "track_type": tracks.column("track_type").take(row),
            "metric": series.metric,
            "since": answers.since[series.answer],
            "answer": series.answer,
        }
    )
    order = _numbers(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names]))
    new = np.zeros(len(order), dtype=bool)
    for name in ("stay", "track_id", "track_type", "metric"):
        codes = _codes(keys.column(name))[order]
        new[1:] |= codes[1:] != codes[:-1]
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(new)
    return group, order


def _latest(repeated: Flags, answer: Ints, window: Ints) -> tuple[Flags, Ints]:
    """Of runs of equal instants the points of the latest answers; and the windows of points that a window has twice.

    `repeated` says of each point but the first whether it equals the one before.
    """
    in_run = np.zeros(len(answer), dtype=bool)
    in_run[1:] = repeated
    in_run[:-1] |= repeated
    places = np.flatnonzero(in_run)
    run = np.cumsum(~np.concatenate(([False], repeated))[places])
    by_answer = np.lexsort((places, answer[places], run))
    latest = np.append(np.diff(run[by_answer]) != 0, True)
    taken = ~in_run
    taken[places[by_answer[latest]]] = True
    by_window = np.lexsort((window[places], run))
    twice = (np.diff(run[by_window]) == 0) & (np.diff(window[places][by_window]) == 0)
    return taken, window[places][by_window][1:][twice]


def _described(
    tracks: pa.Table, series: _Series, answers: Answers, of_group: Ints, of_series: Ints
) -> tuple[pa.Table, npt.NDArray[np.int32]]:
    """One row for each run of points of the same stay, track, metric and codec; and for each point its row."""
    codec = _codes(tracks.column("codec"))[series.row][of_series]
    new = np.ones(len(of_group), dtype=bool)
    new[1:] = (np.diff(of_group) != 0) | (np.diff(codec) != 0)
    first = of_series[np.flatnonzero(new)]
    row = pa.array(series.row[first])
    rows = pa.table(
        {
            "stay": answers.stay[series.answer[first]],
            **{name: tracks.column(name).take(row) for name in ("track_id", "track_type", "codec")},
            "metric": pa.array(METRICS).take(pa.array(series.metric[first])),
        }
    )
    return rows, (np.cumsum(new) - 1).astype(np.int32)


def _codes(column: pa.ChunkedArray) -> Ints:
    """Whole numbers that are equal where the values are equal; null equals null."""
    if pa.types.is_integer(column.type):
        return _numbers(column)
    return _numbers(column.combine_chunks().dictionary_encode(null_encoding="encode").indices)


def _starts(counts: Ints) -> Ints:
    return np.cumsum(counts) - counts


def _numbers(column: Any) -> Ints:
    return np.asarray(column).astype(np.int64)
