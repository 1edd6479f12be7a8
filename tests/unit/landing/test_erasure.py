"""Erased users: how they are stored, and how they are removed from pages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import FixStorage
from pipeline.landing.erasure import ErasedUsers
from pipeline.landing.landing import Landing
from pipeline.landing.redaction import redactor
from pipeline.model import Request
from tests.support import CALL, DAY
from tests.support.responses import land, landed, metrics_response


def test_erased_users_are_stored_as_salted_hashes(tmp_path: Path) -> None:
    """The file contains no user id, comes back as it was written, and cannot be ignored if it is broken."""
    path = tmp_path / "forgotten.json"
    assert ErasedUsers.read(path).users == frozenset()
    erased = ErasedUsers.read(path).with_user("ann").with_user("bob")
    erased.write(path)
    assert ErasedUsers.read(path) == erased
    assert "ann" not in path.read_text()
    assert erased.includes("ann")
    assert not erased.includes("eve")
    assert ErasedUsers("other", erased.users).includes("ann") is False
    for broken in ("{", "[" * 100_000, '{"salt": null, "users": []}', '{"salt": "s", "users": "abc"}'):
        path.write_text(broken)
        with pytest.raises(FixStorage, match="cannot be read; restore it"):
            ErasedUsers.read(path)


def test_erasure_finds_people_beside_a_number_of_any_length() -> None:
    """Python refuses to read numbers of more than 4,300 digits; DuckDB reads such a page."""
    digits = "9" * 5000
    body = f'{{"participants_sessions":[{{"user_id":"ann","n":{digits}}},{{"user_id":"bob","n":{digits}}}]}}'
    struck = ErasedUsers("salt", frozenset()).with_user("ann").strike_page("participant_sessions", body)
    assert "ann" not in struck
    assert json.loads(struck)["participants_sessions"][1] == {"user_id": "bob", "n": None}


def test_erasure_leaves_pages_without_erased_users_unchanged() -> None:
    """A page without an erased user stays the same byte for byte, and so does a body that is not a page."""
    erased = ErasedUsers("salt", frozenset()).with_user("ann")
    redact = redactor("keep", erased)
    for body in (
        '{ "participants_sessions": [ {"user_id":"bob"} ] }',
        "[]",
        "nonsense",
        '{"participants_sessions": 1}',
    ):
        assert redact("participant_sessions", body) == body


def test_erasure_applies_from_the_next_opening_of_a_day(tmp_path: Path) -> None:
    """The redactor is made each time a day is opened, so it knows who was erased since."""
    erased = ErasedUsers("salt", frozenset())
    landing = Landing(tmp_path, redactor=lambda: redactor("keep", erased))
    body = '{"participants_sessions":[{"user_id":"ann","user_session_id":"1"},{"user_id":"bob","user_session_id":"2"}]}'
    page = replace(metrics_response(body), request=Request("participant_sessions", DAY, call=CALL, listing="l"))
    land(landing, [page], endpoint="participant_sessions")
    erased = erased.with_user("ann")
    land(landing, [page], endpoint="participant_sessions")
    before, after = (json.loads(one)["participants_sessions"] for one in landed(landing, "participant_sessions"))
    assert [stay.get("user_id") for stay in before] == ["ann", "bob"]
    assert [stay.get("user_id") for stay in after] == [None, "bob"]
    assert list(after[0]) == ["forgotten"]
    assert "ann" not in json.dumps(after)


def test_erasure_removes_what_others_received_of_a_person() -> None:
    """Other subscriptions, other numbers and other shapes stay as they are."""
    erased = ErasedUsers("salt", frozenset()).with_user("ann")
    ann = {"publisher_user_id": "ann", "publisher_name": "Ann", "tracks": {}}
    bob = {"publisher_user_id": "bob", "tracks": {"video": [{"track_id": "cam", "metrics": {"bitrate": [[1.5, 2]]}}]}}
    body = json.dumps({"user_id": "cat", "subscriber": {"global": {}, "subscriptions": [ann, bob, None]}})
    struck = erased.strike_subscriptions(body)
    assert json.loads(struck) == {"user_id": "cat", "subscriber": {"global": {}, "subscriptions": [bob, None]}}
    for other in (struck, "[]", "nonsense", '{"subscriber": null}', '{"subscriber": {"subscriptions": "ann"}}'):
        assert erased.strike_subscriptions(other) == other


def test_erasure_removes_events_that_name_a_person() -> None:
    """Whole texts, parts of them and names of fields count; other events, numbers and shapes stay as they are."""
    erased = ErasedUsers("salt", frozenset()).with_user("ann").with_user("a b/c")
    data = ({"by": "ann"}, {"track": "ann:video"}, {"who": [{"ann": 1}]}, {"by": "a b/c"}, {"text": "of (ann), twice"})
    named = [{"type": "seen", "data": one} for one in data]
    kept = [{"type": "seen", "timestamp": 1772359200000000001, "data": {"by": "anna", "n": 1.5}}, None, {"data": None}]
    struck = erased.strike_events(json.dumps({"user_id": "cat", "events": [*named, *kept]}))
    assert json.loads(struck) == {"user_id": "cat", "events": kept}
    for other in (struck, "[]", "nonsense", '{"events": null}', '{"events": "ann"}'):
        assert erased.strike_events(other) == other
        assert redactor("keep", erased)("participant_timeline", other) == other
