"""What is due: which windows should exist, and which windows and listings must be requested."""

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
    stats_are_due,
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
    """Return a stay of two hours that was seen after the call, with other facts if given."""
    facts_given = {"joined_at": at(10), "left_at": at(12), "seen_at": at(13)} | facts
    return StayFacts(STAY, call, **facts_given)  # type: ignore[arg-type]


def response(window: Window, fetched_at: datetime = AFTERWARDS, *, publishes: bool | None = True) -> WindowRequest:
    """Return a request with a usable response."""
    return WindowRequest(window, fetched_at, 200, True, publishes)


def failure(window: Window, fetched_at: datetime = AFTERWARDS, status: int | None = 500) -> WindowRequest:
    """Return a request without a usable response."""
    return WindowRequest(window, fetched_at, status, False, None)


# Which windows should exist.


def test_expected_windows_run_from_joining_to_leaving() -> None:
    """If both are known, nothing else matters."""
    assert expected_windows(stay(joined_at=at(10, 10), left_at=at(10, 45)), []) == [
        Window(at(10, 10), at(10, 40)),
        Window(at(10, 40), at(10, 45)),
    ]


def test_expected_windows_start_with_the_call_without_joined_at() -> None:
    """A stay without joined_at counts from the start of the call, so nothing is missed."""
    assert expected_windows(stay(joined_at=None, left_at=at(10, 20)), []) == [Window(at(10), at(10, 20))]


def test_expected_windows_are_none_without_any_start() -> None:
    """Without joined_at and the start of the call, no window can be expected."""
    assert expected_windows(stay(replace(ENDED, started_at=None), joined_at=None), []) == []


def test_expected_windows_end_with_the_call_without_left_at() -> None:
    """A stay whose end was never recorded ends with the call."""
    assert expected_windows(stay(left_at=None), [])[-1].until == at(12)


def test_expected_windows_of_a_live_call_end_when_last_seen() -> None:
    """A user who has not left was there when the call was last listed."""
    assert expected_windows(stay(LIVE, left_at=None, seen_at=at(10, 40)), []) == [
        Window(at(10), at(10, 30)),
        Window(at(10, 30), at(10, 40)),
    ]


def test_expected_windows_are_bounded_if_left_at_is_far_in_the_future() -> None:
    """A left_at from a wrong clock does not lead to a hundred thousand requests."""
    windows = expected_windows(stay(left_at=at(10) + timedelta(days=3650)), [])
    assert windows[-1].until == at(13) + MAX_CLOCK_DRIFT
    assert timedelta(days=1) == MAX_CLOCK_DRIFT


def test_expected_windows_are_one_if_joined_at_is_far_in_the_future() -> None:
    """A joined_at from a wrong clock costs one request."""
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
def test_expected_windows_neither_overlap_nor_leave_a_gap(
    started: int | None, ended: int | None, joined: int | None, left: int | None, seen: int
) -> None:
    """Whatever the source leaves out, windows follow one another from the start of the stay."""

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
        left = left if left is not None and left >= begins else None  # a stay cannot end before it starts
        ends = next(number for number in (left, ended, seen) if number is not None)
        assert windows[-1].until == minute(max(begins, ends))


# Users who published nothing.


def test_expected_windows_are_one_if_a_final_response_has_no_tracks() -> None:
    """A final response for the first window says whether the other windows exist."""
    assert expected_windows(stay(), [response(HOURS[0], publishes=False)]) == HOURS[:1]
    assert due_windows(stay(), [response(HOURS[0], publishes=False)]) == []


def test_expected_windows_of_a_live_call_remain_without_tracks() -> None:
    """A user who has published nothing so far may still publish, so all windows remain expected."""
    facts = stay(LIVE, seen_at=at(12))
    assert expected_windows(facts, [response(HOURS[0], at(11), publishes=False)]) == HOURS


def test_expected_windows_remain_if_the_response_predates_the_report() -> None:
    """Before its report is made, the source may not know of a track."""
    assert expected_windows(stay(), [response(HOURS[0], at(12, 4), publishes=False)]) == HOURS
    assert expected_windows(stay(), [response(HOURS[0], at(12, 5), publishes=False)]) == HOURS[:1]


def test_expected_windows_are_all_if_any_response_has_tracks() -> None:
    """A track in any response of the stay counts, whatever the first response says."""
    requests = [response(HOURS[0], publishes=False), response(HOURS[2], publishes=True)]
    assert expected_windows(stay(), requests) == HOURS
    assert due_windows(stay(), requests) == [HOURS[1], HOURS[3]]


def test_expected_windows_remain_if_a_later_window_has_no_tracks() -> None:
    """Only a response for the first window can make a stay shorter."""
    assert expected_windows(stay(), [response(HOURS[1], publishes=False)]) == HOURS


