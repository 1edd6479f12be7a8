"""Listings: rows from pages of call_stats and Call Attendance, as later pages change them."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.model import Response
from pipeline.planning.listings import updated_sessions
from tests.support import DAY, at
from tests.support.responses import Day, attendance_page, call_stats_page, nanoseconds


def test_call_session_belongs_to_the_utc_day_of_its_start(tmp_path: Path) -> None:
    """A call session that reports a start on another day is left to that day."""
    ids = {"call_type": "default", "call_session_id": "s"}
    starts = {"a": at(0), "b": at(23, 59, 59.999999), "c": at(24), "d": at(-1), "e": None}
    page = call_stats_page(
        *({**ids, "call_id": name, "call_started_at": start and start.isoformat()} for name, start in starts.items())
    )
    day = Day(tmp_path, page)
    assert [row["call_id"] for row in day.call_sessions.to_pylist()] == ["a", "b", "e"]
    assert day.of_other_days == 2


@pytest.mark.parametrize(
    ("start", "started_at"),
    [
        (1793491199.9999998, at(0)),
        (1793491200.0, at(0)),
        (1793577599.9999998, at(23, 59, 59.999999)),
        (1793577600.0, at(23, 59, 59.999999)),
        (1793491200.5, at(0, 0, 0.5)),
        (1793491199.5, None),
        (1793577600.5, None),
        (1793577600, None),
    ],
)
def test_start_in_float_seconds_stays_on_the_day_that_lists_it(
    start: float, started_at: datetime | None, tmp_path: Path
) -> None:
    """Rounding does not move a call session over midnight, where no list of the other day has it."""
    call = {"call_type": "default", "call_id": "a", "call_session_id": "s", "call_started_at": start}
    day = Day(tmp_path, call_stats_page(call))
    assert [row["started_at"] for row in day.call_sessions.to_pylist()] == [started_at][: started_at is not None]
    assert day.of_other_days == (started_at is None)


def test_call_session_keeps_the_latest_value_of_each_column(tmp_path: Path) -> None:
    """A value that a later page leaves out remains, and so does a call session that disappears."""
    ids = {
        "call_type": "default",
        "call_id": "standup",
        "call_session_id": "s1",
        "call_started_at": nanoseconds(at(10)),
    }
    other = ids | {"call_id": "other"}
    day = Day(
        tmp_path,
        call_stats_page(ids | {"counts": {"cq_score": 80, "sessions": 2}}, other, fetched_at=at(12)),
        call_stats_page(ids | {"call_ended_at": nanoseconds(at(11)), "counts": {"sessions": 3}}, fetched_at=at(14)),
        call_stats_page(
            ids | {"counts": {"cq_score": None, "sessions": 1}}, fetched_at=at(13)
        ),  # landed late, is older
        call_stats_page(fetched_at=at(15)),
    )
    listed = {row["call_id"]: row for row in day.call_sessions.to_pylist()}
    assert set(listed) == {"other", "standup"}
    call = listed["standup"]
    assert (call["cq_score"], call["sessions"], call["ended_at"], call["is_live"]) == (80, 3, at(11), False)
    assert listed["other"]["is_live"]


def test_call_session_that_goes_live_again_has_no_end_until_a_new_one(tmp_path: Path) -> None:
    """Only a newer report with live user sessions takes the end away."""
    ids = {"call_type": "default", "call_id": "a", "call_session_id": "s", "call_started_at": nanoseconds(at(10))}

    def report(hour: int, live: int | None, ended_at: datetime | None = None) -> Response:
        counts = {} if live is None else {"live_sessions": live}
        end = {} if ended_at is None else {"call_ended_at": nanoseconds(ended_at)}
        return call_stats_page(
            ids | end | {"generated_at": nanoseconds(at(hour)), "counts": counts}, fetched_at=at(12 + len(pages))
        )

    pages: list[Response] = []
    for page, ended_at in (
        ((11, 0, at(11)), at(11)),
        ((12, None), at(11)),
        ((10, 2), at(11)),  # a report from before the end
        ((13, 2), None),
        ((13, None), None),
        ((14, 0, at(14)), at(14)),
        ((15, 0), at(14)),
    ):
        pages.append(report(*page))
        (call,) = Day(tmp_path / f"{len(pages)}", *pages).call_sessions.to_pylist()
        assert (call["ended_at"], call["is_live"]) == (ended_at, ended_at is None), page


def test_participants_remain_if_a_later_list_is_empty(tmp_path: Path) -> None:
    """The total is the greatest that the source ever reported."""
    ann = {"user_id": "ann", "user_session_id": "ann-1", "joined_at": nanoseconds(at(10)), "roles": ["host"]}
    day = Day(
        tmp_path,
        attendance_page(ann, total=3, fetched_at=at(12)),
        attendance_page(ann | {"left_at": nanoseconds(at(11)), "roles": None}, total=2, fetched_at=at(13)),
        attendance_page(total=1, fetched_at=at(14)),
    )
    (stay,) = day.participants.to_pylist()
    assert (stay["joined_at"], stay["left_at"], stay["roles"]) == (at(10), at(11), ["host"])
    assert day.totals.to_pylist()[0]["promised"] == 3


def test_updated_sessions_have_a_version_that_follows_the_source(tmp_path: Path) -> None:
    """The version of a call session differs if anything that the source reports about it does."""
    call = {"call_type": "default", "call_id": "a", "call_session_id": "s", "call_started_at": nanoseconds(at(10))}

    def versions(*pages: dict[str, Any]) -> list[tuple[date, str]]:
        updates = updated_sessions([json.dumps(page) for page in pages]).to_pylist()
        return [(row["session_date"], row["version"]) for row in updates]

    before = versions({"call_stats": [call]})
    assert [day for day, _ in before] == [DAY]
    assert versions({"call_stats": [call]}, {"call_stats": [call]}) == before
    assert versions({"call_stats": [{**call, "counts": {"sessions": 2}}]}) != before
    tomorrow = {**call, "call_started_at": nanoseconds(at(24))}
    assert [day for day, _ in versions({"call_stats": [tomorrow, call, {}]})] == [DAY, DAY + timedelta(days=1)]
    assert versions() == []
