"""Pages of lists, and the cursors that lead from one to the next."""

from __future__ import annotations

import pytest

from pipeline.emulator import Emulator
from tests.support.emulator_reader import LATER, Reader, assert_refused, many_calls


@pytest.mark.parametrize("field", ["session_started_at", "session_ended_at", "generated_at", "updated_at"])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("with_cid", [True, False])
def test_call_stats_pages_contain_every_call_once_in_order(field: str, direction: int, with_cid: bool) -> None:
    """205 calls fill three pages, forward and backward, without gaps or repetitions."""
    sort = [{"field": field, "direction": direction}, *([{"field": "call_cid", "direction": -1}] if with_cid else [])]
    with Emulator(many_calls(205), clock=LATER) as emulator, Reader(emulator) as reader:
        first = reader.calls(sort=sort, limit=100)
        assert first.status_code == 201
        pages = [first.json()]
        while "next" in pages[-1]:
            pages.append(reader.calls(sort=sort, limit=100, next=pages[-1]["next"]).json())
        back = reader.calls(sort=sort, limit=100, prev=pages[-1]["prev"]).json()
    assert [len(page["call_stats"]) for page in pages] == [100, 100, 5]
    assert "prev" not in pages[0]
    assert back["call_stats"] == pages[1]["call_stats"]
    order = [row["call_started_at"] for page in pages for row in page["call_stats"]]
    assert order == sorted(set(order), reverse=direction < 0)
    assert len(order) == 205


def test_call_stats_refuses_a_cursor_of_another_order() -> None:
    """A cursor is valid for one order only."""
    with Emulator(many_calls(3), clock=LATER) as emulator, Reader(emulator) as reader:
        cursor = reader.calls(limit=1, sort=[{"field": "generated_at"}]).json()["next"]
        assert_refused(reader.calls(limit=1, sort=[{"field": "updated_at"}], next=cursor), 400, 4)
