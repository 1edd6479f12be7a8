"""Statistics per track: how long it sent, how evenly, how well. NumPy and Arrow only.

Here are the statistics that are too slow to compute per query and do not depend on thresholds. The views do the rest.

Durations are time-weighted. An interval runs from a point to the next point of its track. If it is longer than three
steps of the track, the point counts for one step only, and the rest is a gap: no data. The last point of a track counts
for no time. The step is the (lower) median time between the track's bitrate points, since metrics may have other
instants. Each metric is weighted by the intervals between its own points. Time is counted in whole microseconds, so
sums are exact.

Example: the bitrates of one track, at seconds after 10:00:00.

    instant        0        5       10       15       45       50
    bitrate   800000   800000   800000   800000  1600000  1600000
    to next        5        5        5       30        5        0
    interval       5        5        5        5        5        0

The steps are 5, 5, 5, 30 and 5 seconds; their median is 5. The step of 30 is longer than 15, so it is a gap.

    step_seconds         5
    active_seconds       25       (the sum of the intervals)
    gaps                 1
    longest_gap_seconds  25       (30 less the 5 that the point counts for)
    bitrate_mean         960000   (800000 for 20 s, 1600000 for 5 s)
    bitrate_p5           800000   (5 % of the time is 1.25 s)
    bitrate_p95          1600000  (95 % of the time is 23.75 s, of which 20 s have 800000)
    spans                0 to 20 and 45 to 50
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.schema import METRICS, TRACK_KEY

__all__ = ["GAP_STEPS", "HISTOGRAM_FPS", "TrackStatistics", "compute_track_statistics", "series_ids"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

GAP_STEPS = 3
"""An interval of more steps than this is a gap."""

HISTOGRAM_FPS = 60
"""Frame rates are counted by whole frames per second; this one includes all above."""

SERIES_BITS = 32
"""Bits of a series_id that number the series of one day; the bits above are the ordinal of the day."""

STEP_BITS = 37
"""Bits for a step in microseconds. Longer steps than 38 hours count as 38 hours, so that the number of a track and a
step fit into one whole number."""


def series_ids(day: date) -> tuple[int, int]:
    """Return the first and the last possible series_id of a day. The same tables give the same ids."""
    first = day.toordinal() << SERIES_BITS
    return first, first + (1 << SERIES_BITS) - 1


@dataclass(frozen=True)
class TrackStatistics:
    """The statistics of one chunk of whole tracks. For the tables see `store.sql` in `warehouse` and in `quality`.

    Attributes:
        series: the series, with two more columns: `track_number`, the first series of the same track, and
            `shares_track`, whether the track has other series.
        samples: the samples, with one more column: `interval_seconds`.
        statistics: rows of `store.track_statistics`.
        spans: rows of `store.track_spans`.
    """

    series: pa.Table
    samples: pa.Table
    statistics: pa.Table
    spans: pa.Table

    @property
    def by_table(self) -> dict[str, pa.Table]:
        """The four by the name of their table in the schema `store`."""
        return {
            "series": self.series,
            "samples": self.samples,
            "track_statistics": self.statistics,
            "track_spans": self.spans,
        }


@dataclass(frozen=True)
class _WeightedPoints:
    """Points in the order of track and time, each with the time that it counts for.

    Attributes:
        tracks: number of tracks.
        track: for each point the number of its track.
        instant: for each point its instant, in microseconds since 1970 (UTC).
        interval: for each point the time that it counts for, in microseconds.
        gap: for each point whether a gap follows.
    """

    tracks: int
    track: Ints
    instant: Ints
    interval: Ints
    gap: Flags

    @classmethod
    def of(cls, tracks: int, track: Ints, instant: Ints, step: Ints) -> _WeightedPoints:
        """Weight points by the time to the next point. `step` is the step of each track, in microseconds."""
        to_next = _to_next(track, instant)
        gap = to_next > GAP_STEPS * step[track]
        return cls(tracks, track, instant, np.where(gap, step[track], to_next), gap)

    def select(self, chosen: Flags, step: Ints) -> _WeightedPoints:
        """Return the chosen points alone, each counting until the next of them."""
        if chosen.all():
            return self
        return _WeightedPoints.of(self.tracks, self.track[chosen], self.instant[chosen], step)

    @cached_property
    def starts(self) -> Ints:
        """Position of the first point of each track that has points."""
        return np.flatnonzero(_begins(self.track))

    def total(self, values: Any = None) -> Any:
        """Return the sum of `values` per track; by default the sum of the intervals."""
        values = self.interval if values is None else values
        total = np.zeros(self.tracks, dtype=values.dtype)
        if len(self.starts):
            total[self.track[self.starts]] = np.add.reduceat(values, self.starts)
        return total


def compute_track_statistics(series: pa.Table, samples: pa.Table) -> TrackStatistics:
    """Return the statistics of whole tracks, from the two tables that `warehouse.pivot.pivot_to_samples` returns."""
    ids = np.asarray(series.column("series_id"))
    is_first = _first_of_track(series)
    track_of_series = np.cumsum(is_first) - 1
    numbers, tracks = ids[is_first], int(is_first.sum())
    series_of = np.asarray(samples.column("series_id"))
    track = track_of_series[series_of - ids[0]] if len(ids) else series_of
    instant = np.asarray(samples.column("timestamp").cast(pa.int64()))
    values = {name: samples.column(name).to_numpy() for name in METRICS}

    order = None
    if tracks < len(ids):  # a track with several codecs: its series are interleaved
        order = np.lexsort((instant, track))
        track, instant = track[order], instant[order]
        values = {name: value[order] for name, value in values.items()}
    has_bitrate, has_framerate = ~np.isnan(values["bitrate"]), ~np.isnan(values["framerate"])
    step = _median_steps(tracks, track, instant, has_bitrate)
    points = _WeightedPoints.of(tracks, track, instant, step)

    interval = points.interval / 1e6
    if order is not None:
        interval[order] = interval.copy()
    statistics = {
        "track_number": pa.array(numbers),
        "step_seconds": pa.array(np.where(step > 0, step, np.nan) / 1e6, from_pandas=True),
        **_presence(points, values["bitrate"]),
        **_distribution("bitrate", points.select(has_bitrate, step), values["bitrate"]),
        **_framerates(points.select(has_framerate, step), values["framerate"]),
        **_resolutions(points, values, step),
    }
    series_in_track = np.bincount(track_of_series)[track_of_series]
    return TrackStatistics(
        series.append_column("track_number", pa.array(numbers[track_of_series])).append_column(
            "shares_track", pa.array(series_in_track > 1)
        ),
        samples.append_column("interval_seconds", pa.array(interval)),
        pa.table(statistics),
        _spans(points, numbers),
    )


def _first_of_track(series: pa.Table) -> Flags:
    """Return for each series whether it is the first of its track. The series of a track are next to each other."""
    keys = list(zip(*(series.column(name).to_pylist() for name in TRACK_KEY), strict=True))
    return np.array([not place or key != keys[place - 1] for place, key in enumerate(keys)], dtype=bool)


def _to_next(track: Ints, instant: Ints) -> Ints:
    """Return the microseconds from each point to the next point of its track; 0 for the last one."""
    to_next = np.diff(instant, append=instant[-1:])
    to_next[:-1][track[1:] != track[:-1]] = 0
    return to_next


def _median_steps(tracks: int, track: Ints, instant: Ints, has_bitrate: Flags) -> Ints:
    """Return the step of each track in microseconds: between its bitrates, or between all points if it has none."""
    step = _lower_median_step(tracks, track[has_bitrate], instant[has_bitrate])
    if (step == 0).any():
        step = np.where(step > 0, step, _lower_median_step(tracks, track, instant))
    return step


def _lower_median_step(tracks: int, track: Ints, instant: Ints) -> Ints:
    """Return for each track the lower median of the steps between its points; 0 if it has no two points."""
    to_next = np.minimum(_to_next(track, instant), (1 << STEP_BITS) - 1)
    stepped = to_next > 0
    by_length = np.sort(track[stepped] << STEP_BITS | to_next[stepped])
    counts = np.bincount(track[stepped], minlength=tracks)
    median = np.zeros(tracks, dtype=np.int64)
    found = counts > 0
    middle = np.cumsum(counts) - counts + (counts - 1) // 2
    median[found] = by_length[middle[found]] & ((1 << STEP_BITS) - 1)
    return median


def _presence(points: _WeightedPoints, bitrate: Floats) -> dict[str, pa.Array]:
    """Return how long each track sent, its gaps, and when it first sent media."""
    missing = (_to_next(points.track, points.instant) - points.interval)[points.gap]
    longest = np.zeros(points.tracks, dtype=np.int64)
    np.maximum.at(longest, points.track[points.gap], missing)
    sending = np.flatnonzero(bitrate > 0)
    begins = sending[_begins(points.track[sending])]
    first_media = np.zeros(points.tracks, dtype=np.int64)
    first_media[points.track[begins]] = points.instant[begins]
    sent = np.zeros(points.tracks, dtype=bool)
    sent[points.track[begins]] = True
    return {
        "first_media_at": pa.array(first_media, mask=~sent).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
        "instants": pa.array(np.bincount(points.track, minlength=points.tracks)),
        "active_seconds": pa.array(points.total() / 1e6),
        "gaps": pa.array(np.bincount(points.track[points.gap], minlength=points.tracks)),
        "longest_gap_seconds": pa.array(longest / 1e6),
    }


def _distribution(name: str, points: _WeightedPoints, values: Floats) -> dict[str, pa.Array]:
    """Return the seconds with a metric, its time-weighted mean and percentiles."""
    values = values[~np.isnan(values)]
    time = points.total()
    columns = {"mean": _ratio(points.total(values * points.interval), time)}
    columns |= _percentiles(points.tracks, points.track, values, points.interval, (5, 50, 95))
    return {f"{name}_seconds": pa.array(time / 1e6)} | {
        f"{name}_{suffix}": pa.array(column, from_pandas=True) for suffix, column in columns.items()
    }


def _percentiles(
    tracks: int, track: Ints, values: Floats, weights: Ints, percents: tuple[int, ...]
) -> dict[str, Floats]:
    """Return for each track the least value that so many percent of the weight do not exceed; NaN without weight.

    It is always a measured value, never one between two.
    """
    if len(track) == 0:
        return {f"p{percent}": np.full(tracks, np.nan) for percent in percents}
    order = np.argsort(values)
    narrow = np.uint16 if tracks < 1 << 16 else np.int64  # NumPy sorts 16-bit numbers by radix, which is faster
    order = order[np.argsort(track[order].astype(narrow), kind="stable")]
    running = np.cumsum(weights[order])
    ends = np.cumsum(np.bincount(track, minlength=tracks))
    total = np.concatenate([[0], running])[ends]
    before = np.concatenate([[0], total[:-1]])
    weight = total - before
    found = {}
    for percent in percents:
        at = np.searchsorted(running, before + (weight * percent + 99) // 100)
        picked = values[order[np.minimum(at, len(order) - 1)]]
        found[f"p{percent}"] = np.where(weight > 0, picked, np.nan)
    return found


def _framerates(points: _WeightedPoints, framerate: Floats) -> dict[str, pa.Array]:
    """Return the distribution of the frame rate, the seconds at each whole frame rate, and stalls of the sender."""
    values = framerate[~np.isnan(framerate)]
    whole = np.clip(np.floor(values), 0, HISTOGRAM_FPS).astype(np.int64)
    width = HISTOGRAM_FPS + 1
    seconds = np.bincount(points.track * width + whole, points.interval, minlength=points.tracks * width) / 1e6
    seconds = seconds.reshape(points.tracks, width)
    lengths = width - np.argmax(seconds[:, ::-1] > 0, axis=1)
    lengths[~(seconds > 0).any(axis=1)] = 0
    stalls, stalled = _stalls(points, values)
    return _distribution("framerate", points, framerate) | {
        "framerate_histogram": pa.ListArray.from_arrays(
            pa.array(_offsets(lengths)), pa.array(seconds[np.arange(width) < lengths[:, None]])
        ),
        "send_stalls": pa.array(stalls),
        "send_stall_seconds": pa.array(stalled / 1e6),
    }


def _stalls(points: _WeightedPoints, framerate: Floats) -> tuple[Ints, Ints]:
    """Return for each track how often, and for how many microseconds, no frame was sent between two times with frames.

    A gap on either side is not a time with frames.
    """
    zero = framerate <= 0
    if not zero.any():
        return np.zeros(points.tracks, dtype=np.int64), np.zeros(points.tracks, dtype=np.int64)
    after_gap = _begins(points.track)
    after_gap[1:] |= points.gap[:-1]
    # stretches in which the frame rate is 0 throughout, or never
    starts = np.flatnonzero(after_gap | (np.diff(zero, prepend=zero[:1])))
    after = np.append(starts[1:], len(zero) - 1)
    is_continued = np.append(~after_gap[starts[1:]], False)
    stall = zero[starts] & ~after_gap[starts] & is_continued
    owner = points.track[starts[stall]]
    lasted = points.instant[after[stall]] - points.instant[starts[stall]]
    count = np.bincount(owner, minlength=points.tracks)
    return count, np.bincount(owner, lasted, minlength=points.tracks).astype(np.int64)


def _resolutions(points: _WeightedPoints, values: dict[str, Floats], step: Ints) -> dict[str, pa.Array]:
    """Return the switches of resolution, the seconds at each height, and the bits per pixel of a frame.

    The height of a picture is its shorter side, so turning a phone changes nothing.
    """
    width, height = values["resolution_width"], values["resolution_height"]
    has_size = (width > 0) & (height > 0)
    pictured = points.select(has_size, step)
    width, height = width[has_size], height[has_size]
    pixels = width * height
    same_track = ~_begins(pictured.track)[1:]
    change = np.sign(np.diff(pixels)) * same_track
    owner = pictured.track[1:]

    complete = has_size & ~np.isnan(values["bitrate"]) & ~np.isnan(values["framerate"])
    bits = (values["bitrate"] * points.interval)[complete]
    frames = (values["framerate"] * points.interval)[complete]
    area = (values["resolution_width"] * values["resolution_height"])[complete]
    track = points.track[complete]
    return {
        "resolution_seconds": pa.array(pictured.total() / 1e6),
        "switches_up": pa.array(np.bincount(owner[change > 0], minlength=points.tracks)),
        "switches_down": pa.array(np.bincount(owner[change < 0], minlength=points.tracks)),
        **_heights(pictured, np.rint(np.minimum(width, height)).astype(np.int64)),
        "bits_per_pixel_frame": pa.array(
            _ratio(np.bincount(track, bits, points.tracks), np.bincount(track, frames * area, points.tracks)),
            from_pandas=True,
        ),
    }


def _heights(points: _WeightedPoints, height: Ints) -> dict[str, pa.Array]:
    """Return the seconds at each height, the 95th percentile of the height, and the seconds below it."""
    is_new = _begins(points.track)
    is_new[1:] |= height[1:] != height[:-1]
    starts = np.flatnonzero(is_new)
    time = np.add.reduceat(points.interval, starts) if len(starts) else points.interval
    keys, which = np.unique(points.track[starts] << 32 | height[starts], return_inverse=True)
    time = np.bincount(which, time, minlength=len(keys)).astype(np.int64)
    track, height = keys >> 32, keys & ((1 << 32) - 1)
    p95 = _percentiles(points.tracks, track, height.astype(np.float64), time, (95,))["p95"]
    is_lower = height < p95[track]
    below = np.bincount(track[is_lower], time[is_lower], minlength=points.tracks)
    counts = np.bincount(track, minlength=points.tracks)
    return {
        "height_seconds": pa.MapArray.from_arrays(
            pa.array(_offsets(counts)), pa.array(height.astype(np.int32)), pa.array(time / 1e6)
        ),
        "height_p95": pa.array(p95, from_pandas=True).cast(pa.int32()),
        "downscaled_seconds": pa.array(below / 1e6),
    }


def _spans(points: _WeightedPoints, numbers: Ints) -> pa.Table:
    """Return the stretches with data: `track_number`, `since`, `until`."""
    starts = _begins(points.track)
    starts[1:] |= points.gap[:-1]
    since = np.flatnonzero(starts)
    last = np.append(since[1:], len(starts))[: len(since)] - 1
    until = points.instant[last] + points.interval[last]
    lasting = until > points.instant[since]
    instants = {"since": points.instant[since][lasting], "until": until[lasting]}
    return pa.table(
        {"track_number": pa.array(numbers[points.track[since][lasting]])}
        | {
            name: pa.array(value).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
            for name, value in instants.items()
        }
    )


def _begins(track: Ints) -> Flags:
    """Return for each point whether it is the first of its track."""
    begins = np.ones(len(track), dtype=bool)
    begins[1:] = track[1:] != track[:-1]
    return begins


def _offsets(lengths: Ints) -> npt.NDArray[np.int32]:
    """Return the offsets of Arrow lists with these lengths."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def _ratio(part: Any, whole: Any) -> Floats:
    """Return `part / whole`; NaN if the whole is not above 0."""
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