def test_expected_windows_remain_after_a_failure() -> None:
    """A failed request does not say whether the user published anything."""
    assert expected_windows(stay(), [failure(HOURS[0])]) == HOURS


def test_due_windows_remain_after_a_404_for_the_first_window() -> None:
    """A 404 does not say whether the user published anything."""
    assert due_windows(stay(), [failure(HOURS[0], status=404)]) == HOURS[1:]


def test_expected_windows_of_a_short_stay_keep_their_length() -> None:
    """A stay of one window keeps it without tracks."""
    facts = stay(left_at=at(10, 7))
    window = Window(at(10), at(10, 7))
    assert expected_windows(facts, [response(Window(at(10), at(10, 7)), publishes=False)]) == [window]


# Which windows are due.


def test_due_windows_are_all_before_the_first_request() -> None:
    """The plan of a new stay is every expected window."""
    assert due_windows(stay(), []) == HOURS


def test_due_windows_exclude_those_with_a_final_response() -> None:
    """No window is fetched twice."""
    assert due_windows(stay(), [response(window) for window in HOURS]) == []


def test_due_windows_are_those_fetched_before_a_newer_report() -> None:
    """Windows fetched since the report are not due."""
    again = replace(ENDED, generated_at=at(14))
    requests = [
        response(HOURS[0], at(13)),
        response(HOURS[1], at(14)),
        response(HOURS[2], at(15)),
        response(HOURS[3], at(13, 59)),
    ]
    assert due_windows(stay(), requests) == []
    assert due_windows(stay(again), requests) == [HOURS[0], HOURS[3]]


def test_due_windows_include_failed_ones() -> None:
    """A window stays due after an error with any status, and if no response came."""
    for status in (None, 400, 403, 500, 503):
        assert due_windows(stay(), [failure(HOURS[0], status=status)]) == HOURS


def test_due_windows_ignore_a_failure_after_a_final_response() -> None:
    """A window with a final response is not due, whatever came later."""
    requests = [*(response(window) for window in HOURS), failure(HOURS[0], at(14))]
    assert due_windows(stay(), requests) == []


@pytest.mark.parametrize(
    ("call", "fetched_at", "final"),
    [(ENDED, at(12, 5), True), (ENDED, at(12, 5) - MOMENT, False), (LIVE, at(23), False)],
)
def test_due_windows_exclude_a_404_only_after_the_report(call: CallFacts, fetched_at: datetime, final: bool) -> None:
    """The source may later know what it does not know of a live call, or before its report."""
    requests = [failure(HOURS[0], fetched_at, status=404)]
    assert (HOURS[0] not in due_windows(stay(call), requests)) is final


def test_due_windows_of_a_live_call_settle_two_minutes_after_their_end() -> None:
    """The window that has not ended is requested again."""
    facts = stay(LIVE, left_at=None, seen_at=at(10, 40))
    requests = [response(HOURS[0], at(10, 32)), response(Window(at(10, 30), at(10, 40)), at(10, 41))]
    assert due_windows(facts, requests) == [Window(at(10, 30), at(10, 40))]
    assert due_windows(facts, [response(HOURS[0], at(10, 31))])[0] == HOURS[0]


def test_due_windows_are_all_once_a_live_call_has_ended() -> None:
    """Windows fetched while the call was live are due once more, because the report may bring more."""
    requests = [response(HOURS[0], at(10, 40))]
    assert due_windows(stay(LIVE, left_at=None, seen_at=at(10, 40)), requests) == [Window(at(10, 30), at(10, 40))]
    assert due_windows(stay(), requests) == HOURS
    assert due_windows(stay(), [*requests, *(response(window, at(12, 5)) for window in HOURS)]) == []


def test_due_windows_include_the_last_one_of_a_longer_stay() -> None:
    """A response for 12 minutes is not final for 30."""
    requests = [response(Window(at(10), at(10, 12)), at(13))]
    assert due_windows(stay(left_at=at(10, 12)), requests) == []
    assert due_windows(stay(left_at=at(10, 50)), requests) == [
        Window(at(10), at(10, 30)),
        Window(at(10, 30), at(10, 50)),
    ]


def test_due_windows_of_a_shorter_stay_are_none() -> None:
    """A response for 30 minutes contains the 12."""
    assert due_windows(stay(left_at=at(10, 12)), [response(HOURS[0])]) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([200, 404, 500, None]), st.integers(0, 240))))
@examples(300)
def test_due_windows_are_none_after_all_were_fetched(history: list[tuple[int, int | None, int]]) -> None:
    """Whatever happened before, one complete round after the report is enough, and only expected windows are due."""
    requests = [
        WindowRequest(HOURS[place], at(10) + timedelta(minutes=minute), status, status == 200, status == 200 or None)
        for place, status, minute in history
    ]
    windows = due_windows(stay(), requests)
    assert set(windows) <= set(expected_windows(stay(), requests))
    assert due_windows(stay(), [*requests, *(response(window, at(15)) for window in windows)]) == []
    for window in HOURS:
        mine = [one for one in requests if one.window == window]
        final = any(one.status == 200 and one.fetched_at >= at(12, 5) for one in mine)
        final |= any(one.status == 404 and one.fetched_at >= at(12, 5) for one in mine)
        assert (window in windows) is not final


