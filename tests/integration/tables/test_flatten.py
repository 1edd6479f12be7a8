"""Flattening responses with values of any shape in the place of fields."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Stay
from pipeline.schema import METRICS
from tests.support import CALL, examples
from tests.support.responses import BOB, CLIENT, JUNK, TEN, Day, metrics_response, track

GOOD = metrics_response({"published_tracks": [track([TEN, 1])]}, stay=BOB)
PLACES: list[list[str | int]] = [
    ["client"],
    ["client", "location"],
    ["client", "location", "latitude"],
    ["client", "name"],
    ["is_subscriber"],
    ["joined_at"],
    ["new"],
    ["published_tracks", 0],
    ["published_tracks", 0, "track_id"],
    ["published_tracks", 0, "track_type"],
    ["published_tracks", 0, "codec"],
    ["published_tracks", 0, "bitrate"],
    ["published_tracks", 0, "bitrate", "data_points"],
    ["published_tracks", 0, "bitrate", "data_points", 0],
    ["published_tracks", 0, "bitrate", "data_points", 0, 0],
    ["published_tracks", 0, "bitrate", "data_points", 0, 1],
    ["published_tracks", 0, "framerate"],
    ["published_tracks", 0, "resolution"],
    ["published_tracks", 0, "resolution", "width"],
    ["published_tracks", 0, "warnings"],
    ["published_tracks", 0, "warnings", 0],
    ["published_tracks", 0, "warnings", 0, "time"],
    ["published_tracks", 1],
]
WHOLE = {
    "is_publisher": True,
    "is_subscriber": True,
    "joined_at": 1,
    "client": CLIENT,
    "published_tracks": [
        {
            **track([TEN, 1], [TEN + 10, 2]),
            "resolution": {"width": {"data_points": [[TEN, 640]]}},
            "warnings": [{"time": TEN, "code": "c", "warning": "w"}],
        },
        track([TEN, 1, 1], track_id="garbled"),
    ],
}


@given(
    junk=st.lists(st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=3), min_size=1, max_size=4)
)
@examples(15)
def test_response_of_any_shape_does_not_affect_the_others(
    junk: list[list[tuple[list[str | int], Any]]], tmp_path: Path
) -> None:
    """Whatever is in the place of a field, the day is flattened and the rows of the other responses are complete."""
    responses = []
    for number, changes in enumerate(junk):
        body = copy.deepcopy(WHOLE)
        for place, value in changes:
            _put(body, place, value)
        responses.append(metrics_response(body, stay=Stay(CALL, f"odd-{number}", "1")))
    day = Day(tmp_path, *responses, GOOD)
    assert ("bob-1", "mic", "bitrate", 0, 1) in day.points()
    keys = [tuple(row.values())[:-1] for row in day.metric_points.drop_columns(["codec"]).to_pylist()]
    assert len(set(keys)) == len(keys)
    assert {row["metric"] for row in day.metric_points.to_pylist()} <= set(METRICS)


def _put(body: Any, place: list[str | int], value: Any) -> None:
    """Replace the value at a place in a body, if there is one."""
    for step in place[:-1]:
        try:
            body = body[step]
        except (TypeError, KeyError, IndexError):
            return
    if isinstance(body, dict) or (isinstance(body, list) and isinstance(place[-1], int) and place[-1] < len(body)):
        body[place[-1]] = value
