"""From lists of `[timestamp, value]` pairs to sorted columns of data points: the arithmetic of flattening.

NumPy and Arrow only, over one batch of responses at a time. No files, no JSON, no DuckDB. A series is one
metric of one track in one response. (In the database, a series is something else: a track with its codec.)
`explode_points` works in four steps:

1. `_columns` puts the pairs of all series end to end, in one column of times and one of values.
2. `_units` finds the unit of each response's timestamps by their magnitude, and flags suspect responses.
3. `_ranks` finds the order of the series in the table. Within a series, pairs are sorted already, as a rule.
4. Points are sorted if they are not, and of equal instants the latest response wins.

Example: one track has two responses, for 10:00 to 10:30 and for 10:30 to 11:00. With seconds counted from 10:00, the
first sends `bitrate: [[1795, 7], [1800, 8]]`, the second `bitrate: [[1800, 9], [1805, 5]]`. The point on the edge came
twice, so the value of the later response wins:

    runs          0: stay 0, track "cam", metric "bitrate"
    run_of_point  0     0     0
    timestamp  1795  1800  1805      (as microseconds since 1970)
    value      7     9     5
    unit       "s" for both responses; per_window: 2 and 2, since each window has two distinct points
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.endpoints import UNIT_LIMITS
from pipeline.schema import METRICS

__all__ = ["UNITS", "Points", "ResponseWindows", "explode_points", "instants_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UNITS = (*UNIT_LIMITS, "ns")
"""Units of timestamps, the coarsest first."""

_UNIT_LIMITS = np.array([*UNIT_LIMITS.values()])
_MICROSECONDS = np.array([1e6, 1e3, 1.0, 1e-3])
"""Microseconds in each unit."""

TOLERANCE = 60_000_000
"""Microseconds by which a point may be outside the window that was requested."""


@dataclass(frozen=True)
class ResponseWindows:
    """The responses that the series are from, one element each. A later response comes after an earlier one.

    Attributes:
        stay: number of the stay.
        window: number of the window.
        since: start of the window that was requested, in microseconds since 1970 (UTC).
        until: its end.
    """

    stay: Ints
    window: Ints
    since: Ints
    until: Ints


@dataclass(frozen=True)
class Points:
    """Data points sorted by stay, track, metric and time, unique in these, and what was found on the way.

    Attributes:
        runs: one row per run of points with the same stay, track, metric and codec: `stay, track_id, track_type,
            codec, metric`.
        run_of_point: for each point its row in `runs`.
        timestamp: microseconds since 1970 (UTC).
        value: as received.
        unit: per response an index into `UNITS`, -1 without points.
        suspect: per response whether its points were left out for their timestamps.
        per_window: distinct points by number of the window.
    """

    runs: pa.Table
    run_of_point: npt.NDArray[np.int32]
    timestamp: Ints
    value: Floats
    unit: Ints
    suspect: Flags
    per_window: Ints


@dataclass(frozen=True)
class _Series:
    """The series that have pairs, one element each.

    Attributes:
        row: row in the table of tracks.
        metric: index into `METRICS`.
        response: number of the response.
        pairs: how many pairs it has.
    """

    row: Ints
    metric: Ints
    response: Ints
    pairs: Ints

    @property
    def starts(self) -> Ints:
        """Position of the first pair of each."""
        return _starts(self.pairs)


def explode_points(tracks: pa.Table, responses: ResponseWindows, unreadable: Flags) -> Points:
    """Return the data points of `tracks`: columns `n` (position in `responses`), `track_id`, `track_type`, `codec`, and
    for each of `METRICS` one list of pairs of doubles.

    A pair with a null value is not a point. A response is suspect, and none of its points are taken, if `unreadable`
    says so, if a number is too large for a double, if timestamps are missing or have different units, or if one of them
    is more than `TOLERANCE` outside the window.
    """
    series, time, value = _columns(tracks)
    has_value = ~np.isnan(value)
    unit, suspect = _units(series, time, value, responses)
    suspect |= unreadable

    # Series in the order of the table, and the points of each as they came: sorted already, as a rule. What is the same
    # for all points of a series is repeated, which is quicker than to look it up for each of them.
    group, order = _ranks(tracks, series, responses)
    pairs, response_of_series = series.pairs[order], series.response[order]
    pair = np.repeat(series.starts[order] - _starts(pairs), pairs)
    pair += np.arange(len(time))
    of_series = np.repeat(order, pairs)
    of_group = np.repeat(group[order], pairs)
    response = np.repeat(response_of_series, pairs)
    scale = np.repeat(_MICROSECONDS[np.maximum(unit, 0)][response_of_series], pairs)
    if suspect.any() or not has_value.all():
        keep = has_value[pair] & ~suspect[response]
        pair, of_series, of_group, response, scale = (
            column[keep] for column in (pair, of_series, of_group, response, scale)
        )
    timestamp = np.rint(time[pair] * scale).astype(np.int64)
    values = value[pair]

    same_group = of_group[1:] == of_group[:-1]
    if bool((same_group & (timestamp[1:] < timestamp[:-1])).any()):
        by_time = np.lexsort((response, timestamp, of_group))
        timestamp, values = timestamp[by_time], values[by_time]
        of_group, of_series, response = of_group[by_time], of_series[by_time], response[by_time]
    repeated = same_group & (timestamp[1:] == timestamp[:-1])
    per_window = np.zeros(int(responses.window.max(initial=-1)) + 1, dtype=np.int64)
    np.add.at(per_window, responses.window, np.bincount(response, minlength=len(responses.window)))
    if bool(repeated.any()):
        taken, twice_in = _latest(repeated, response, responses.window[response])
        per_window -= np.bincount(twice_in, minlength=len(per_window))
        timestamp, values, of_series = timestamp[taken], values[taken], of_series[taken]
    runs, run_of_point = _runs(tracks, series, responses, group, of_series)
    return Points(runs, run_of_point, timestamp, values, unit, suspect, per_window)


def instants_of(time: Floats, since: int, until: int) -> Ints | None:
    """Return timestamps of one response as microseconds since 1970; None if they cannot be right.

    They are if one of them is not finite, if they have different units, or if one of them is more than `TOLERANCE`
    outside the window from `since` to `until`.
    """
    if not bool(np.isfinite(time).all()):
        return None
    units = np.unique(np.searchsorted(_UNIT_LIMITS, np.abs(time), side="right"))
    if len(units) > 1:
        return None
    instants = np.rint(time * _MICROSECONDS[units[0]]) if len(units) else time
    if len(instants) and (instants.min() < since - TOLERANCE or instants.max() > until + TOLERANCE):
        return None
    return instants.astype(np.int64)


def _columns(tracks: pa.Table) -> tuple[_Series, Floats, Floats]:
    """Return the series, and per pair its time and value (NaN for null)."""
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
        times.append(pair[:, 0])
        values.append(pair[:, 1])
    row = np.concatenate(rows)
    series = _Series(row, np.concatenate(metrics), _numbers(tracks.column("n"))[row], np.concatenate(counts))
    return series, np.concatenate(times), np.concatenate(values)


def _units(series: _Series, time: Floats, value: Floats, responses: ResponseWindows) -> tuple[Ints, Flags]:
    """Return per response the unit of its timestamps (-1 without any), and whether its points are suspect."""
    size = len(responses.stay)
    least = np.full(size, np.inf)
    most = np.full(size, -np.inf)
    unreadable = np.zeros(size, dtype=bool)
    if len(time):
        if not (np.isfinite(time).all() and np.isfinite(value).all()):
            lost = (np.isnan(time) & ~np.isnan(value)) | np.isinf(time) | np.isinf(value)
            unreadable[np.repeat(series.response, series.pairs)[lost]] = True
        np.fmin.at(least, series.response, np.fmin.reduceat(time, series.starts))
        np.fmax.at(most, series.response, np.fmax.reduceat(time, series.starts))
    any_point = np.isfinite(least) & np.isfinite(most)
    unit = np.where(any_point, np.searchsorted(_UNIT_LIMITS, np.abs(most), side="right"), -1)
    other = np.where(any_point, np.searchsorted(_UNIT_LIMITS, np.abs(least), side="right"), -1)
    scale = _MICROSECONDS[np.maximum(unit, 0)]
    outside = (least * scale < responses.since - TOLERANCE) | (most * scale > responses.until + TOLERANCE)
    return unit, unreadable | (any_point & (outside | (unit != other)))


def _ranks(tracks: pa.Table, series: _Series, responses: ResponseWindows) -> tuple[Ints, Ints]:
    """Return per series the number of its stay, track and metric, in the order of the table, and that order."""
    row = pa.array(series.row)
    keys = pa.table(
        {
            "stay": responses.stay[series.response],
            "track_id": tracks.column("track_id").take(row),
            "track_type": tracks.column("track_type").take(row),
            "metric": series.metric,
            "since": responses.since[series.response],
            "response": series.response,
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


def _latest(repeated: Flags, response: Ints, window: Ints) -> tuple[Flags, Ints]:
    """Return which points to keep, the latest of each run of equal instants, and the windows that have a point twice.

    `repeated` says for each point but the first whether it is at the same instant as the one before.
    """
    in_run = np.zeros(len(response), dtype=bool)
    in_run[1:] = repeated
    in_run[:-1] |= repeated
    places = np.flatnonzero(in_run)
    run = np.cumsum(~np.concatenate(([False], repeated))[places])
    by_response = np.lexsort((places, response[places], run))
    latest = np.append(np.diff(run[by_response]) != 0, True)
    taken = ~in_run
    taken[places[by_response[latest]]] = True
    by_window = np.lexsort((window[places], run))
    twice = (np.diff(run[by_window]) == 0) & (np.diff(window[places][by_window]) == 0)
    return taken, window[places][by_window][1:][twice]


def _runs(
    tracks: pa.Table, series: _Series, responses: ResponseWindows, group: Ints, of_series: Ints
) -> tuple[pa.Table, npt.NDArray[np.int32]]:
    """Return one row per run of points of the same stay, track, metric and codec, and for each point its row."""
    codec = _codes(tracks.column("codec"))[series.row]
    changes = np.flatnonzero(of_series[1:] != of_series[:-1]) + 1
    before, after = of_series[changes - 1], of_series[changes]
    is_new = (group[before] != group[after]) | (codec[before] != codec[after])
    starts = np.concatenate((np.zeros(min(len(of_series), 1), dtype=np.int64), changes[is_new]))
    first = of_series[starts]
    row = pa.array(series.row[first])
    rows = pa.table(
        {
            "stay": responses.stay[series.response[first]],
            **{name: tracks.column(name).take(row) for name in ("track_id", "track_type", "codec")},
            "metric": pa.array(METRICS).take(pa.array(series.metric[first])),
        }
    )
    return rows, np.repeat(np.arange(len(starts), dtype=np.int32), np.diff(starts, append=len(of_series)))


def _codes(column: pa.ChunkedArray) -> Ints:
    """Return numbers that are equal if the values are equal. Null equals null."""
    if pa.types.is_integer(column.type):
        return _numbers(column)
    return _numbers(column.combine_chunks().dictionary_encode(null_encoding="encode").indices)


def _starts(counts: Ints) -> Ints:
    return np.cumsum(counts) - counts


def _numbers(column: Any) -> Ints:
    return np.asarray(column).astype(np.int64)
