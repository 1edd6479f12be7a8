"""What should exist and what is still to be asked for, from facts and answers alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import RETENTION, Call, Stay, Window
from pipeline.planning.due import (
    MAX_CLOCK_DRIFT,
    RESUMABLE_FOR,
    by_urgency,
    due_windows,
    expected_windows,
    participants_are_due,
    resumable_listing,
)
from pipeline.planning.facts import Attendance, CallFacts, Listing, StayFacts, WindowRequest
from pipeline.planning.windows import tile
from tests.support import CALL, STAY, at, examples

MOMENT = timedelta(microseconds=1)
ENDED = CallFacts(CALL, started_at=at(10), ended_at=at(12), generated_at=at(12, 5))
LIVE = replace(ENDED, ended_at=None, generated_at=None)
HOURS = tile(at(10), at(12))
AFTERWARDS = at(13)
LISTED = at(12, 10)


def stay(call: CallFacts = ENDED, **facts: datetime | None) -> StayFacts:
    """A stay of two hours that was seen after the call, unless told otherwise."""
    known = {"joined_at": at(10), "left_at": at(12), "seen_at": at(13)} | facts
    return StayFacts(STAY, call, **known)  # type: ignore[arg-type]


def answer(window: Window, fetched_at: datetime = AFTERWARDS, *, publishes: bool | None = True) -> WindowRequest:
    """A usable answer."""
    return WindowRequest(window, fetched_at, 200, True, publishes)


def failure(window: Window, fetched_at: datetime = AFTERWARDS, status: int | None = 500) -> WindowRequest:
    """An answer of no use."""
    return WindowRequest(window, fetched_at, status, False, None)


# Which windows should exist.


def test_a_stay_is_expected_from_joining_to_leaving() -> None:
    """Where both are known, nothing else matters."""
    assert expected_windows(stay(joined_at=at(10, 10), left_at=at(10, 45)), []) == [
        Window(at(10, 10), at(10, 40)),
        Window(at(10, 40), at(10, 45)),
    ]


def test_without_joined_at_a_stay_counts_from_the_calls_start() -> None:
    """The source may lack it; what was measured is not to be missed."""
    assert expected_windows(stay(joined_at=None, left_at=at(10, 20)), []) == [Window(at(10), at(10, 20))]


def test_without_any_beginning_nothing_can_be_expected() -> None:
    """Neither joined_at nor the call's start is known."""
    assert expected_windows(stay(replace(ENDED, started_at=None), joined_at=None), []) == []


def test_without_left_at_a_stay_lasts_to_the_calls_end() -> None:
    """A leave that was never recorded ended with the call."""
    assert expected_windows(stay(left_at=None), [])[-1].until == at(12)


def test_on_a_live_call_a_stay_lasts_to_the_last_look() -> None:
    """Who has not left was there when last seen."""
    assert expected_windows(stay(LIVE, left_at=None, seen_at=at(10, 40)), []) == [
        Window(at(10), at(10, 30)),
        Window(at(10, 30), at(10, 40)),
    ]


def test_a_stay_that_seems_to_end_far_in_the_future_is_cut_off() -> None:
    """A left_at of a broken clock must not plan a hundred thousand requests."""
    windows = expected_windows(stay(left_at=at(10) + timedelta(days=3650)), [])
    assert windows[-1].until == at(13) + MAX_CLOCK_DRIFT
    assert timedelta(days=1) == MAX_CLOCK_DRIFT


def test_a_stay_that_begins_after_it_was_seen_far_in_the_future_is_one_window() -> None:
    """A joined_at of a broken clock is asked for once."""
    joined_at = at(10) + timedelta(days=3650)
    assert expected_windows(stay(joined_at=joined_at, left_at=joined_at + timedelta(hours=9)), []) == [
        Window(joined_at, joined_at)
    ]


