"""Addresses: what arrives at the server for a request."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.emulator import CallSpec, Emulator, StaySpec, World
from pipeline.extract.client import StreamApi
from pipeline.model import Call, Stay, Window
from tests.support import at, examples
from tests.support.api import (
    AFTERWARDS,
    ANN,
    ATTENDANCE,
    CALLS,
    CREDENTIALS,
    METRICS,
    WORLD,
    ScriptedServer,
    fetch,
    http_response,
    use,
)


@pytest.mark.parametrize(
    ("since", "until", "sent_until"),
    [
        (at(10), at(10, 30), "2026-11-01T10:30:00Z"),
        (at(10), at(10, 12), "2026-11-01T10:12:01Z"),
        (at(10), at(10), "2026-11-01T10:00:01Z"),
        (at(10), at(10, 29, 59.5), "2026-11-01T10:30:00Z"),
    ],
)
def test_last_window_of_a_stay_is_requested_a_second_longer(since: datetime, until: datetime, sent_until: str) -> None:
    """A point at its very end is not lost, and no window is wider than the API allows."""
    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        response = fetch(emulator.url, replace(METRICS, window=Window(since, until)))
        assert response.error is None
        assert [entry.until for entry in emulator.requests] == [sent_until]


def test_bounds_of_a_window_are_sent_to_the_microsecond() -> None:
    """No instant is rounded."""
    window = Window(at(10, 0, 0.000001), at(10, 30, 0.000001))
    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        fetch(emulator.url, replace(METRICS, window=window))
        assert emulator.requests[0].since == "2026-11-01T10:00:00.000001Z"
        assert emulator.requests[0].until == "2026-11-01T10:30:00.000001Z"


def test_calls_of_a_day_are_searched_by_their_start() -> None:
    """The search covers the UTC day, in pages of a hundred and in an order without ties."""
    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        response = fetch(emulator.url, CALLS)
        assert (response.status, response.error) == (201, None)
        assert emulator.requests[0].body == {
            "filter_conditions": {
                "session_started_at": {"$gte": "2026-11-01T00:00:00Z", "$lt": "2026-11-02T00:00:00Z"}
            },
            "sort": [{"field": "session_started_at", "direction": 1}, {"field": "call_cid", "direction": 1}],
            "limit": 100,
        }


def test_updated_calls_are_searched_by_when_they_were_updated() -> None:
    """With `updated`, call sessions of any day are listed."""
    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        response = fetch(emulator.url, replace(CALLS, updated=(at(9), None)))
        assert len(json.loads(response.body)["call_stats"]) == 1
        filters = emulator.requests[0].body["filter_conditions"]
        assert filters == {"updated_at": {"$gte": "2026-11-01T09:00:00Z"}}


ODD_IDS = [
    "/",
    "?",
    "#",
    "%",
    "%2F",
    ".",
    "..",
    "../../x",
    "a/../b",
    " ",
    "+",
    "&api_key=x",
    "é",
    "会议室 🎥",
    "\\",
    '"',
]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_odd_id_arrives_unchanged_in_every_place_of_the_path(odd: str) -> None:
    """Slashes, dots, signs and letters of any script find their call and user."""
    stay = StaySpec(odd, odd, at(10), at(11), tracks=ANN.tracks)
    world = World((CallSpec(odd, odd, odd, at(10), at(11), (stay,)),))
    call = Call(odd, odd, odd)
    with Emulator(world, clock=AFTERWARDS) as emulator:
        response = fetch(emulator.url, replace(METRICS, stay=Stay(call, odd, odd)))
        assert (response.status, response.error) == (200, None)
        assert json.loads(response.body)["user_id"] == odd
        listing = fetch(emulator.url, replace(ATTENDANCE, call=call))
        assert json.loads(listing.body)["participants_sessions"][0]["user_id"] == odd
        assert set(emulator.requests[0].ids.values()) == {odd}


@given(st.lists(st.tuples(*[st.text(min_size=1, max_size=64)] * 5), min_size=10, max_size=20))
@examples(10)
def test_any_text_arrives_unchanged_as_an_id(ids: list[tuple[str, ...]]) -> None:
    """The server decodes exactly the ids that were meant."""
    with Emulator(World(())) as emulator:

        async def send(api: StreamApi) -> None:
            for *call, user, session in ids:
                await api.fetch(replace(METRICS, stay=Stay(Call(*call), user, session)))

        use(emulator.url, send)
        assert [tuple(entry.ids.values()) for entry in emulator.requests] == ids


def test_lone_dots_in_ids_are_sent_encoded() -> None:
    """A proxy on the way may resolve a lone `.` or `..` in a path."""
    server = ScriptedServer(http_response({"duration": "1ms"}))
    server.use(lambda api: api.fetch(replace(METRICS, stay=Stay(Call("..", ".", "a.b"), "...", ".."))))
    path = "/call/%2E%2E/%2E/session/a.b/participant/.../%2E%2E/details/track?"
    assert server.heads[0].startswith(f"GET /api/v2/video{path}")


def test_path_of_the_base_url_is_kept() -> None:
    """A gateway may serve the API under a path of its own."""
    server = ScriptedServer(http_response({"duration": "1ms"}))

    async def send(_: StreamApi) -> None:
        async with StreamApi(f"{server.url}/stream/", CREDENTIALS, concurrency=1) as api:
            await api.fetch(METRICS)

    server.use(send)
    assert server.heads[0].startswith("GET /stream/api/v2/video/call/default/")
