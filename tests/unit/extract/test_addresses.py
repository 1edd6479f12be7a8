"""Addresses: method, path, query and body for each kind of request."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipeline.endpoints import EndpointName
from pipeline.extract.addresses import Address, address_of
from pipeline.model import Call, Request, Window
from tests.support import CALL, DAY, STAY, at


def test_address_of_a_window_names_the_stay_and_its_bounds() -> None:
    """The ids are in the path, and the bounds of the window are in the query."""
    request = Request("participant_metrics", DAY, stay=STAY, window=Window(at(10), at(10, 30)))
    assert address_of(request) == Address(
        "GET",
        "/api/v2/video/call/default/standup/session/s1/participant/ann/ann-1/details/track",
        {"since": "2026-11-01T10:00:00Z", "until": "2026-11-01T10:30:00Z"},
    )


def test_address_of_a_timeline_names_the_stay_and_no_bounds() -> None:
    """The form of bounds is not documented, and without them the whole timeline comes."""
    request = Request("participant_timeline", DAY, stay=STAY, window=Window(at(10), at(11)))
    path = "/api/v2/video/call_stats/default/standup/s1/participants/ann/ann-1/timeline"
    assert address_of(request) == Address("GET", path)


@pytest.mark.parametrize(
    ("endpoint", "logged"),
    [
        ("participant_metrics", "/api/v2/video/call/default/standup/session/s1/participant/{}/details/track"),
        ("participant_timeline", "/api/v2/video/call_stats/default/standup/s1/participants/{}/timeline"),
    ],
)
def test_path_in_logs_names_no_person(endpoint: EndpointName, logged: str) -> None:
    """Nobody erases a person from logs. A path that names none is logged as it is."""
    address = address_of(Request(endpoint, DAY, stay=STAY, window=Window(at(10), at(10, 30))))
    assert address.logged == logged.format("{user_id}/{user_session_id}")
    address = address_of(Request("participant_sessions", DAY, call=CALL))
    assert address.logged == address.path


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("participant_sessions", "/api/v2/video/call/default/standup/session/s1/participant_sessions"),
        ("participant_stats", "/api/v2/video/call_stats/default/standup/s1/participants"),
    ],
)
def test_address_of_a_page_has_its_cursor(endpoint: EndpointName, path: str) -> None:
    """Only pages after the first have a cursor, and every page has up to a hundred rows."""
    request = Request(endpoint, DAY, call=CALL)
    assert address_of(request) == Address("GET", path, {"limit": "100"})
    assert address_of(replace(request, cursor="c")) == Address("GET", path, {"limit": "100", "next": "c"})


def test_address_of_call_stats_has_its_search_in_the_body() -> None:
    """A search of a span of updates has both bounds, and a later page its cursor."""
    request = Request("call_stats", DAY, updated=(at(9), at(10)), cursor="c")
    address = address_of(request)
    assert (address.method, address.path, address.query) == ("POST", "/api/v2/video/call_stats", {})
    assert address.body is not None
    assert json.loads(address.body) == {
        "filter_conditions": {"updated_at": {"$gte": "2026-11-01T09:00:00Z", "$lte": "2026-11-01T10:00:00Z"}},
        "sort": [{"field": "updated_at", "direction": 1}, {"field": "call_cid", "direction": 1}],
        "limit": 100,
        "next": "c",
    }


def test_address_of_user_feedback_names_the_call_session_in_the_body() -> None:
    """The two documented filters, and no order."""
    address = address_of(Request("user_feedback", DAY, call=CALL, cursor="c"))
    assert (address.method, address.path, address.query) == ("POST", "/api/v2/video/call/feedback", {})
    assert address.body is not None
    assert json.loads(address.body) == {
        "filter_conditions": {"call_cid": "default:standup", "session_id": "s1"},
        "limit": 100,
        "next": "c",
    }


@pytest.mark.parametrize(
    ("request_", "missing"),
    [
        (Request("user_feedback", DAY), "a call session"),
        (Request("participant_sessions", DAY), "a call session"),
        (Request("participant_metrics", DAY, call=CALL), "a stay and a window"),
        (Request("participant_metrics", DAY, stay=STAY), "a stay and a window"),
    ],
)
def test_address_of_a_request_without_its_ids_is_an_error(request_: Request, missing: str) -> None:
    """The error names what the endpoint needs."""
    with pytest.raises(ValueError, match=f"needs {missing}"):
        address_of(request_)


@pytest.mark.parametrize(
    ("id_", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("?#&+ ", "%3F%23%26%2B%20"),
        ("%2F", "%252F"),
        ("é", "%C3%A9"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("a.b", "a.b"),
    ],
)
def test_address_has_each_id_as_one_segment(id_: str, segment: str) -> None:
    """Everything that a path could give a meaning is encoded, lone dots too."""
    address = address_of(Request("participant_sessions", DAY, call=Call(id_, id_, id_)))
    assert address.path == f"/api/v2/video/call/{segment}/{segment}/session/{segment}/participant_sessions"
