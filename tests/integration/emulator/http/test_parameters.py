"""The parameters of a request: filters, sorting and time windows."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.emulator import Emulator, ManualClock
from tests.support.emulator_reader import (
    LATER,
    SMALL_STAY,
    Reader,
    assert_refused,
    at,
    many_calls,
    points,
    small_world,
    text,
)


@pytest.mark.parametrize(
    ("filter_", "wanted"),
    [
        ({"session_started_at": {"$gte": text(at(8, 2)), "$lt": text(at(8, 4))}}, ["s002", "s003"]),
        ({"session_started_at": {"$gt": text(at(8, 2)), "$lte": text(at(8, 4))}}, ["s003", "s004"]),
        ({"session_ended_at": {"$eq": "2026-03-02T09:03:00+01:00"}}, ["s002"]),
        ({"generated_at": {"$gte": text(at(8, 7))}}, ["s004", "s005"]),
        ({"updated_at": {"$lt": text(at(8, 4))}}, ["s000"]),
        ({"call_cid": "default:c3"}, ["s003"]),
        ({"call_session_id": {"$eq": "s005"}}, ["s005"]),
        ({"is_active": False, "call_cid": {"$eq": "default:c1"}}, ["s001"]),
        ({"is_active": {"$eq": True}}, []),
        ({"counts.cq_score": {"$gte": 1}}, []),
    ],
)
def test_call_stats_filters_select_calls(filter_: dict[str, Any], wanted: list[str]) -> None:
    """Every documented filter compares as its operator says, and all conditions must hold."""
    with Emulator(many_calls(6), clock=LATER) as emulator, Reader(emulator) as reader:
        rows = reader.all_calls(filter_, sort=[{"field": "session_started_at"}])
    assert [row["call_session_id"] for row in rows] == wanted


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 101},
        {"limit": -1},
        {"limit": "many"},
        {"next": "not-a-cursor"},
        {"next": "W10", "prev": "W10"},
        {"sort": [{"field": "call_cid"}]},
        {"sort": [{"field": "generated_at"}, {"field": "updated_at"}]},
        {"sort": [{"field": "generated_at", "direction": 2}]},
        {"sort": [{"field": "generated_at"}, {"field": "call_cid"}, {"field": "call_cid"}]},
        {"filter_conditions": {"color": "red"}},
        {"filter_conditions": {"call_cid": {"$gt": "a"}}},
        {"filter_conditions": {"call_cid": 5}},
        {"filter_conditions": {"is_active": "yes"}},
        {"filter_conditions": {"session_started_at": {"$gte": "2026-03-02"}}},
        {"filter_conditions": {"session_started_at": {"$gte": "2026-03-02T08:00:00"}}},
        {"filter_conditions": {"session_started_at": {"$gte": 1772438400}}},
        {"filter_conditions": ["call_cid"]},
    ],
)
def test_call_stats_refuses_wrong_parameters(body: dict[str, Any]) -> None:
    """A wrong limit, cursor, order or filter is a 400 with code 4."""
    with Emulator(many_calls(3), clock=LATER) as emulator, Reader(emulator) as reader:
        assert_refused(reader.client.post("/api/v2/video/call_stats", json=body), 400, 4)


def test_call_stats_refuses_a_body_that_is_not_an_object() -> None:
    """Broken JSON is a client error and not a server error."""
    with Emulator(many_calls(1), clock=LATER) as emulator, Reader(emulator) as reader:
        assert_refused(reader.client.post("/api/v2/video/call_stats", content=b"{"), 400, 4)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (at(10), at(10, 30, 0.000001)),
        (at(10), at(10)),
        (at(10, 1), at(10)),
        ("2026-03-02 10:00:00", text(at(10, 30))),
        ("1772445600", "1772447400"),
        (text(at(10)), "yesterday"),
    ],
)
def test_metrics_refuses_wide_empty_or_unreadable_windows(since: Any, until: Any) -> None:
    """A window of more than 30 minutes, without length or not in RFC 3339 is a 400 with code 4."""
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        assert_refused(reader.window(SMALL_STAY, since, until), 400, 4)


def test_metrics_accepts_a_window_of_exactly_thirty_minutes() -> None:
    """Thirty minutes is the widest window."""
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        document = reader.window(SMALL_STAY, at(10), at(10, 30)).json()
    assert [value for *_, value in points(document)] == [1, 2, 3, 4]


def test_metrics_without_bounds_return_the_last_minute() -> None:
    """A request without a window gets the minute before now."""
    with Emulator(small_world(), clock=ManualClock(at(10, 20, 30))) as emulator, Reader(emulator) as reader:
        assert [value for *_, value in points(reader.window(SMALL_STAY).json())] == [3]
