"""Statistics per track: how long it sent, how evenly, how well. NumPy and Arrow only.

Here are the statistics that are too slow to compute per query and do not depend on thresholds. The views do the rest.
Durations are time-weighted. An interval runs from a point to the next of its track. If it is longer than three median
steps of the track, it counts as one step, and the rest is a gap: no data. The last point of a track counts no time.
A track's step is the (lower) median between its bitrates, since metrics may have instants of their own; each metric is
weighted by the intervals between its own points. Everything is counted in whole microseconds, so that sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.schema import METRICS, TRACK_KEY

__all__ = ["GAP_STEPS", "HISTOGRAM_FPS", "TrackStatistics", "compute_track_statistics"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

GAP_STEPS = 3
HISTOGRAM_FPS = 60
"""Frame rates are counted by whole frames per second; this one stands for itself and all above."""
STEP_BITS = 37
"""Steps are told apart up to 38 hours, so that a track's number and a step fit into one whole number."""


@dataclass(frozen=True)
class TrackStatistics:
    """Of one chunk of whole tracks: its series, its samples, and rows of two tables (see `quality/store.sql`).

    Series have two columns more: `track_number`, the first series of the same track, and `shares_track`, whether there
    are others. Samples have `interval_seconds`.
    """

    series: pa.Table
    samples: pa.Table
    statistics: pa.Table
    spans: pa.Table

    @property
    def by_table(self) -> dict[str, pa.Table]:
        """By the names that they have in `store`."""
        return {
            "series": self.series,
            "samples": self.samples,
            "track_statistics": self.statistics,
            "track_spans": self.spans,
        }


@dataclass(frozen=True)
class _Points:
    """Points in order of track and time: number of the track, instant, time to the next point, time that it counts.

    All in microseconds. `gap` says of which points the next one is too far away.
    """

    tracks: int
    track: Ints
    instant: Ints
    held: Ints
    gap: Flags

    @classmethod
    def of(cls, tracks: int, track: Ints, instant: Ints, step: Ints) -> _Points:
        to_next = _to_next(track, instant)
        gap = to_next > GAP_STEPS * step[track]
        return cls(tracks, track, instant, np.where(gap, step[track], to_next), gap)

    def where(self, chosen: Flags, step: Ints) -> _Points:
        """Those points alone, each counting until the next of them."""
        if chosen.all():
            return self
        return _Points.of(self.tracks, self.track[chosen], self.instant[chosen], step)

    @cached_property
    def starts(self) -> Ints:
        """Of each track that has points the place of its first one."""
        return np.flatnonzero(_begins(self.track))

    def total(self, what: Any = None) -> Any:
        """Per track the sum of `what`, or of the time that counts."""
        values = self.held if what is None else what
        total = np.zeros(self.tracks, dtype=values.dtype)
        if len(self.starts):
            total[self.track[self.starts]] = np.add.reduceat(values, self.starts)
        return total


def compute_track_statistics(series: pa.Table, samples: pa.Table) -> TrackStatistics:
    """Return the statistics of whole tracks, from the two tables that `warehouse.pivot.pivot_to_samples` returns."""
    ids = np.asarray(series.column("series_id"))
    first = _first_series(series)
    place = np.cumsum(first) - 1
    numbers, tracks = ids[first], int(first.sum())
    series_of = np.asarray(samples.column("series_id"))
    track = place[series_of - ids[0]] if len(ids) else series_of
    instant = np.asarray(samples.column("timestamp").cast(pa.int64()))
    values = {name: samples.column(name).to_numpy() for name in METRICS}

    order = None
    if tracks < len(ids):  # a track with several codecs: its series are interleaved
        order = np.lexsort((instant, track))
        track, instant = track[order], instant[order]
        values = {name: value[order] for name, value in values.items()}
    step = _median_steps(tracks, track, instant, ~np.isnan(values["bitrate"]))
    points = _Points.of(tracks, track, instant, step)

    interval = points.held / 1e6
    if order is not None:
        interval[order] = interval.copy()
    statistics = {
        "track_number": pa.array(numbers),
        "step_seconds": pa.array(np.where(step > 0, step, np.nan) / 1e6, from_pandas=True),
        **_presence(points, values["bitrate"]),
        **_distribution("bitrate", points.where(~np.isnan(values["bitrate"]), step), values["bitrate"]),
        **_framerates(points.where(~np.isnan(values["framerate"]), step), values["framerate"]),
        **_resolutions(points, values, step),
    }
    return TrackStatistics(
        series.append_column("track_number", pa.array(numbers[place])).append_column(
            "shares_track", pa.array(np.bincount(place)[place] > 1)
        ),
        samples.append_column("interval_seconds", pa.array(interval)),
        pa.table(statistics),
        _spans(points, numbers),
    )


