"""Responses as lists of pairs, and the points that `explode_points` makes of them, as plain values.

Times are Unix times in the source's unit. What `explode_points` returns is turned into rows that a test can write down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.schema import METRICS
from pipeline.tables.points import ResponseWindows, explode_points
from tests.support import MIDNIGHT

SECOND = 1_000_000
"""Microseconds in a second."""

BEGIN = int(MIDNIGHT.timestamp()) * SECOND
"""Midnight of the day, in microseconds since 1970."""

WIDTH = 1800 * SECOND
"""Microseconds in a whole window."""

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

Pair = tuple[float | int | None, float | None] | None
"""A time and a value, as in JSON; None for a null in the place of a pair."""


@dataclass(frozen=True)
class Track:
    """A track in a response: ids, codec, and its pairs by metric (None if the metric is absent)."""

    track_id: str | None
    track_type: str | None
    codec: str | None
    series: dict[str, list[Pair] | None]


@dataclass(frozen=True)
class ResponseTracks:
    """One response: its stay, its window, and its tracks. `since` and `until` are in microseconds."""

    stay: int
    window: int
    tracks: list[Track]
    since: int
    until: int
    unreadable: bool = False


@dataclass(frozen=True)
class Result:
    """Rows (stay, track id, type, metric, microseconds, value, codec), and what was found on the way, see `Points`."""

    rows: list[tuple[Any, ...]]
    unit: list[int]
    suspect: list[bool]
    per_window: list[int]


def explode(responses: list[ResponseTracks]) -> Result:
    """Return what `explode_points` makes of responses, in the order in which they came."""
    pairs = pa.list_(pa.list_(pa.float64(), 2))
    rows = [(place, track) for place, response in enumerate(responses) for track in response.tracks]
    tracks = pa.table(
        {
            "n": pa.array([place for place, _ in rows], pa.int64()),
            "track_id": pa.array([track.track_id for _, track in rows], pa.string()),
            "track_type": pa.array([track.track_type for _, track in rows], pa.string()),
            "codec": pa.array([track.codec for _, track in rows], pa.string()),
            **{metric: pa.array([_pairs(track.series.get(metric)) for _, track in rows], pairs) for metric in METRICS},
        }
    )
    columns = [
        np.array([getattr(response, name) for response in responses], dtype=np.int64)
        for name in ("stay", "window", "since", "until")
    ]
    points = explode_points(
        tracks, ResponseWindows(*columns), np.array([response.unreadable for response in responses], dtype=bool)
    )
    runs = points.runs.to_pylist()
    out = [
        (
            runs[run]["stay"],
            runs[run]["track_id"],
            runs[run]["track_type"],
            runs[run]["metric"],
            int(time),
            float(value),
            runs[run]["codec"],
        )
        for run, time, value in zip(points.run_of_point, points.timestamp, points.value, strict=True)
    ]
    assert sorted(set(points.run_of_point.tolist())) == list(range(len(runs))), "every run has points, and in order"
    return Result(
        out, [int(unit) for unit in points.unit], [bool(one) for one in points.suspect], points.per_window.tolist()
    )


def _pairs(series: list[Pair] | None) -> list[list[float | None] | None] | None:
    if series is None:
        return None
    return [None if pair is None else [None if one is None else float(one) for one in pair] for pair in series]


def times(unit: str, microseconds: int) -> float | int:
    """Return an instant (microseconds since midnight of the day) as the source would write it."""
    if unit == "float_s":
        return (BEGIN + microseconds) / SECOND
    return (BEGIN + microseconds) * PER_SECOND[unit] // SECOND
