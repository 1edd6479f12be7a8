"""The inventory of a day: call sessions, attendance and stays, as they follow from its listings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.landing.landing import Landing
from pipeline.model import Call, Response
from pipeline.planning.inventory import DayInventory, Inventories
from tests.support import CALL, DAY, STAY, at
from tests.support.responses import attendance_page, call_stats_page, land, nanoseconds

ANN = {"user_id": "ann", "user_session_id": "ann-1", "joined_at": nanoseconds(at(10)), "left_at": nanoseconds(at(11))}


def call_row(**counts: Any) -> dict[str, Any]:
    """Return a row of call_stats about the call session, which has ended."""
    instants = {"call_started_at": at(10), "call_ended_at": at(11), "generated_at": at(11, 5)}
    ids = {"call_type": CALL.call_type, "call_id": CALL.call_id, "call_session_id": CALL.call_session_id}
    return ids | {name: nanoseconds(instant) for name, instant in instants.items()} | {"counts": counts}


def inventory(folder: Path, *responses: Response) -> DayInventory:
    """Return the inventory of a day with these responses."""
    landing = Landing(folder / "raw")
    for response in responses:
        land(landing, [response], endpoint=response.request.endpoint)
    return Inventories(landing, folder).of(DAY)


def test_inventory_has_the_times_of_calls_and_stays(tmp_path: Path) -> None:
    """A stay has the times of its own, of its call session, and of the latest list that contains it."""
    found = inventory(tmp_path, call_stats_page(call_row()), attendance_page(ANN), attendance_page(fetched_at=at(13)))
    facts = found.stays[STAY]
    assert (facts.joined_at, facts.left_at, facts.seen_at) == (at(10), at(11), at(13))
    assert facts.call is found.calls[CALL]
    assert (facts.call.ended_at, facts.call.settled_at) == (at(11), at(11, 5))


@pytest.mark.parametrize(
    ("total", "sessions", "promised"), [(3, 2, 3), (1, 2, 1), (0, 2, 2), (None, 2, 2), (None, None, 0)]
)
def test_inventory_promises_the_total_or_else_the_count_of_call_stats(
    total: int | None, sessions: int | None, promised: int, tmp_path: Path
) -> None:
    """A missing total, or a total of zero, does not mean that no one was there."""
    found = inventory(tmp_path, call_stats_page(call_row(sessions=sessions)), attendance_page(ANN, total=total))
    assert (found.attendance[CALL].promised, found.attendance[CALL].held) == (promised, 1)


def test_inventory_leaves_out_stays_of_unknown_calls(tmp_path: Path) -> None:
    """A list of participants of a call session that call_stats do not have is ignored."""
    other = attendance_page(ANN, call=Call("default", "other", "o1"))
    found = inventory(tmp_path, call_stats_page(call_row()), attendance_page(ANN), other)
    assert list(found.stays) == [STAY]
    assert list(found.calls) == list(found.attendance) == [CALL]


def test_inventory_counts_erased_people_as_neither_promised_nor_held(tmp_path: Path) -> None:
    """The total still counts an erased stay, so its mark is subtracted."""
    page = attendance_page(ANN, {"forgotten": "hash"}, total=2)
    found = inventory(tmp_path, call_stats_page(call_row()), page)
    assert (found.attendance[CALL].promised, found.attendance[CALL].held) == (1, 1)


def test_inventory_is_kept_until_something_lands(tmp_path: Path) -> None:
    """Reading the day again costs nothing if no segment has changed."""
    landing = Landing(tmp_path / "raw")
    inventories = Inventories(landing, tmp_path)
    land(landing, [call_stats_page(call_row())], endpoint="call_stats")
    first = inventories.of(DAY)
    assert inventories.of(DAY) is first
    inventories.close()
    land(landing, [attendance_page(ANN)], endpoint="participant_sessions")
    assert list(inventories.of(DAY).stays) == [STAY]
    inventories.close()