def _first_series(series: pa.Table) -> Flags:
    """Of each series whether it is the first of its track; the series of a track follow one another."""
    keys = list(zip(*(series.column(name).to_pylist() for name in TRACK_KEY), strict=True))
    return np.array([not place or key != keys[place - 1] for place, key in enumerate(keys)], dtype=bool)


def _to_next(track: Ints, instant: Ints) -> Ints:
    """Microseconds from each point to the next of its track, 0 from the last one."""
    to_next = np.diff(instant, append=instant[-1:])
    to_next[:-1][track[1:] != track[:-1]] = 0
    return to_next


def _median_steps(tracks: int, track: Ints, instant: Ints, has_bitrate: Flags) -> Ints:
    step = _lower_median_step(tracks, track[has_bitrate], instant[has_bitrate])
    if (step == 0).any():
        step = np.where(step > 0, step, _lower_median_step(tracks, track, instant))
    return step


def _lower_median_step(tracks: int, track: Ints, instant: Ints) -> Ints:
    """Per track the lower median of the steps between its points, 0 where there is none."""
    to_next = np.minimum(_to_next(track, instant), (1 << STEP_BITS) - 1)
    stepped = to_next > 0
    by_length = np.sort(track[stepped] << STEP_BITS | to_next[stepped])
    counts = np.bincount(track[stepped], minlength=tracks)
    median = np.zeros(tracks, dtype=np.int64)
    found = counts > 0
    middle = np.cumsum(counts) - counts + (counts - 1) // 2
    median[found] = by_length[middle[found]] & ((1 << STEP_BITS) - 1)
    return median


def _presence(points: _Points, bitrate: Floats) -> dict[str, pa.Array]:
    """How long a track sent, its gaps, and when it first sent media."""
    missing = (_to_next(points.track, points.instant) - points.held)[points.gap]
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


def _distribution(name: str, points: _Points, values: Floats) -> dict[str, pa.Array]:
    """Seconds with the metric, its time-weighted mean and percentiles."""
    values = values[~np.isnan(values)]
    time = points.total()
    columns = {"mean": _ratio(points.total(values * points.held), time)}
    columns |= _percentiles(points.tracks, points.track, values, points.held, (5, 50, 95))
    return {f"{name}_seconds": pa.array(time / 1e6)} | {
        f"{name}_{suffix}": pa.array(column, from_pandas=True) for suffix, column in columns.items()
    }


def _percentiles(
    tracks: int, track: Ints, values: Floats, weights: Ints, percents: tuple[int, ...]
) -> dict[str, Floats]:
    """Per track the least value for which values no greater make up so many percent of the weight: always a value that
    was measured. NaN without weight.
    """
    if len(track) == 0:
        return {f"p{percent}": np.full(tracks, np.nan) for percent in percents}
    order = np.argsort(values)
    narrow = np.uint16 if tracks < 1 << 16 else np.int64  # numpy sorts numbers of 16 bits by radix
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


