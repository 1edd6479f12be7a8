"""Parts that several documents share: fields that a spec adds or omits."""

from __future__ import annotations

from pipeline.emulator import Emulator, StaySpec, TrackSpec, expected_rows
from tests.support.emulator_reader import LATER, SMALL_STAY, Reader, at, small_world


def test_unknown_and_missing_fields_are_sent_as_scripted() -> None:
    """Extra fields appear and omitted ones do not, on calls, stays and tracks."""
    track = TrackSpec("mic", extra=(("qp", 3),), omit=frozenset({"codec"}))
    stay = StaySpec(
        "ann", "ann-1", at(10), at(11), tracks=(track,), extra=(("x", 1),), omit=frozenset({"publisher_type"})
    )
    world = small_world(participants=(stay,), extra=(("y", None),), omit=frozenset({"call_started_at"}))
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:
        (call,) = reader.all_calls()
        document = reader.window(SMALL_STAY, at(10), at(10, 30)).json()
    assert "call_started_at" not in call
    assert call["y"] is None
    assert document["x"] == 1
    assert "publisher_type" not in document
    assert document["published_tracks"] == [{"track_id": "mic", "track_type": "video", "qp": 3}]
    assert expected_rows(world, at(12), tables=("call_sessions",))["call_sessions"][0]["started_at"] is None
