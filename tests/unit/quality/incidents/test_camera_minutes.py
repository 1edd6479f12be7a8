"""Data points of cameras by minute."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pipeline.quality.incidents.camera_minutes import CameraMinutes, is_camera, minutes_of_cameras
from pipeline.sql import read_statement

TEN = 600 * 60
"""Seconds from 1970 to ten o'clock of its first day."""


def minutes_of(*runs: tuple[int, str, str, str, list[tuple[float, float]]]) -> CameraMinutes:
    """Return the minutes of runs: stay, track, its type, metric, and pairs of seconds after ten and value."""
    table = pa.Table.from_pylist(
        [
            {"stay": stay, "track_id": track, "track_type": kind, "codec": "vp8", "metric": metric}
            for stay, track, kind, metric, _ in runs
        ]
    )
    pairs = [(number, *pair) for number, run in enumerate(runs) for pair in run[4]]
    run, after, value = (np.array(column) for column in zip(*pairs, strict=True))
    timestamp = ((after + TEN) * 1e6).astype(np.int64)
    return minutes_of_cameras(table, run.astype(np.int32), timestamp, value.astype(np.float64))


def shown(minutes: Any) -> list[tuple[float, ...]]:
    """Return camera, minute after ten, mean and share of stalls."""
    columns = (minutes.camera, minutes.minute - 600, minutes.mean, np.round(minutes.stalled, 3))
    return [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def test_points_are_put_together_by_minute() -> None:
    """Means, and the share of points without a frame. A minute without points is not there."""
    minutes = minutes_of(
        (0, "cam", "video", "bitrate", [(0, 100), (59, 300), (60, 500)]),
        (0, "cam", "video", "framerate", [(0, 30), (20, 0), (40, 0.5), (180, 20)]),
        (1, "cam", "video", "framerate", [(0, 15)]),
    )
    assert minutes.stay.tolist() == [0, 1]
    assert shown(minutes.bitrate) == [(0, 0, 200, 0), (0, 1, 500, 0)]
    assert shown(minutes.framerate) == [
        (0, 0, pytest.approx(30.5 / 3), pytest.approx(0.667)),
        (0, 3, 20, 0),
        (1, 0, 15, 0),
    ]


def test_only_cameras_count() -> None:
    """Microphones and screen shares have no minutes, and do not shift those of cameras."""
    minutes = minutes_of(
        (0, "mic", "audio", "bitrate", [(0, 1)]),
        (0, "screen", "screensharing", "framerate", [(0, 2)]),
        (3, "cam", "video", "bitrate", [(0, 4)]),
    )
    assert minutes.stay.tolist() == [3]
    assert shown(minutes.bitrate) == [(0, 0, 4, 0)]
    assert shown(minutes.framerate) == []


def test_change_of_codec_within_a_minute_is_one_minute() -> None:
    """Two runs of one camera and metric are one series."""
    minutes = minutes_of(
        (0, "cam", "video", "bitrate", [(0, 100), (20, 100)]),
        (0, "cam", "video", "bitrate", [(40, 400), (60, 5)]),
    )
    assert shown(minutes.bitrate) == [(0, 0, 200, 0), (0, 1, 5, 0)]


def test_absurd_values_stay_numbers() -> None:
    """The largest double, and numbers below zero, which no source should send."""
    minutes = minutes_of((0, "cam", "video", "bitrate", [(0, 1.7e308), (1, 1.7e308), (60, -5), (120, -0.0)]))
    assert shown(minutes.bitrate) == [(0, 0, pytest.approx(1e30), 0), (0, 1, 0, 1), (0, 2, 0, 1)]


def test_parts_are_joined_with_new_numbers() -> None:
    """Stays and cameras are counted on from part to part, also after a part without cameras."""
    one = minutes_of((1, "cam", "video", "bitrate", [(0, 1)]))
    none = minutes_of((0, "mic", "audio", "bitrate", [(0, 1)]))
    joined = CameraMinutes.joined([one, none, one], [2, 1, 2])
    assert joined.stay.tolist() == [1, 4]
    assert shown(joined.bitrate) == [(0, 0, 1, 0), (1, 0, 1, 0)]
    nothing = CameraMinutes.joined([], [])
    assert (len(nothing.stay), len(nothing.bitrate.mean)) == (0, 0)


@pytest.mark.parametrize(
    "spelling",
    [
        *("video", "VIDEO", "TRACK_TYPE_VIDEO", "camera", "audio", "screensharing", "screen_share"),
        *("screenshare_audio", "SCREEN VIDEO", "video_audio", "", None, "other"),
    ],
)
def test_a_camera_is_what_the_view_calls_a_camera(spelling: str | None) -> None:
    """The rule is the same as in `track_kinds`."""
    with duckdb.connect() as database:
        database.execute("CREATE TABLE tracks AS SELECT $kind::VARCHAR AS track_type", {"kind": spelling})
        row = database.execute(read_statement("pipeline.quality", "track_kinds")).fetchone()
    assert row is not None
    assert is_camera(spelling) == (row[1] == "camera")