@given(
    st.none() | st.integers(0, 200),
    st.none() | st.integers(0, 200),
    st.none() | st.integers(0, 200),
    st.none() | st.integers(0, 200),
    st.integers(0, 200),
)
@examples(300)
def test_expected_windows_never_overlap_and_leave_no_hole(
    started: int | None, ended: int | None, joined: int | None, left: int | None, seen: int
) -> None:
    """Whatever the source leaves out, windows follow one another from where the stay began."""

    def minute(number: int | None) -> datetime | None:
        return None if number is None else at(10) + timedelta(minutes=number)

    call = CallFacts(CALL, minute(started), minute(ended), None)
    seen_at = minute(seen)
    assert seen_at is not None
    facts = StayFacts(STAY, call, minute(joined), minute(left), seen_at)
    windows = expected_windows(facts, [])
    begins = joined if joined is not None else started
    assert [window.since for window in windows[:1]] == [minute(begin) for begin in (begins,) if begin is not None]
    assert all(earlier.until == later.since for earlier, later in pairwise(windows))
    if begins is not None:
        left = left if left is not None and left >= begins else None  # before that nobody leaves
        ends = next(number for number in (left, ended, seen) if number is not None)
        assert windows[-1].until == minute(max(begins, ends))


# Those who published nothing.


def test_who_published_nothing_has_one_window_once_the_first_answer_is_final() -> None:
    """The first window's answer says all that there is to know."""
    assert expected_windows(stay(), [answer(HOURS[0], publishes=False)]) == HOURS[:1]
    assert due_windows(stay(), [answer(HOURS[0], publishes=False)]) == []


def test_on_a_live_call_who_has_published_nothing_yet_may_still_publish() -> None:
    """All windows stay expected until the call is over."""
    facts = stay(LIVE, seen_at=at(12))
    assert expected_windows(facts, [answer(HOURS[0], at(11), publishes=False)]) == HOURS


def test_an_answer_from_before_the_report_does_not_say_that_nothing_was_published() -> None:
    """While the report is being made the source may not know of a track yet."""
    assert expected_windows(stay(), [answer(HOURS[0], at(12, 4), publishes=False)]) == HOURS
    assert expected_windows(stay(), [answer(HOURS[0], at(12, 5), publishes=False)]) == HOURS[:1]


def test_who_published_later_has_all_windows() -> None:
    """Any answer of the stay that shows a track counts, whatever the first one says."""
    asked = [answer(HOURS[0], publishes=False), answer(HOURS[2], publishes=True)]
    assert expected_windows(stay(), asked) == HOURS
    assert due_windows(stay(), asked) == [HOURS[1], HOURS[3]]


def test_a_later_window_without_tracks_says_nothing_of_the_whole_stay() -> None:
    """Only the first window's answer can cut a stay short."""
    assert expected_windows(stay(), [answer(HOURS[1], publishes=False)]) == HOURS


def test_a_first_answer_that_does_not_say_whether_anything_was_published_cuts_nothing() -> None:
    """Nor does a failure."""
    assert expected_windows(stay(), [failure(HOURS[0])]) == HOURS


def test_a_404_for_the_first_window_does_not_cut_the_stay_short() -> None:
    """It says nothing about publishing."""
    assert due_windows(stay(), [failure(HOURS[0], status=404)]) == HOURS[1:]


def test_a_short_stay_is_not_made_shorter() -> None:
    """Where there is one window only, it stays as long as it is."""
    facts = stay(left_at=at(10, 7))
    window = Window(at(10), at(10, 7))
    assert expected_windows(facts, [answer(Window(at(10), at(10, 7)), publishes=False)]) == [window]


# Which of them are still to be asked for.


def test_all_is_due_before_anything_was_asked() -> None:
    """The plan of a fresh day is what should exist."""
    assert due_windows(stay(), []) == HOURS


def test_what_has_a_final_answer_is_not_due() -> None:
    """Nothing is fetched twice."""
    assert due_windows(stay(), [answer(window) for window in HOURS]) == []


def test_a_newer_report_makes_due_exactly_what_was_fetched_before_it() -> None:
    """Windows fetched since stay as they are."""
    again = replace(ENDED, generated_at=at(14))
    asked = [answer(HOURS[0], at(13)), answer(HOURS[1], at(14)), answer(HOURS[2], at(15)), answer(HOURS[3], at(13, 59))]
    assert due_windows(stay(), asked) == []
    assert due_windows(stay(again), asked) == [HOURS[0], HOURS[3]]


def test_a_failure_leaves_a_window_due() -> None:
    """Whatever the status, and where no answer came."""
    for status in (None, 400, 403, 500, 503):
        assert due_windows(stay(), [failure(HOURS[0], status=status)]) == HOURS