# Which listings are due.


def listed(began_at: datetime = LISTED, **more: object) -> Listing:
    """Return a complete listing of one page, with other facts if given."""
    return Listing("l1", began_at, **({"pages": 1} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("why", "call", "attendance", "is_due"),
    [
        ("never requested", ENDED, Attendance(), True),
        ("complete since the report", ENDED, Attendance(2, 2, [listed()]), False),
        ("began at the report", ENDED, Attendance(2, 2, [listed(at(12, 5))]), False),
        ("from before the report", ENDED, Attendance(2, 2, [listed(at(12, 5) - MOMENT)]), True),
        ("the call is live", LIVE, Attendance(2, 2, [listed()]), True),
        ("some are still missing", ENDED, Attendance(3, 2, [listed()]), True),
        ("more than promised", ENDED, Attendance(1, 2, [listed()]), False),
        ("interrupted", ENDED, Attendance(2, 2, [listed(next_cursor="c")]), True),
        ("failed", ENDED, Attendance(2, 2, [listed(failed=True)]), True),
        ("404 since the report", ENDED, Attendance(0, 0, [listed(pages=0, failed=True, status=404)]), False),
        ("404 before the report", ENDED, Attendance(0, 0, [listed(at(12), pages=0, failed=True, status=404)]), True),
        (
            "one complete listing among others",
            ENDED,
            Attendance(2, 2, [listed(at(11)), listed(), listed(failed=True)]),
            False,
        ),
        ("ended without a report", replace(ENDED, generated_at=None), Attendance(2, 2, [listed(at(12))]), False),
    ],
)
def test_participants_are_due_until_a_listing_is_final(
    why: str, call: CallFacts, attendance: Attendance, is_due: bool
) -> None:
    """A listing is final if it began after the report and is complete with all promised stays, or ended with 404."""
    assert participants_are_due(call, attendance, at(13)) is is_due, why


def test_participants_are_due_once_more_after_they_expired() -> None:
    """A listing after the 90 days is the last one, even if it lacks some stays."""
    edge = ENDED.expires_at
    assert edge == at(12) + timedelta(days=90)
    assert timedelta(days=90) == RETENTION
    early, late = listed(edge - MOMENT), listed(edge)
    assert participants_are_due(ENDED, Attendance(3, 0, [early]), edge)
    assert not participants_are_due(ENDED, Attendance(3, 0, [early, late]), edge)
    assert participants_are_due(ENDED, Attendance(3, 0, [listed(edge, failed=True)]), edge)


@pytest.mark.parametrize(
    ("why", "call", "listings", "is_due"),
    [
        ("never listed", ENDED, [], True),
        ("the call is live", LIVE, [], False),
        ("complete since the report", ENDED, [listed()], False),
        ("from before the report", ENDED, [listed(at(12, 5) - MOMENT)], True),
        ("refused since the report", ENDED, [listed(pages=0, failed=True, status=403)], False),
        ("failed for now", ENDED, [listed(pages=0, failed=True, status=500)], True),
    ],
)
def test_stats_are_due_until_a_listing_is_complete_or_refused(
    why: str, call: CallFacts, listings: list[Listing], is_due: bool
) -> None:
    """Participant statistics of a settled call are listed until they have landed or the source refuses them."""
    assert stats_are_due(call, Attendance(stats_listings=listings)) is is_due, why


# Interrupted listings.


def test_resumable_listing_is_the_newest_interrupted_one() -> None:
    """Its pages are not requested again."""
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
def test_resumable_listing_is_none_for_other_listings(listing: Listing) -> None:
    """A complete, a failed and an old listing are not resumed."""
    assert resumable_listing([listing], at(12, 30)) is None
    assert resumable_listing([], at(12, 30)) is None


def test_resumable_listing_is_none_from_before_the_report() -> None:
    """The first pages of such a listing may lack what the report brought."""
    listing = Listing("early", at(12, 20), pages=1, next_cursor="b")
    assert resumable_listing([listing], at(12, 30), settled_at=at(12, 20)) is listing
    assert resumable_listing([listing], at(12, 30), settled_at=at(12, 20) + MOMENT) is None


# What comes first.


@given(st.lists(st.none() | st.integers(0, 100), min_size=1, max_size=20))
@examples(100)
def test_stays_are_ordered_by_when_their_calls_expire(ends: list[int | None]) -> None:
    """Calls that ended longest ago come first, and live calls come last."""
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
