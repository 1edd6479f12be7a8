"""Ratings: when they are listed, and the rows that listings give."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipeline.landing.bodies import BodySql
from pipeline.planning.due import LATE_RATINGS, ratings_are_due
from pipeline.planning.facts import Attendance, CallFacts, Listing
from pipeline.sql import read_statement
from tests.support import CALL, at

RATED = CallFacts(CALL, started_at=at(10), ended_at=at(12), generated_at=at(12, 5), rated_at=at(12, 20))
NOW = at(20)
LATER = at(12) + LATE_RATINGS + timedelta(hours=1)


def listed(began_at: datetime, **given: Any) -> Attendance:
    """Return the attendance of a call session whose ratings were listed once."""
    return Attendance(ratings_listings=(Listing("one", began_at, **({"pages": 1, "status": 201} | given)),))


@pytest.mark.parametrize(
    ("facts", "now", "attendance", "due"),
    [
        (RATED, NOW, Attendance(), True),
        (replace(RATED, rated_at=None), NOW, Attendance(), False),
        (replace(RATED, ended_at=None), NOW, Attendance(), False),
        (RATED, NOW, listed(at(13)), False),
        (RATED, NOW, listed(at(12, 10)), True),
        (replace(RATED, generated_at=at(14)), NOW, listed(at(13)), True),
        (RATED, LATER, listed(at(13)), True),
        (RATED, LATER, listed(LATER), False),
        (RATED, NOW, listed(at(13), pages=0, failed=True, status=403), False),
        (RATED, NOW, listed(at(13), pages=0, failed=True, status=404), False),
        (RATED, NOW, listed(at(13), pages=0, failed=True, status=400), True),
        (RATED, NOW, listed(at(13), pages=0, failed=True, status=500), True),
        (RATED, NOW, listed(at(13), next_cursor="c"), True),
    ],
    ids=[
        "never listed",
        "call_stats report no rating",
        "live",
        "listed",
        "listed before these ratings were reported",
        "listed before the report",
        "not listed since late ratings",
        "listed since late ratings",
        "forbidden",
        "not found",
        "refused",
        "failed",
        "interrupted",
    ],
)
def test_ratings_are_due(facts: CallFacts, now: datetime, attendance: Attendance, due: bool) -> None:
    """For a settled call session with reported ratings, until they are listed as they are reported, and once late."""
    assert ratings_are_due(facts, attendance, now) is due


def page(*rows: dict[str, Any] | None) -> str:
    """Return a page of user feedback."""
    full = [None if row is None else {"cid": "default:standup", "session_id": "s1"} | row for row in rows]
    return json.dumps({"user_feedback": full, "duration": "1ms"})


def ratings(*bodies: str) -> list[tuple[Any, ...]]:
    """Return user, number, rating, reason and minute of listing of the rows that some pages give, in order."""
    count = len(bodies)
    pages = pa.table(
        {
            "n": pa.array(range(count), pa.int64()),
            "call_type": ["default"] * count,
            "call_id": ["standup"] * count,
            "call_session_id": ["s1"] * count,
            "fetched_at": pa.array([at(13, number) for number in range(count)], pa.timestamp("us", "UTC")),
            "body": list(bodies),
        }
    )
    with BodySql() as sql:
        rows = sql.query(read_statement("pipeline.planning", "user_feedback"), pages=pages).to_pylist()
    names = ("user_id", "rating_number", "rating", "reason")
    return [(*(row[name] for name in names), row["first_listed_at"].minute) for row in rows]


def test_later_listing_adds_and_removes_nothing() -> None:
    """A rating keeps its number and its time, and one that is not listed again stays."""
    ann, bob = {"user_id": "ann", "rating": 5, "reason": ""}, {"user_id": "bob", "rating": 1, "reason": "noise"}
    again = {"user_id": "ann", "rating": 2, "reason": "froze"}
    assert ratings(page(ann, bob), page(again, ann)) == [
        ("ann", 1, 5, "", 0),
        ("ann", 2, 2, "froze", 1),
        ("bob", 1, 1, "noise", 0),
    ]


@pytest.mark.parametrize(
    "row",
    [
        None,
        {"forgotten": "abc"},
        {"user_id": "ann"},
        {"rating": 3},
        {"user_id": "ann", "rating": 3, "session_id": "s2"},
        {"user_id": "ann", "rating": 3, "cid": "default:other"},
    ],
)
def test_row_that_is_no_rating_of_this_call_session_is_left_out(row: dict[str, Any] | None) -> None:
    """Marks of erased people, rows without user or stars, and rows of other call sessions."""
    assert ratings(page(row)) == []


@pytest.mark.parametrize("body", ["", "{}", '{"user_feedback": null}', '{"user_feedback": "text"}'])
def test_page_without_a_list_has_no_rating(body: str) -> None:
    """A null list is an empty one, and what cannot be read gives no row."""
    assert ratings(body) == []
