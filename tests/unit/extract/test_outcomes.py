"""Outcomes: what a reply of the server, or the failure to get one, means."""

from __future__ import annotations

import inspect
import json

import httpx
import pytest

from pipeline.errors import AskAgain, DoNotAskAgain, FixCredentials, Gone
from pipeline.extract.outcomes import AUTH_CODES, TRANSLATIONS, Attempt, judge, translated, usable_response
from pipeline.model import Request, Response, Window
from tests.support import CALL, DAY, STAY, at

METRICS = Request("participant_metrics", DAY, stay=STAY, window=Window(at(10), at(10, 30)))
ATTENDANCE = Request("participant_sessions", DAY, call=CALL)


def test_every_error_of_httpx_is_translated() -> None:
    """Each error of its tree that a request can raise has a translation, so a new one fails this test."""
    misuse = {httpx.HTTPStatusError, httpx.CookieConflict}  # of `raise_for_status` and cookies, which are not used
    raised = {
        kind
        for _, kind in inspect.getmembers(httpx, inspect.isclass)
        if issubclass(kind, Exception) and not kind.__subclasses__() and not issubclass(kind, httpx.StreamError)
    }
    assert len(raised) >= 14
    for kind in raised - misuse:
        covered = [cls for cls in kind.__mro__ if cls in TRANSLATIONS]
        assert covered, f"{kind.__name__} is new"
    for kind, (meaning, _) in TRANSLATIONS.items():
        error = translated(kind("boom"), "https://example.org", 60.0)
        assert type(error) is meaning
        assert "{" not in str(error)


def response_to(request: Request, body: object) -> Response:
    """Return the response for a body that came with status 200."""
    return usable_response(request, Attempt(200, {}, json.dumps(body).encode()), 1, at(12))


@pytest.mark.parametrize(
    ("body", "publishes"),
    [
        ({"is_publisher": False, "published_tracks": []}, False),
        ({"is_publisher": False}, False),
        ({"is_publisher": False, "published_tracks": None}, False),
        ({"is_publisher": False, "published_tracks": [{"track_id": "t"}]}, True),
        ({"is_publisher": True, "published_tracks": []}, True),
        ({"is_publisher": None}, True),
        ({"duration": "1.00ms"}, True),
    ],
)
def test_only_an_explicit_false_says_that_a_user_published_nothing(body: object, publishes: bool) -> None:
    """A user published nothing only if `is_publisher` is false and there is no track."""
    assert response_to(METRICS, body).publishes is publishes


@pytest.mark.parametrize("body", [{}, {"status": "ok"}, {"error": {"code": 1}}])
def test_object_without_a_documented_field_is_no_window_without_points(body: object) -> None:
    """A gateway may answer 200 with an object of its own. It is requested again, and never counts as empty."""
    with pytest.raises(AskAgain, match="does not have the documented shape"):
        response_to(METRICS, body)


def test_page_has_the_cursor_of_the_next_one() -> None:
    """The cursor is None on the last page, whichever way the source says so."""
    for next_value, cursor in (("abc", "abc"), ("", None), (None, None)):
        body = {"participants_sessions": [], "next": next_value}
        assert response_to(ATTENDANCE, body).next_cursor == cursor


@pytest.mark.parametrize("row", [None, 1, "a", [], {}, {"call_type": "default", "call_id": "c"}, {"call_id": 1}])
def test_list_of_calls_with_a_row_that_is_not_a_call_is_retried(row: object) -> None:
    """A day would look complete without that call: nothing else counts the calls of a day."""
    good = {"call_type": "default", "call_id": "c", "call_session_id": "s"}
    request = Request("call_stats", DAY, listing="l")
    assert response_to(request, {"call_stats": [good]}).error is None
    with pytest.raises(AskAgain, match="documented shape"):
        response_to(request, {"call_stats": [good, row]})


STREAM = b'{"code": 4, "message": "bad input"}'
HTML = b"<html>not from Stream</html>"
GATEWAYS = (
    HTML,
    b"",
    b"404 page not found",
    b"null",
    b"[]",
    b'{"message": "no Route matched with those values"}',
    b'{"code": 404, "message": "no such route"}',
    b'{"code": 403, "message": "blocked"}',
    b'{"code": "NotFound", "message": "no such route"}',
    b'{"error": {"code": 16}}',
)
"""Bodies of gateways, which are not in the shape of Stream's errors."""


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (302, b"", DoNotAskAgain),
        (400, STREAM, DoNotAskAgain),
        (401, b"", FixCredentials),
        (403, STREAM, DoNotAskAgain),
        *((403, f'{{"code": {code}}}'.encode(), FixCredentials) for code in sorted(AUTH_CODES)),
        (404, STREAM, Gone),
        *((403, content, AskAgain) for content in GATEWAYS),
        *((404, content, AskAgain) for content in GATEWAYS),
        (408, b"", AskAgain),
        (409, b"", DoNotAskAgain),
        (425, b"", AskAgain),
        (500, STREAM, AskAgain),
        (500, b'{"code": 5}', AskAgain),
        (500, b'{"unrecoverable": true}', DoNotAskAgain),
        (502, HTML, AskAgain),
    ],
)
def test_status_and_error_code_decide_what_to_do_next(status: int, content: bytes, error: type[Exception]) -> None:
    """Each kind of refusal raises the error that is named by what to do next."""
    with pytest.raises(error) as caught:
        judge(Attempt(status, {}, content))
    assert type(caught.value) is error
    assert f"HTTP {status}" in str(caught.value)


@pytest.mark.parametrize("status", [200, 201, 204])
def test_body_of_a_successful_status_is_returned_unread(status: int) -> None:
    """Whether the body is usable is found out when it is decoded."""
    assert judge(Attempt(status, {}, b"anything")) == b"anything"


def test_message_of_the_source_is_cut() -> None:
    """An error keeps the code and the first 300 characters of the message."""
    with pytest.raises(DoNotAskAgain) as caught:
        judge(Attempt(400, {}, json.dumps({"code": 4, "message": "x" * 1000}).encode()))
    assert str(caught.value) == f"HTTP 400, code 4: {'x' * 300}"