def test_a_failure_after_a_final_answer_changes_nothing() -> None:
    """What is known stays known."""
    asked = [*(answer(window) for window in HOURS), failure(HOURS[0], at(14))]
    assert due_windows(stay(), asked) == []


@pytest.mark.parametrize(
    ("call", "fetched_at", "final"),
    [(ENDED, at(12, 5), True), (ENDED, at(12, 5) - MOMENT, False), (LIVE, at(23), False)],
)
def test_a_404_is_final_only_after_the_report(call: CallFacts, fetched_at: datetime, final: bool) -> None:
    """What the source does not know of a live call, or before its report, it may know later."""
    asked = [failure(HOURS[0], fetched_at, status=404)]
    assert (HOURS[0] not in due_windows(stay(call), asked)) is final


def test_on_a_live_call_a_window_is_settled_two_minutes_after_its_end() -> None:
    """The one still going on is asked for again."""
    facts = stay(LIVE, left_at=None, seen_at=at(10, 40))
    asked = [answer(HOURS[0], at(10, 32)), answer(Window(at(10, 30), at(10, 40)), at(10, 41))]
    assert due_windows(facts, asked) == [Window(at(10, 30), at(10, 40))]
    assert due_windows(facts, [answer(HOURS[0], at(10, 31))])[0] == HOURS[0]


def test_what_was_fetched_while_live_is_due_once_when_the_call_has_ended() -> None:
    """The report may bring what was not there yet."""
    asked = [answer(HOURS[0], at(10, 40))]
    assert due_windows(stay(LIVE, left_at=None, seen_at=at(10, 40)), asked) == [Window(at(10, 30), at(10, 40))]
    assert due_windows(stay(), asked) == HOURS
    assert due_windows(stay(), [*asked, *(answer(window, at(12, 5)) for window in HOURS)]) == []


def test_a_stay_that_turns_out_longer_has_its_last_window_due_again() -> None:
    """An answer for 12 minutes is none for 30."""
    asked = [answer(Window(at(10), at(10, 12)), at(13))]
    assert due_windows(stay(left_at=at(10, 12)), asked) == []
    assert due_windows(stay(left_at=at(10, 50)), asked) == [Window(at(10), at(10, 30)), Window(at(10, 30), at(10, 50))]


def test_a_stay_that_turns_out_shorter_needs_nothing_more() -> None:
    """An answer for 30 minutes holds the 12."""
    assert due_windows(stay(left_at=at(10, 12)), [answer(HOURS[0])]) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([200, 404, 500, None]), st.integers(0, 240))))
@examples(300)
def test_asking_for_what_is_due_leaves_nothing_due(history: list[tuple[int, int | None, int]]) -> None:
    """Whatever happened before, one complete round after the report is enough; what is due is expected."""
    asked = [
        WindowRequest(HOURS[place], at(10) + timedelta(minutes=minute), status, status == 200, status == 200 or None)
        for place, status, minute in history
    ]
    windows = due_windows(stay(), asked)
    assert set(windows) <= set(expected_windows(stay(), asked))
    assert due_windows(stay(), [*asked, *(answer(window, at(15)) for window in windows)]) == []
    for window in HOURS:
        mine = [one for one in asked if one.window == window]
        final = any(one.status == 200 and one.fetched_at >= at(12, 5) for one in mine)
        final |= any(one.status == 404 and one.fetched_at >= at(12, 5) for one in mine)
        assert (window in windows) is not final


# Whether to ask who took part.