def _framerates(points: _Points, framerate: Floats) -> dict[str, pa.Array]:
    """The distribution of the frame rate, seconds at each whole frame rate, and stalls of the sender."""
    values = framerate[~np.isnan(framerate)]
    whole = np.clip(np.floor(values), 0, HISTOGRAM_FPS).astype(np.int64)
    width = HISTOGRAM_FPS + 1
    seconds = np.bincount(points.track * width + whole, points.held, minlength=points.tracks * width) / 1e6
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


def _stalls(points: _Points, framerate: Floats) -> tuple[Ints, Ints]:
    """Per track how often, and for how many microseconds, no frame was sent between two times with frames."""
    zero = framerate <= 0
    if not zero.any():
        return np.zeros(points.tracks, dtype=np.int64), np.zeros(points.tracks, dtype=np.int64)
    apart = _begins(points.track)
    apart[1:] |= points.gap[:-1]
    starts = np.flatnonzero(apart | (np.diff(zero, prepend=zero[:1])))
    after = np.append(starts[1:], len(zero) - 1)
    follows = np.append(~apart[starts[1:]], False)
    stall = zero[starts] & ~apart[starts] & follows
    owner = points.track[starts[stall]]
    lasted = points.instant[after[stall]] - points.instant[starts[stall]]
    count = np.bincount(owner, minlength=points.tracks)
    return count, np.bincount(owner, lasted, minlength=points.tracks).astype(np.int64)


def _resolutions(points: _Points, values: dict[str, Floats], step: Ints) -> dict[str, pa.Array]:
    """Switches of resolution, seconds at each height, and what is needed for bits per pixel.

    The height of a picture is its shorter side, so that turning a phone changes nothing.
    """
    width, height = values["resolution_width"], values["resolution_height"]
    seen = (width > 0) & (height > 0)
    pictured = points.where(seen, step)
    width, height = width[seen], height[seen]
    pixels = width * height
    same_track = ~_begins(pictured.track)[1:]
    change = np.sign(np.diff(pixels)) * same_track
    owner = pictured.track[1:]

    complete = seen & ~np.isnan(values["bitrate"]) & ~np.isnan(values["framerate"])
    bits = (values["bitrate"] * points.held)[complete]
    frames = (values["framerate"] * points.held)[complete]
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


def _heights(points: _Points, height: Ints) -> dict[str, pa.Array]:
    """Seconds at each height, the height at the 95th percentile, and seconds below it."""
    new = _begins(points.track)
    new[1:] |= height[1:] != height[:-1]
    starts = np.flatnonzero(new)
    time = np.add.reduceat(points.held, starts) if len(starts) else points.held
    keys, which = np.unique(points.track[starts] << 32 | height[starts], return_inverse=True)
    time = np.bincount(which, time, minlength=len(keys)).astype(np.int64)
    track, height = keys >> 32, keys & ((1 << 32) - 1)
    p95 = _percentiles(points.tracks, track, height.astype(np.float64), time, (95,))["p95"]
    lower = height < p95[track]
    below = np.bincount(track[lower], time[lower], minlength=points.tracks)
    counts = np.bincount(track, minlength=points.tracks)
    return {
        "height_seconds": pa.MapArray.from_arrays(
            pa.array(_offsets(counts)), pa.array(height.astype(np.int32)), pa.array(time / 1e6)
        ),
        "height_p95": pa.array(p95, from_pandas=True).cast(pa.int32()),
        "downscaled_seconds": pa.array(below / 1e6),
    }


def _spans(points: _Points, numbers: Ints) -> pa.Table:
    """The stretches with data: `track_number`, `since`, `until`."""
    starts = _begins(points.track)
    starts[1:] |= points.gap[:-1]
    since = np.flatnonzero(starts)
    last = np.append(since[1:], len(starts))[: len(since)] - 1
    until = points.instant[last] + points.held[last]
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
    begins = np.ones(len(track), dtype=bool)
    begins[1:] = track[1:] != track[:-1]
    return begins


def _offsets(lengths: Ints) -> npt.NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def _ratio(part: Any, whole: Any) -> Floats:
    """`part / whole`, NaN where there is no whole."""
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
