"""Responses of any shape: whatever the source sends, a day is flattened, and nothing else of it is lost."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Stay
from pipeline.schema import METRICS
from tests.support import CALL, at, examples
from tests.support.raw_day import BOB, CLIENT, TEN, Day, attendance_page, calls_page, metrics, nanoseconds, track

GOOD = metrics({"published_tracks": [track([TEN, 1])]}, stay=BOB)
JUNK = st.sampled_from([None, 0, -1.5, True, "x", "", [], [1], [None], {}, {"data_points": 1}, [[TEN, 1]], "a\x00b"])
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
@examples(40)
def test_responses_of_any_shape_do_not_stop_the_others(
    junk: list[list[tuple[list[str | int], Any]]], tmp_path: Path
) -> None:
    """Whatever value a field has, the day is flattened, and the rows of other responses are complete."""
    responses = []
    for number, changes in enumerate(junk):
        body = copy.deepcopy(WHOLE)
        for place, value in changes:
            _put(body, place, value)
        responses.append(metrics(body, stay=Stay(CALL, f"odd-{number}", "1")))
    day = Day(tmp_path, *responses, GOOD)
    assert ("bob-1", "mic", "bitrate", 0, 1) in day.points()
    keys = [tuple(row.values())[:-1] for row in day.metric_points.drop_columns(["codec"]).to_pylist()]
    assert len(set(keys)) == len(keys)
    assert {row["metric"] for row in day.metric_points.to_pylist()} <= set(METRICS)


@given(junk=st.lists(st.tuples(st.sampled_from(["user_id", "roles", "joined_at", "duration_in_seconds", ""]), JUNK)))
@examples(40)
def test_listings_of_any_shape_do_not_stop_the_others(junk: list[tuple[str, Any]], tmp_path: Path) -> None:
    """Rows of listings that cannot be read are left out or have NULLs; the others are complete."""
    ann = {"user_id": "ann", "user_session_id": "ann-1", "joined_at": nanoseconds(at(10)), "roles": ["r"]}
    odd = [value if name == "" else {**ann, "user_session_id": "odd", name: value} for name, value in junk]
    call = {
        "call_type": "default",
        "call_id": "standup",
        "call_session_id": "s1",
        "call_started_at": nanoseconds(at(10)),
    }
    odd_calls = [{**call, "call_id": "odd", "counts": value, "generated_at": value} for _, value in junk]
    day = Day(
        tmp_path,
        attendance_page(*odd, ann, total=junk[0][1] if junk else 1),
        calls_page(*(value for _, value in junk), *odd_calls, call),
    )
    assert ("ann", "ann-1", at(10), ["r"]) in [
        (row["user_id"], row["user_session_id"], row["joined_at"], row["roles"]) for row in day.attended.to_pylist()
    ]
    assert "standup" in day.call_sessions.column("call_id").to_pylist()


def _put(body: Any, place: list[str | int], value: Any) -> None:
    for step in place[:-1]:
        try:
            body = body[step]
        except (TypeError, KeyError, IndexError):
            return
    if isinstance(body, dict) or (isinstance(body, list) and isinstance(place[-1], int) and place[-1] < len(body)):
        body[place[-1]] = value
