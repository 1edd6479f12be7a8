"""Which windows of participant details are due, and which stays are tried first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from pipeline.model import Call, Stay, Window
from pipeline.planning.details import (
    PROBES,
    details_windows,
    due_details,
    probes_left,
    probes_of,
    timeline_windows,
)
from pipeline.planning.facts import CallFacts, StayFacts, WindowRequest
from tests.support import CALL, STAY, at

ENDED = CallFacts(CALL, started_at=at(10), ended_at=at(12), generated_at=at(12, 5))
FACTS = StayFacts(STAY, ENDED, joined_at=at(10, 10), left_at=at(11, 30), seen_at=at(13))
WINDOWS = [Window(at(10, 10), at(11, 10)), Window(at(11, 10), at(11, 30))]


def request(window: Window, status: int, fetched_at: datetime = at(13)) -> WindowRequest:  # noqa: B008 - a constant
    """Return a request for a window; usable if its status is 200."""
    return WindowRequest(window, fetched_at, status, status == 200, None)


def test_windows_of_an_hour_cover_the_whole_stay() -> None:
    """The last one ends when the stay does; a live call has none yet."""
    assert details_windows(FACTS) == WINDOWS
    assert details_windows(replace(FACTS, call=replace(ENDED, ended_at=None))) == []
    assert details_windows(replace(FACTS, joined_at=None, call=replace(ENDED, started_at=None))) == []


def test_timeline_is_one_window_of_the_whole_stay() -> None:
    """A live call has none yet, and an end before the beginning counts as a stay of no length."""
    assert timeline_windows(FACTS) == [Window(at(10, 10), at(11, 30))]
    assert timeline_windows(replace(FACTS, call=replace(ENDED, ended_at=None))) == []
    assert timeline_windows(replace(FACTS, joined_at=at(13), left_at=None)) == [Window(at(13), at(13))]


def test_timeline_of_a_longer_stay_is_due_again() -> None:
    """One with a final response is not; of a stay that turned out longer, the whole timeline is requested again."""
    had = {STAY: [request(Window(at(10, 10), at(11, 30)), 200)]}
    assert due_details({STAY: FACTS}, had, windows_of=timeline_windows) == []
    later = replace(FACTS, left_at=at(11, 50))
    assert due_details({STAY: later}, had, windows_of=timeline_windows) == [(STAY, Window(at(10, 10), at(11, 50)))]


def test_user_who_published_nothing_is_due_too() -> None:
    """Details are about what people received."""
    assert due_details({STAY: replace(FACTS, published=False)}, {}) == [(STAY, window) for window in WINDOWS]


@pytest.mark.parametrize("status", [200, 403, 404])
def test_final_response_is_not_requested_again(status: int) -> None:
    """That is a usable one or a refusal, if it came after the report; the other windows stay due."""
    after, before = request(WINDOWS[0], status), request(WINDOWS[1], status, at(12, 4))
    assert due_details({STAY: FACTS}, {STAY: [after, before]}) == [(STAY, WINDOWS[1])]


@pytest.mark.parametrize("status", [500, 503])
def test_failure_is_requested_again(status: int) -> None:
    """An error of the server passes."""
    assert due_details({STAY: FACTS}, {STAY: [request(WINDOWS[0], status)]}) == [(STAY, one) for one in WINDOWS]


def test_longer_stay_is_due_again_from_where_it_was_cut() -> None:
    """A later report can say that the user left later."""
    had = [request(window, 200) for window in WINDOWS]
    later = replace(FACTS, left_at=at(11, 50))
    assert due_details({STAY: later}, {STAY: had}) == [(STAY, Window(at(11, 10), at(11, 50)))]


def test_only_chosen_calls_are_due() -> None:
    """None chosen means all of them."""
    assert due_details({STAY: FACTS}, {}, frozenset()) == []
    assert due_details({STAY: FACTS}, {}, {CALL}) == due_details({STAY: FACTS}, {}) != []


def test_probes_end_with_a_usable_response_or_too_many_refusals() -> None:
    """Refusals count by stay, and other failures do not."""
    refused = {replace(STAY, user_id=f"user-{number}"): [request(WINDOWS[0], 403)] * 2 for number in range(PROBES)}
    assert probes_left({}) == PROBES
    assert probes_left({STAY: [request(WINDOWS[0], 500)]}) == PROBES
    assert probes_left(dict([*refused.items()][:1])) == PROBES - 1
    assert probes_left(refused) == 0
    assert probes_left({**refused, STAY: [request(WINDOWS[0], 200)]}) is None


def test_probes_are_of_different_calls() -> None:
    """The newest calls come first; one call alone is tried with several stays."""
    calls = [Call("default", name, f"{name}-1") for name in "abc"]
    due = [(Stay(call, f"user-{number}", "1"), window) for call in calls for number in (1, 2) for window in WINDOWS]
    assert [stay.call.call_id for stay, _ in probes_of(due, 3)] == ["c", "b", "a"]
    assert {window for _, window in probes_of(due, 3)} == {WINDOWS[0]}
    assert [stay.user_id for stay, _ in probes_of(due[:4], 3)] == ["user-2", "user-1"]
