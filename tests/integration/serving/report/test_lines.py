"""Lines of a call's tracks: they break at gaps, and show the time that the views count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from pipeline.serving.report.lines import line
from tests.support.reports import read_call
from tests.support.small_world import seconds


def test_line_breaks_at_a_gap(published: Callable[[], Path]) -> None:
    """Ann's camera has no data from 705 to 900 s: the line holds for one step, then breaks."""
    ann = read_call(published()).stays[0]
    camera = next(track for track in ann.tracks if track.label == "T1 camera")
    drawn = line(camera.metrics.instants, camera.metrics.values["framerate"], camera.quality["step_seconds"])
    at = {round(instant / 1000 - seconds(0).timestamp()): place for place, instant in enumerate(drawn.instants)}
    assert np.isnan(drawn.values[at[705]])
    assert [place for place, value in enumerate(drawn.values) if np.isnan(value)] == [at[705], len(drawn.values) - 1]


def test_lines_are_as_long_as_the_counted_time(published: Callable[[], Path]) -> None:
    """The length of each metric's line is the number of seconds in `store.track_statistics`."""
    path = published()
    with duckdb.connect(str(path), read_only=True) as database:
        counted = {
            row[:3]: row[3:]
            for row in database.execute(
                "SELECT user_session_id, track_id, track_type, bitrate_seconds, framerate_seconds, resolution_seconds "
                "FROM store.track_statistics AS statistics JOIN store.series USING (track_number)"
            ).fetchall()
        }
    found = 0
    for stay in read_call(path).stays:
        for track in stay.tracks:
            drawn = [
                line(track.metrics.instants, track.metrics.values[metric], track.quality["step_seconds"])
                for metric in ("bitrate", "framerate", "height")
            ]
            lengths = [np.diff(each.instants)[~np.isnan(each.values[:-1])].sum() / 1000 for each in drawn]
            ids = stay.facts["user_session_id"], track.quality["track_id"], track.quality["track_type"]
            assert lengths == pytest.approx(counted[ids], abs=0.001)
            found += 1
    assert found == len(counted) == 4
