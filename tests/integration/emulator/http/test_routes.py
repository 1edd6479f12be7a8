"""Paths, and the ids in them."""

from __future__ import annotations

from pipeline.emulator import Emulator, odd_world
from pipeline.emulator.world.odd import ODD_IDS
from tests.support.emulator_reader import (
    DAY,
    LATER,
    SMALL,
    Reader,
    assert_refused,
    at,
    points,
    session_path,
    small_world,
)


def test_paths_carry_ids_with_any_characters() -> None:
    """Slashes, question marks, quotes, dots and letters of any script reach the right participant."""
    world = odd_world(DAY.date(), days=1, scale=0)
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:
        for place, odd in enumerate(ODD_IDS):
            ids = ("def.ault_-1", odd, f"{odd}@0")
            (row,) = reader.attendance(ids).json()["participants_sessions"]
            assert (row["user_id"], row["user_session_id"]) == (odd, f"{odd}|{place}")
            document = reader.window((*ids, odd, row["user_session_id"]), at(14, place), at(14, place + 3)).json()
            assert list(points(document)) == [
                (odd, odd, "bitrate", at(14, place + minute).timestamp(), place + minute + 1) for minute in (0, 1)
            ]
        logged = [request.ids for request in emulator.requests if request.endpoint == "participant_metrics"]
    assert [ids["user_id"] for ids in logged] == list(ODD_IDS)


def test_paths_with_an_unencoded_slash_are_not_found() -> None:
    """A client that does not encode an id gets a 404, and so does a wrong method."""
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        assert_refused(reader.client.get("/api/v2/video/call/default/o/ne/session/s1/participant_sessions"), 404, 16)
        assert_refused(reader.client.post(f"{session_path(SMALL)}/participant_sessions"), 404, 16)