def listed(began_at: datetime = LISTED, **more: object) -> Listing:
    """A complete listing of one page."""
    return Listing("l1", began_at, **({"pages": 1} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("why", "call", "attendance", "is_due"),
    [
        ("nothing was asked yet", ENDED, Attendance(), True),
        ("complete since the report", ENDED, Attendance(2, 2, [listed()]), False),
        ("begun at the very report", ENDED, Attendance(2, 2, [listed(at(12, 5))]), False),
        ("from before the report", ENDED, Attendance(2, 2, [listed(at(12, 5) - MOMENT)]), True),
        ("the call is live", LIVE, Attendance(2, 2, [listed()]), True),
        ("some are still missing", ENDED, Attendance(3, 2, [listed()]), True),
        ("more than promised", ENDED, Attendance(1, 2, [listed()]), False),
        ("cut off", ENDED, Attendance(2, 2, [listed(next_cursor="c")]), True),
        ("stuck", ENDED, Attendance(2, 2, [listed(failed=True)]), True),
        ("404 since the report", ENDED, Attendance(0, 0, [listed(pages=0, failed=True, status=404)]), False),
        ("404 before the report", ENDED, Attendance(0, 0, [listed(at(12), pages=0, failed=True, status=404)]), True),
        ("a good one among bad ones", ENDED, Attendance(2, 2, [listed(at(11)), listed(), listed(failed=True)]), False),
        ("ended without a report", replace(ENDED, generated_at=None), Attendance(2, 2, [listed(at(12))]), False),
    ],
)
def test_attendance_is_due_until_a_whole_listing_holds_all(
    why: str, call: CallFacts, attendance: Attendance, is_due: bool
) -> None:
    """A listing counts from the report on, when it is complete and holds all that was promised, or says 404."""
    assert participants_are_due(call, attendance, at(13)) is is_due, why


def test_what_the_source_has_forgotten_is_asked_for_once_more_and_then_no_more() -> None:
    """After 90 days a listing that lacks some is the last word, if it was asked for after them."""
    edge = ENDED.expires_at
    assert edge == at(12) + timedelta(days=90)
    assert timedelta(days=90) == RETENTION
    early, late = listed(edge - MOMENT), listed(edge)
    assert participants_are_due(ENDED, Attendance(3, 0, [early]), edge)
    assert not participants_are_due(ENDED, Attendance(3, 0, [early, late]), edge)
    assert participants_are_due(ENDED, Attendance(3, 0, [listed(edge, failed=True)]), edge)


def test_a_live_call_is_not_forgotten() -> None:
    """The 90 days count from the end."""
    assert LIVE.expires_at is None


# Listings that were cut off.


def test_the_newest_listing_that_was_cut_off_is_gone_on_with() -> None:
    """The pages it has are not asked for again."""
    old = Listing("old", at(12, 10), pages=1, next_cursor="a")
    new = Listing("new", at(12, 20), pages=2, next_cursor="b")
    assert resumable_listing([new, old], at(12, 30)) is new


@pytest.mark.parametrize(
    "listing",
    [
        Listing("complete", at(12, 20), pages=2),
        Listing("failed", at(12, 20), pages=2, next_cursor="b", failed=True),
        Listing("no page", at(12, 20), pages=0, failed=True),
        Listing("too old", at(12, 30) - RESUMABLE_FOR - MOMENT, pages=2, next_cursor="b"),
    ],
    ids=lambda listing: listing.id,
)
def test_other_listings_are_begun_anew(listing: Listing) -> None:
    """A complete, a failed and an old one are not gone on with."""
    assert resumable_listing([listing], at(12, 30)) is None
    assert resumable_listing([], at(12, 30)) is None


def test_a_listing_from_before_the_report_is_begun_anew() -> None:
    """Its first pages may lack what the report brought."""
    listing = Listing("early", at(12, 20), pages=1, next_cursor="b")
    assert resumable_listing([listing], at(12, 30), settled_at=at(12, 20)) is listing
    assert resumable_listing([listing], at(12, 30), settled_at=at(12, 20) + MOMENT) is None


# What to ask for first.


@given(st.lists(st.none() | st.integers(0, 100), min_size=1, max_size=20))
@examples(100)
def test_what_the_source_forgets_first_comes_first(ends: list[int | None]) -> None:
    """Calls that ended longest ago lead, live calls come last."""
    facts = {}
    for number, hours in enumerate(ends):
        call = Call("default", f"call-{number}", "s")
        ended_at = None if hours is None else at(10) + timedelta(hours=hours)
        for user in ("bob", "ann"):
            one = Stay(call, user, "1")
            facts[one] = StayFacts(one, CallFacts(call, at(10), ended_at, None), at(10), None, at(10))
    ranked = [(facts[one].call.ended_at, one) for one in by_urgency(facts)]
    over = [ended_at for ended_at, _ in ranked if ended_at is not None]
    assert over == sorted(over)
    assert all(ended_at is None for ended_at, _ in ranked[len(over) :])
    assert {one for _, one in ranked} == set(facts)
    assert len(ranked) == len(facts)
    assert by_urgency(dict(reversed(facts.items()))) == [one for _, one in ranked]
