"""What counts as missing: the one definition that the command line, the checks and the certificates share."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pyarrow as pa
import pytest

from pipeline.model import Call, Stay, Window
from pipeline.planning.completeness import (
    DayCompleteness,
    completeness_rows,
    days_before_the_first,
    judge_calls,
    judge_day,
    next_to_expire,
    problem_lines,
)
from pipeline.planning.facts import Attendance, CallFacts, Listing, StayFacts, WindowRequest
from pipeline.planning.inventory import DayInventory
from tests.support import CALL, DAY, STAY, at

FACTS = CallFacts(CALL, at(10), at(11), at(11, 5))
WINDOW = Window(at(10), at(10, 20))
NEXT_DAY = at(24 + 3)
WHOLE = Listing("calls", at(24 + 1), pages=1)
ANSWERED = WindowRequest(WINDOW, at(12), 200, usable=True, publishes=True)


def known(facts: CallFacts = FACTS, attendance: Attendance | None = None) -> DayInventory:
    """One call with one stay of twenty minutes."""
    stay = StayFacts(STAY, facts, at(10), at(10, 20), at(12))
    listed = attendance or Attendance(1, 1, [Listing("people", at(12), pages=1)])
    return DayInventory(None, {CALL: facts}, {CALL: listed}, {STAY: stay})  # type: ignore[arg-type]


def states(*given: str) -> pa.Table:
    ids = {"call_type": CALL.call_type, "call_id": CALL.call_id, "call_session_id": CALL.call_session_id}
    return pa.Table.from_pylist([ids | {"state": state} for state in given])


def seen(
    of: DayInventory | None = None,
    *,
    listings: tuple[Listing, ...] = (WHOLE,),
    asked: dict[Stay, list[WindowRequest]] | None = None,
    windows: pa.Table | None = None,
    now: datetime = NEXT_DAY,
) -> DayCompleteness:
    given = {STAY: [ANSWERED]} if asked is None else asked
    return judge_day(DAY, of or known(), listings, given, states("landed") if windows is None else windows, now)


def texts(found: DayCompleteness) -> list[str]:
    return [f"{problem.kind}: {problem}" for problem in found.problems]


def test_a_day_with_everything_is_complete() -> None:
    """All is listed and answered since it was over."""
    assert texts(seen()) == []
    assert seen().verdict == "complete"
    assert seen().first_expiry == at(11) + timedelta(days=90)


@pytest.mark.parametrize(
    ("asked", "is_due"),
    [
        ([], 1),
        ([ANSWERED], 0),
        ([replace(ANSWERED, fetched_at=at(11))], 1),  # landed, but before the report
        ([replace(ANSWERED, status=500, usable=False)], 1),
        ([replace(ANSWERED, status=404, usable=False)], 0),
    ],
)
def test_a_window_counts_as_missing_until_its_final_answer(asked: list[WindowRequest], is_due: int) -> None:
    """The certificate of the call and the survey of its day say the same."""
    found = seen(asked={STAY: asked})
    assert found.due == is_due
    assert found.complete is (is_due == 0)
    judged = completeness_rows(judge_calls(known(), {STAY: asked}, None)).to_pylist()
    assert [(row["due"], row["is_complete"]) for row in judged] == [(is_due, is_due == 0)]


def test_a_suspect_window_makes_its_call_incomplete_and_no_other() -> None:
    """Its answer is there, and cannot be right."""
    other = Call("default", "other", "o1")
    both = known()
    both.calls[other] = replace(FACTS, call=other)
    both.attendance[other] = both.attendance[CALL]
    windows = states("landed", "suspect")
    assert texts(seen(both, windows=windows)) == ["suspect: 1 window has timestamps that cannot be right"]
    judged = completeness_rows(judge_calls(both, {STAY: [ANSWERED]}, windows)).to_pylist()
    assert {row["call_id"]: row["is_complete"] for row in judged} == {CALL.call_id: False, "other": True}


@pytest.mark.parametrize(
    ("attendance", "said"),
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
def test_everyone_promised_is_to_be_listed_since_the_report(attendance: Attendance, said: str | None) -> None:
    """A listing from before the report may lack some, and so may one that ended early."""
    found = texts(seen(known(attendance=attendance)))
    assert [text.split(":")[0] for text in found] == ([] if said is None else ["stays"])
    assert said is None or said in found[0]


@pytest.mark.parametrize(
    ("listings", "now", "said"),
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
def test_calls_are_to_be_listed_after_the_day(listings: tuple[Listing, ...], now: datetime, said: list[str]) -> None:
    """While the day goes on, a listing is as good as it can be; afterwards calls may have come since."""
    assert texts(seen(listings=listings, now=now)) == said


def test_a_day_that_goes_on_lacks_nothing_and_is_not_complete() -> None:
    """There is more to come."""
    found = seen(listings=(replace(WHOLE, began_at=at(20)),), now=at(21))
    assert (found.verdict, found.complete, list(found.problems)) == ("going on", False, [])


def test_a_call_that_was_going_on_when_last_looked_at_is_looked_at_again() -> None:
    """For an hour it may be left alone; then something of it is missing for sure."""
    live = known(replace(FACTS, ended_at=None), Attendance())
    looked_at = WHOLE.began_at
    assert seen(live, now=looked_at + timedelta(minutes=59)).verdict == "going on"
    later = seen(live, now=looked_at + timedelta(minutes=61))
    assert texts(later) == ["calls: 1 call session was still live when last fetched, at 2026-11-02 01:00 UTC"]
    judged = completeness_rows(judge_calls(live, {}, None)).to_pylist()
    assert not judged[0]["is_complete"]


def test_days_are_named_before_the_source_forgets_them() -> None:
    """The next ones first, with what is missing; none that are past."""
    first, second = seen(), replace(seen(asked={STAY: []}), day=DAY + timedelta(days=1), first_expiry=at(24 * 91 + 10))
    now = at(24 * 80)
    assert list(next_to_expire([second, first], now)) == [
        "2026-11-01 expires at the source in 10 days: nothing is missing",
        "2026-11-02 expires at the source in 11 days: 1 window of 1 stay has no final response",
    ]
    assert list(next_to_expire([first], at(24 * 92))) == []


def test_days_that_nobody_asked_for_are_named_while_they_can_be_had() -> None:
    """Those before the first day held, as far back as the source remembers."""
    assert list(days_before_the_first([DAY], date(2026, 1, 1), at(24 * 10))) == [
        "2026-08-13 to 2026-10-31 were never fetched, and the source still lists them; 2026-08-13 expires next"
    ]
    assert list(days_before_the_first([DAY], date(2026, 1, 1), at(24 * 90))) == []
    assert list(days_before_the_first([DAY], DAY, at(24 * 10))) == []
    assert list(days_before_the_first([], date(2026, 1, 1), at(0))) == []


def test_a_long_list_of_problems_is_cut() -> None:
    """And says where the rest is."""
    one = seen(asked={STAY: []})
    days = [replace(one, day=date(2026, 10, 1) + timedelta(days=number)) for number in range(25)]
    lines = list(problem_lines(days))
    assert len(lines) == 21
    assert lines[0] == "2026-10-01: 1 window of 1 stay has no final response"
    assert lines[-1] == "and 5 more; `call-metrics status --json` lists them all"
