"""The call and the stay that a request names."""

from __future__ import annotations

from pipeline.emulator import Emulator, StaySpec
from tests.support.emulator_reader import LATER, SMALL, SMALL_STAY, Reader, assert_refused, at, small_world


def test_unknown_ids_are_not_found() -> None:
    """An unknown call, session, user or user session is a 404 with code 16."""
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        for place in range(5):
            ids = tuple("nobody" if place == n else one for n, one in enumerate(SMALL_STAY))
            assert_refused(reader.window(ids, at(10), at(10, 30)), 404, 16)
        assert_refused(reader.attendance(("default", "one", "other")), 404, 16)


def test_two_stays_of_one_user_are_separate() -> None:
    """The user id alone does not identify a stay."""
    stays = (StaySpec("ann", "one", at(10), at(10, 5)), StaySpec("ann", "two", at(10), at(10, 9)))
    with Emulator(small_world(participants=stays), clock=LATER) as emulator, Reader(emulator) as reader:
        document = reader.window((*SMALL, "ann", "two"), at(10), at(10, 30)).json()
    assert document["user_session_id"] == "two"
