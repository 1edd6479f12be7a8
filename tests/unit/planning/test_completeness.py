"""Completeness: what counts as missing of a call session and of a day."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from pipeline.model import Call, Stay, Window
from pipeline.planning.completeness import (
    LISTING_GRACE,
    CallCompleteness,
    DayCompleteness,
    completeness_rows,
    is_certified,
    judge_calls,
    judge_day,
    row_problems,
)
from pipeline.planning.facts import Attendance, CallFacts, Listing, StayFacts, WindowRequest
from pipeline.planning.inventory import DayInventory
from tests.support import CALL, DAY, STAY, at

FACTS = CallFacts(CALL, at(10), at(11), at(11, 5))
WINDOW = Window(at(10), at(10, 20))
NEXT_DAY = at(24 + 3)
WHOLE = Listing("calls", at(24 + 1), pages=1)
LANDED = WindowRequest(WINDOW, at(12), 200, usable=True, publishes=True)


def inventory(facts: CallFacts = FACTS, attendance: Attendance | None = None) -> DayInventory:
    """Return the inventory of one call session with one stay of twenty minutes."""
    stay = StayFacts(STAY, facts, at(10), at(10, 20), at(12))
    attendance = attendance or Attendance(1, 1, [Listing("people", at(12), pages=1)])
    return DayInventory(None, {CALL: facts}, {CALL: attendance}, {STAY: stay})  # type: ignore[arg-type]


def states(*given: str) -> pa.Table:
    """Return rows of `windows` of the call session, in these states."""
    ids = {"call_type": CALL.call_type, "call_id": CALL.call_id, "call_session_id": CALL.call_session_id}
    return pa.Table.from_pylist([ids | {"state": state} for state in given])


def judged(
    day: DayInventory | None = None,
    *,
    listings: tuple[Listing, ...] = (WHOLE,),
    requests: dict[Stay, list[WindowRequest]] | None = None,
    windows: pa.Table | None = None,
    now: datetime = NEXT_DAY,
) -> DayCompleteness:
    """Return what is stored and missing of the day; of a complete one unless something else is given."""
    requests = {STAY: [LANDED]} if requests is None else requests
    return judge_day(DAY, day or inventory(), listings, requests, states("landed") if windows is None else windows, now)


def sentences(completeness: DayCompleteness) -> list[str]:
    """Return the problems of a day, each with its kind."""
    return [f"{problem.kind}: {problem}" for problem in completeness.problems]


def test_day_with_everything_is_complete() -> None:
    """A day is complete if everything was listed and fetched after it was over."""
    assert sentences(judged()) == []
    assert judged().verdict == "complete"
    assert judged().first_expiry == at(11) + timedelta(days=90)


@pytest.mark.parametrize(
    ("requests", "is_due"),
    [
        ([], 1),
        ([LANDED], 0),
        ([replace(LANDED, fetched_at=at(11))], 1),  # landed, but before the report
        ([replace(LANDED, status=500, usable=False)], 1),
        ([replace(LANDED, status=404, usable=False)], 0),
    ],
)
def test_window_is_due_until_its_final_response(requests: list[WindowRequest], is_due: int) -> None:
    """The table of call sessions and the judgement of the day agree."""
    completeness = judged(requests={STAY: requests})
    assert completeness.due == is_due
    assert completeness.is_complete is (is_due == 0)
    rows = completeness_rows(judge_calls(inventory(), {STAY: requests}, None)).to_pylist()
    assert [(row["due"], row["is_complete"]) for row in rows] == [(is_due, is_due == 0)]


def test_suspect_window_makes_only_its_own_call_incomplete() -> None:
    """The response of a suspect window has landed, and cannot be right."""
    other = Call("default", "other", "o1")
    both = inventory()
    both.calls[other] = replace(FACTS, call=other)
    both.attendance[other] = both.attendance[CALL]
    windows = states("landed", "suspect")
    assert sentences(judged(both, windows=windows)) == ["suspect: 1 window has timestamps that cannot be right"]
    rows = completeness_rows(judge_calls(both, {STAY: [LANDED]}, windows)).to_pylist()
    assert {row["call_id"]: row["is_complete"] for row in rows} == {CALL.call_id: False, "other": True}


@pytest.mark.parametrize(
    ("attendance", "expected"),
    [
        (Attendance(), "not been listed in full"),
        (Attendance(1, 1, [Listing("people", at(11, 5), pages=1)]), None),
        (
            Attendance(1, 1, [Listing("people", at(11, 4), pages=1)]),
            "not been listed in full",
        ),  # before the report
        (Attendance(1, 1, [Listing("people", at(12), pages=1, next_cursor="x")]), "not been listed in full"),
        (Attendance(0, 0, [Listing("people", at(12), failed=True, status=404)]), None),
        (Attendance(0, 0, [Listing("people", at(12), failed=True, status=500)]), "not been listed in full"),
        (Attendance(3, 1, [Listing("people", at(12), pages=1)]), "1 of 3 stays of"),
    ],
)
def test_participants_must_be_listed_in_full_since_the_report(attendance: Attendance, expected: str | None) -> None:
    """A listing from before the report may lack stays, and so may one that ended early."""
    found = sentences(judged(inventory(attendance=attendance)))
    assert [text.split(":")[0] for text in found] == ([] if expected is None else ["stays"])
    assert expected is None or expected in found[0]


@pytest.mark.parametrize(
    ("listings", "now", "expected"),
    [
        ((), NEXT_DAY, ["calls: its call sessions have not been listed yet"]),
        ((replace(WHOLE, next_cursor="x"),), NEXT_DAY, ["calls: the list of its call sessions is incomplete"]),
        ((WHOLE, replace(WHOLE, failed=True)), NEXT_DAY, ["calls: the list of its call sessions is incomplete"]),
        (
            (replace(WHOLE, began_at=at(20)),),
            NEXT_DAY,
            ["calls: its call sessions were last listed at 2026-11-01 20:00 UTC, before the day was over"],
        ),
        ((replace(WHOLE, began_at=at(20)),), at(21), []),
    ],
)
def test_calls_must_be_listed_after_the_day_is_over(
    listings: tuple[Listing, ...], now: datetime, expected: list[str]
) -> None:
    """While the day lasts, any listing will do, and afterwards there may be calls that it lacks."""
    assert sentences(judged(listings=listings, now=now)) == expected


def test_day_that_is_not_over_is_not_complete() -> None:
    """Nothing is missing, but more is to come."""
    completeness = judged(listings=(replace(WHOLE, began_at=at(20)),), now=at(21))
    assert (completeness.verdict, completeness.is_complete, list(completeness.problems)) == ("in progress", False, [])


def test_live_call_is_a_problem_an_hour_after_the_day() -> None:
    """A call that was live when last fetched may be left alone for an hour, and then data is missing."""
    live = inventory(replace(FACTS, ended_at=None), Attendance())
    listed_at = WHOLE.began_at
    assert judged(live, now=listed_at + timedelta(minutes=59)).verdict == "in progress"
    later = judged(live, now=listed_at + timedelta(minutes=61))
    assert sentences(later) == ["calls: 1 call session was still live when last fetched, at 2026-11-02 01:00 UTC"]
    rows = completeness_rows(judge_calls(live, {}, None)).to_pylist()
    assert not rows[0]["is_complete"]


@pytest.mark.parametrize(
    ("why", "is_complete", "page", "certified"),
    [
        ("complete and listed afterwards", [True, True], {}, True),
        ("no call session", [], {}, True),
        ("one call is incomplete", [True, False], {}, False),
        ("listed too early", [True], {"fetched_at": at(24) + LISTING_GRACE - timedelta(seconds=1)}, False),
        ("the listing failed", [True], {"error": "HTTP 500"}, False),
        ("the listing was interrupted", [True], {"next_cursor": "c"}, False),
        ("never listed", [True], None, False),
    ],
)
def test_day_is_certified_by_its_table_and_a_listing_after_its_end(
    why: str, is_complete: list[bool], page: dict[str, object] | None, certified: bool
) -> None:
    """Every call session must be complete, and the newest page must end a listing that began after the day."""
    newest = {"fetched_at": at(24) + LISTING_GRACE, "error": None, "next_cursor": None}
    assert is_certified(DAY, is_complete, None if page is None else newest | page) is certified, why


@pytest.mark.parametrize(
    ("columns", "is_live", "expected"),
    [
        ({"is_complete": True}, False, []),
        ({}, True, []),
        ({}, False, ["the participants have not been listed in full since the call's report"]),
        ({"stays_held": 1}, False, ["1 of 2 stays are stored"]),
        (
            {"windows_due": 3, "windows_missing": 1, "windows_failed": 2},
            False,
            ["3 windows have no final response (1 not requested yet, 2 failed after all retries)"],
        ),
        ({"windows_suspect": 1}, False, ["1 window has timestamps that cannot be right"]),
    ],
)
def test_call_is_judged_the_same_from_a_row_of_its_table(
    columns: dict[str, object], is_live: bool, expected: list[str]
) -> None:
    """The problems of a call session follow from its row of `ingest_completeness_by_call`."""
    counts = dict.fromkeys(("windows_due", "windows_suspect", "windows_missing", "windows_failed"), 0)
    row = {"stays_promised": 2, "stays_held": 2, "is_complete": False} | counts | columns
    call = CallCompleteness.of_row(row, is_live=is_live)
    assert list(map(str, call.problems)) == expected
    assert call.is_complete is (not expected and not is_live)


@pytest.mark.parametrize(
    ("is_complete", "is_live", "expected"),
    [
        (True, False, ()),
        (None, False, ("The database does not say how complete the call is.",)),
        (None, True, ("The database does not say how complete the call is.",)),
        (False, False, ("1 of 2 stays are stored.",)),
        (
            False,
            True,
            (
                "The call was still live when last fetched, at 2026-11-01 20:00 UTC; later data is not stored.",
                "1 of 2 stays are stored.",
            ),
        ),
    ],
)
def test_row_that_is_not_complete_always_has_a_problem(
    is_complete: bool | None, is_live: bool, expected: tuple[str, ...]
) -> None:
    """A live call and one without a row say so themselves."""
    counts = dict.fromkeys(("windows_due", "windows_suspect", "windows_missing", "windows_failed"), 0)
    row = counts | {"stays_promised": 2, "stays_held": 2 if is_complete else 1, "is_complete": is_complete}
    assert row_problems(row, is_live=is_live, live_at=at(20)) == expected
