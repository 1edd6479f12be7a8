"""Data points of cameras put together by minute: the only part of incidents that sees every data point.

It runs while a day is flattened, on one batch of whole stays at a time. What a bad minute is, is decided in
`episodes`. Only cameras count: nothing that the source measures distinguishes good audio from poor, and a screen share
is rightly still or busy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["CameraMinutes", "MetricMinutes", "is_camera", "minutes_of_cameras"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MINUTE = 60_000_000
"""Microseconds in a minute."""

MAX_VALUE = 1e30
"""A greater value counts as this one, so that sums of them stay numbers."""

STALLED_FPS = 1
"""Frames per second below which a point says that no frame was sent."""


@dataclass(frozen=True)
class MetricMinutes:
    """One element per minute in which a camera has points of one metric, sorted by camera and minute.

    The mean is that of the points: within one minute of one camera they have equal distances.

    Attributes:
        camera: number of the camera.
        minute: minutes since 1970 (UTC).
        mean: mean value of its points.
        stalled: share of its points below `STALLED_FPS`, 0 to 1; means something for frame rates only.
    """

    camera: npt.NDArray[np.int32]
    minute: npt.NDArray[np.int32]
    mean: npt.NDArray[np.float32]
    stalled: npt.NDArray[np.float32]


@dataclass(frozen=True)
class CameraMinutes:
    """The minutes of some cameras.

    Attributes:
        stay: for each camera the number of its stay.
        framerate: minutes with frame rates, in frames per second.
        bitrate: minutes with bitrates, in the unit of the source.
    """

    stay: Ints
    framerate: MetricMinutes
    bitrate: MetricMinutes

    @classmethod
    def joined(cls, parts: Sequence[CameraMinutes], stays: Sequence[int]) -> CameraMinutes:
        """Return several as one. `stays` says how many stays each has; their numbers go on from part to part."""
        cameras = [0, *np.cumsum([len(part.stay) for part in parts]).tolist()]
        before = [0, *np.cumsum(stays).tolist()]
        shifted = [part.stay + first for part, first in zip(parts, before, strict=False)]
        return cls(
            np.concatenate(shifted) if shifted else np.zeros(0, np.int64),
            _joined([part.framerate for part in parts], cameras),
            _joined([part.bitrate for part in parts], cameras),
        )


def is_camera(track_type: str | None) -> bool:
    """Return whether a track type, as received, means a camera. The same rule as the view `track_kinds`."""
    letters = re.sub(r"[^a-z]", "", (track_type or "").lower())
    return "screen" not in letters and "audio" not in letters and ("video" in letters or "camera" in letters)


def minutes_of_cameras(runs: pa.Table, run_of_point: Any, timestamp: Ints, value: Floats) -> CameraMinutes:
    """Return the minutes of the cameras among some points, which are sorted by stay, track, metric and time.

    `runs` has one row per run of points: `stay`, `track_id`, `track_type`, `metric`, and more. For each point,
    `run_of_point` is its row in `runs`, and `timestamp` is in microseconds since 1970 (UTC).
    """
    kinds = runs.column("track_type").combine_chunks().dictionary_encode(null_encoding="encode")
    of_camera = np.array([is_camera(kind) for kind in kinds.dictionary.to_pylist()], dtype=bool)
    metric = np.array(runs.column("metric").to_pylist(), dtype=object)
    wanted = of_camera[np.asarray(kinds.indices)] if len(of_camera) else np.zeros(0, dtype=bool)
    new = np.zeros(runs.num_rows, dtype=bool)
    new[:1] = True
    for name in ("stay", "track_id", "track_type"):
        codes = np.asarray(runs.column(name).combine_chunks().dictionary_encode(null_encoding="encode").indices)
        new[1:] |= codes[1:] != codes[:-1]
    track = np.cumsum(new) - 1
    tracks, camera = np.unique(track[wanted], return_inverse=True)
    camera_of_run = np.full(runs.num_rows, -1)
    camera_of_run[wanted] = camera
    first_run = np.searchsorted(track, tracks)
    bounds = np.append(np.searchsorted(run_of_point, np.arange(runs.num_rows)), len(timestamp))
    found = [
        _by_minute(np.flatnonzero(wanted & (metric == name)), camera_of_run, bounds, timestamp, value)
        for name in ("framerate", "bitrate")
    ]
    return CameraMinutes(np.asarray(runs.column("stay")).astype(np.int64)[first_run], *found)


def _by_minute(runs: Ints, camera_of_run: Ints, bounds: Ints, timestamp: Ints, value: Floats) -> MetricMinutes:
    """Return the minutes of the points of some runs. `bounds` are the places where each run begins, and the end."""
    if not len(runs):
        return _no_minutes()
    slices = [slice(bounds[run], bounds[run + 1]) for run in runs]
    values = np.clip(np.concatenate([value[one] for one in slices]), 0, MAX_VALUE)
    minute = np.concatenate([timestamp[one] for one in slices]) // MINUTE
    lengths = bounds[runs + 1] - bounds[runs]
    new = np.ones(len(minute), dtype=bool)
    np.not_equal(minute[1:], minute[:-1], out=new[1:])
    # Two runs of one camera are the same metric with another codec: their points are one series.
    edges = np.cumsum(lengths)[:-1]
    new[edges] |= np.diff(camera_of_run[runs]) != 0
    starts = np.flatnonzero(new)
    counts = np.diff(starts, append=len(minute))
    camera = np.repeat(camera_of_run[runs], lengths)
    return MetricMinutes(
        camera[starts].astype(np.int32),
        minute[starts].astype(np.int32),
        (np.add.reduceat(values, starts) / counts).astype(np.float32),
        (np.add.reduceat(values < STALLED_FPS, starts, dtype=np.int64) / counts).astype(np.float32),
    )


def _joined(parts: Sequence[MetricMinutes], cameras: Sequence[int]) -> MetricMinutes:
    if not parts:
        return _no_minutes()
    return MetricMinutes(
        np.concatenate([part.camera + np.int32(first) for part, first in zip(parts, cameras, strict=False)]),
        np.concatenate([part.minute for part in parts]),
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.stalled for part in parts]),
    )


def _no_minutes() -> MetricMinutes:
    ints, floats = np.zeros(0, np.int32), np.zeros(0, np.float32)
    return MetricMinutes(ints, ints, floats, floats)
