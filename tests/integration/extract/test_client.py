"""The client against a real server on loopback: what it sends, what it makes of answers, and how it takes faults."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import logging
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.emulator import (
    KEY,
    SECRET,
    CallSpec,
    Emulator,
    Fault,
    ManualClock,
    Points,
    Quota,
    StaySpec,
    TrackSpec,
    WireFormat,
    World,
    skewed,
)
from pipeline.errors import AskAgain, FixCredentials, Gone, RequestFailed
from pipeline.extract.client import MAX_ATTEMPTS, StreamApi, backoff_seconds
from pipeline.extract.clock import Clock
from pipeline.extract.crawl import fetch_listing
from pipeline.extract.outcomes import TRANSLATIONS, translated
from pipeline.model import Call, Request, Response, Stay, Window
from pipeline.settings import Credentials, Secret
from tests.support import CALL, DAY, STAY, at, examples

T = TypeVar("T")
CREDENTIALS = Credentials(KEY, Secret(SECRET))
AFTERWARDS = ManualClock(at(20))

ANN = StaySpec(
    STAY.user_id,
    STAY.user_session_id,
    at(10),
    at(11),
    tracks=(TrackSpec("mic", "audio", "opus", Points.every(600, at(10), bitrate=(1, 2, 3, 4, 5, 6))),),
)
WORLD = World((CallSpec(*(CALL.call_type, CALL.call_id, CALL.call_session_id), at(10), at(11), (ANN,)),))
CALLS = Request("call_stats", DAY)
ATTENDANCE = Request("participant_sessions", DAY, call=CALL)
METRICS = Request("participant_metrics", DAY, stay=STAY, window=Window(at(10), at(10, 30)))


class Leaper:
    """A clock that leaps over every wait, and notes it."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return time.time() + sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    @property
    def clock(self) -> Clock:
        return Clock(self.now, self.sleep)


def use(url: str, body: Callable[[StreamApi], Coroutine[Any, Any, T]], **given: Any) -> T:
    """What a coroutine makes of a client that does not wait between attempts."""

    async def main() -> T:
        options: dict[str, Any] = {"credentials": CREDENTIALS, "concurrency": 1, "backoff": lambda attempt: 0.0}
        async with StreamApi(url, **options | given) as api:
            return await body(api)

    return asyncio.run(main())


def fetch(url: str, request: Request, **given: Any) -> Response:
    """The answer to one request."""
    return use(url, lambda api: api.fetch(request), **given)


class Scripted:
    """A server that answers with raw bytes and counts its connections. Each answer is used once, the last one on."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.heads: list[str] = []
        self.url = ""
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open[writer] = asyncio.current_task()
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next((line[15:] for line in head.split("\r\n") if line.startswith("Content-Length:")), "0")
                await reader.readexactly(int(length))
                self.heads.append(head)
                writer.write(self.answers[min(len(self.heads), len(self.answers)) - 1])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def use(self, body: Callable[[StreamApi], Coroutine[Any, Any, T]], **given: Any) -> T:
        """What a coroutine makes of a client of this server."""

        async def main() -> T:
            options: dict[str, Any] = {"credentials": CREDENTIALS, "concurrency": 1, "backoff": lambda attempt: 0.0}
            async with self.listening(), StreamApi(self.url, **options | given) as api:
                return await body(api)

        return asyncio.run(main())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            for writer in self._open:
                writer.close()
            await asyncio.gather(*(task for task in self._open.values() if task), return_exceptions=True)


def raw(body: bytes | str | object, status: int = 200, *headers: str) -> bytes:
    """An answer as it goes over the wire; what is neither bytes nor text is sent as JSON."""
    content = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


# What is sent.


def test_a_window_is_asked_for_with_key_and_signed_token() -> None:
    """The key goes in the query, a token of a server, signed with the secret, in the header."""
    server = Scripted(raw({}))
    server.use(lambda api: api.fetch(METRICS))
    request, *lines = server.heads[0].split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)}
    assert headers["stream-auth-type"] == "jwt"
    assert headers["accept-encoding"] == "gzip"
    assert jwt.decode(headers["authorization"], SECRET, ["HS256"]) == {"server": True}
    method, target, _ = request.split(" ")
    address = urlsplit(target)
    assert method == "GET"
    assert address.path == "/api/v2/video/call/default/standup/session/s1/participant/ann/ann-1/details/track"
    assert parse_qs(address.query) == {
        "api_key": [KEY],
        "since": ["2026-11-01T10:00:00Z"],
        "until": ["2026-11-01T10:30:00Z"],
    }


@pytest.mark.parametrize(
    ("since", "until", "asked_until"),
    [
        (at(10), at(10, 30), "2026-11-01T10:30:00Z"),
        (at(10), at(10, 12), "2026-11-01T10:12:01Z"),
        (at(10), at(10), "2026-11-01T10:00:01Z"),
        (at(10), at(10, 29, 59.5), "2026-11-01T10:30:00Z"),
    ],
)
def test_the_last_window_of_a_stay_is_asked_for_a_moment_longer(
    since: datetime, until: datetime, asked_until: str
) -> None:
    """A point at its very end is not lost, and no window is wider than the API allows."""
    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        answer = fetch(emulator.url, replace(METRICS, window=Window(since, until)))
        assert answer.error is None
        assert [entry.until for entry in emulator.requests] == [asked_until]


def test_bounds_are_exact_to_the_microsecond() -> None:
    """No instant is rounded on its way."""
    window = Window(at(10, 0, 0.000001), at(10, 30, 0.000001))
    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        fetch(emulator.url, replace(METRICS, window=window))
        assert emulator.requests[0].since == "2026-11-01T10:00:00.000001Z"
        assert emulator.requests[0].until == "2026-11-01T10:30:00.000001Z"


def test_calls_of_a_day_are_asked_for_by_their_start() -> None:
    """From midnight to before the next midnight, UTC, a hundred a page, in an order without ties."""
    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        answer = fetch(emulator.url, CALLS)
        assert (answer.status, answer.error) == (201, None)
        assert emulator.requests[0].body == {
            "filter_conditions": {
                "session_started_at": {"$gte": "2026-11-01T00:00:00Z", "$lt": "2026-11-02T00:00:00Z"}
            },
            "sort": [{"field": "session_started_at", "direction": 1}, {"field": "call_cid", "direction": 1}],
            "limit": 100,
        }


def test_news_are_asked_for_by_when_they_came() -> None:
    """With `updated`, of whatever day."""
    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        answer = fetch(emulator.url, replace(CALLS, updated=(at(9), None)))
        assert len(json.loads(answer.body)["call_stats"]) == 1
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
def test_any_id_arrives_as_it_is(odd: str) -> None:
    """Slashes, dots, signs and letters of any script, in every place of the path, find their call and user."""
    stay = StaySpec(odd, odd, at(10), at(11), tracks=ANN.tracks)
    world = World((CallSpec(odd, odd, odd, at(10), at(11), (stay,)),))
    call = Call(odd, odd, odd)
    with Emulator(world, clock=AFTERWARDS) as emulator:
        answer = fetch(emulator.url, replace(METRICS, stay=Stay(call, odd, odd)))
        assert (answer.status, answer.error) == (200, None)
        assert json.loads(answer.body)["user_id"] == odd
        listing = fetch(emulator.url, replace(ATTENDANCE, call=call))
        assert json.loads(listing.body)["participants_sessions"][0]["user_id"] == odd
        assert set(emulator.requests[0].ids.values()) == {odd}


@given(st.lists(st.tuples(*[st.text(min_size=1, max_size=64)] * 5), min_size=10, max_size=20))
@examples(10)
def test_all_ids_that_text_can_hold_arrive_as_they_are(ids: list[tuple[str, ...]]) -> None:
    """What the server decodes is what was meant."""
    with Emulator(World(())) as emulator:

        async def ask(api: StreamApi) -> None:
            for *call, user, session in ids:
                await api.fetch(replace(METRICS, stay=Stay(Call(*call), user, session)))

        use(emulator.url, ask)
        assert [tuple(entry.ids.values()) for entry in emulator.requests] == ids


def test_dots_go_encoded() -> None:
    """Whatever stands between us and the source may resolve a lone `.` or `..` in a path."""
    server = Scripted(raw({}))
    server.use(lambda api: api.fetch(replace(METRICS, stay=Stay(Call("..", ".", "a.b"), "...", ".."))))
    path = "/call/%2E%2E/%2E/session/a.b/participant/.../%2E%2E/details/track?"
    assert server.heads[0].startswith(f"GET /api/v2/video{path}")


def test_a_path_of_the_base_url_stays() -> None:
    """A gateway may keep the API under a path of its own."""
    server = Scripted(raw({}))

    async def ask(_: StreamApi) -> None:
        async with StreamApi(f"{server.url}/stream/", CREDENTIALS, concurrency=1) as api:
            await api.fetch(METRICS)

    server.use(ask)
    assert server.heads[0].startswith("GET /stream/api/v2/video/call/default/")


def test_connections_are_used_again() -> None:
    """No more of them than requests in flight, however many requests; one where they come one by one."""
    server = Scripted(raw({}))

    async def one_by_one(api: StreamApi) -> None:
        for _ in range(20):
            await api.fetch(METRICS)

    async def three_at_a_time(api: StreamApi) -> None:
        await asyncio.gather(*(api.fetch(METRICS) for _ in range(30)))

    server.use(one_by_one, concurrency=3)
    assert (len(server.heads), server.connections) == (20, 1)
    server = Scripted(raw({}))
    server.use(three_at_a_time, concurrency=3)
    assert len(server.heads) == 30
    assert server.connections <= 3


def test_no_more_requests_are_in_flight_than_allowed() -> None:
    """`concurrency` bounds them, whoever asks."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault("slow", delay_seconds=0.05),)) as emulator:

        async def ask(api: StreamApi) -> float:
            begun = time.monotonic()
            await asyncio.gather(*(api.fetch(METRICS) for _ in range(9)))
            return time.monotonic() - begun

        assert use(emulator.url, ask, concurrency=3) >= 0.15


# What an answer is.


def test_an_answer_holds_the_body_as_it_came() -> None:
    """Decompressed, and byte for byte the same."""
    body = '{ "published_tracks" : [ ],\n "joined_at":1793527200123456789, "é": "\\u00e9" }'
    packed = gzip.compress(body.encode())
    answer = Scripted(raw(packed, 200, "Content-Encoding: gzip")).use(lambda api: api.fetch(METRICS))
    assert answer == Response(METRICS, 200, body, 1, answer.fetched_at, publishes=True)


@pytest.mark.parametrize(
    ("body", "publishes"),
    [
        ({"is_publisher": False, "published_tracks": []}, False),
        ({"is_publisher": False}, False),
        ({"is_publisher": False, "published_tracks": None}, False),
        ({"is_publisher": False, "published_tracks": [{"track_id": "t"}]}, True),
        ({"is_publisher": True, "published_tracks": []}, True),
        ({"is_publisher": None}, True),
        ({}, True),
    ],
)
def test_only_a_clear_no_means_that_nothing_was_published(body: object, publishes: bool) -> None:
    """`is_publisher` must be false and no track be there."""
    assert Scripted(raw(body)).use(lambda api: api.fetch(METRICS)).publishes is publishes


def test_a_listing_has_the_cursor_of_its_next_page() -> None:
    """None on the last page, whichever way the source says so."""
    for following, cursor in (("abc", "abc"), ("", None), (None, None)):
        body = {"participants_sessions": [], "next": following}
        assert Scripted(raw(body)).use(lambda api: api.fetch(ATTENDANCE)).next_cursor == cursor


def test_a_listing_is_read_to_its_last_page() -> None:
    """Every one of 250 stays, on three pages, once."""
    stays = tuple(StaySpec(f"user-{number}", "1", at(10), at(11)) for number in range(250))
    world = World((CallSpec("default", "standup", "s1", at(10), at(11), stays),))
    landed: list[Response] = []

    async def land(answer: Response) -> None:
        landed.append(answer)

    with Emulator(world, clock=AFTERWARDS) as emulator:
        failures = use(emulator.url, lambda api: fetch_listing(api, land, ATTENDANCE, None))
        assert emulator.count("participant_sessions", 200) == 3
    users = [row["user_id"] for answer in landed for row in json.loads(answer.body)["participants_sessions"]]
    assert failures == []
    assert sorted(users) == sorted(stay.user_id for stay in stays)
    assert [answer.request.page for answer in landed] == [0, 1, 2]
    assert len({answer.request.listing for answer in landed}) == 1


def test_a_page_that_names_itself_as_the_next_is_no_answer() -> None:
    """It is asked for again, and given up after the last attempt."""
    server = Scripted(raw({"participants_sessions": [], "next": "same"}))
    answer = server.use(lambda api: api.fetch(replace(ATTENDANCE, cursor="same", page=1)))
    assert (answer.attempts, answer.next_cursor) == (MAX_ATTEMPTS, None)
    assert answer.error is not None
    assert "next" in answer.error


def test_quotas_can_be_asked_for() -> None:
    """As the API lists them, for server-side callers."""
    with Emulator(WORLD, quotas={"participant_metrics": Quota(300)}) as emulator:
        quotas = use(emulator.url, lambda api: api.rate_limits())
    assert quotas["server_side"]["GetCallParticipantSessionMetrics"]["limit"] == 300


def test_quotas_that_are_refused_raise_what_it_means() -> None:
    """There is no answer to keep, so the failure is raised."""
    for status, error in ((404, Gone), (500, AskAgain), (429, RequestFailed)):
        server = Scripted(raw({"code": 1, "message": "no"}, status))
        with pytest.raises(error):
            server.use(lambda api: api.rate_limits())


# Faults.


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("server_error", times=2), 500),
        (Fault("server_error", times=2, status=502, html=True), 502),
        (Fault("server_error", times=2, status=503), 503),
        (Fault("server_error", times=2, status=504), 504),
        (Fault("dropped", times=2), None),
        (Fault("truncated", times=2), None),
        (Fault("not_json", times=2), 200),
        (Fault("empty_body", times=2), 200),
        (Fault("wrong_shape", times=2, shape="list"), 200),
        (Fault("wrong_shape", times=2, shape="null"), 200),
        (Fault("wrong_shape", times=2, shape="string"), 200),
        (Fault("wrong_shape", times=2, shape="points"), 200),
    ],
    ids=lambda value: f"{value.kind}-{value.shape}-{value.status}" if isinstance(value, Fault) else None,
)
def test_what_passes_is_asked_again(fault: Fault, status: int | None) -> None:
    """Twice a fault, then the answer, on the third attempt; where it stays, given up after the last attempt."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(fault,)) as emulator:
        answer = fetch(emulator.url, METRICS)
        assert (answer.attempts, answer.status, answer.error) == (3, 200, None)
        assert json.loads(answer.body)["published_tracks"][0]["bitrate"]["data_points"]
        assert emulator.met(fault) == 2

        emulator.add_faults(replace(fault, times=None))
        emulator.clear_requests()
        answer = fetch(emulator.url, METRICS)
        assert (answer.attempts, answer.status, answer.publishes) == (MAX_ATTEMPTS, status, None)
        assert answer.error
        assert emulator.count() == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("unrecoverable"), 500),
        (Fault("unrecoverable", status=503), 503),
        (Fault("bad_request"), 400),
        (Fault("forbidden"), 403),
        (Fault("not_found"), 404),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else None,
)
def test_what_is_final_is_not_asked_again(fault: Fault, status: int) -> None:
    """One attempt, with the status and the source's words."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(fault,)) as emulator:
        answer = fetch(emulator.url, METRICS)
        assert (answer.attempts, answer.status) == (1, status)
        assert answer.error is not None
        assert answer.error.startswith(f"HTTP {status}, code ")
        assert json.loads(answer.body)["message"] in answer.error
        assert emulator.count() == 1


@pytest.mark.parametrize(("body", "is_gone"), [(b"<html>not here</html>", False), (b"", True), (b"{}", True)])
def test_a_page_of_a_gateway_is_not_the_sources_404(body: bytes, is_gone: bool) -> None:
    """Only what the source says it does not know is given up; whoever stands before it may be mistaken for a while."""
    server = Scripted(raw(body, 404))
    answer = server.use(lambda api: api.fetch(METRICS))
    assert (answer.status, answer.attempts) == ((404, 1) if is_gone else (None, MAX_ATTEMPTS))
    assert is_gone or "check STREAM_BASE_URL" in (answer.error or "")


@pytest.mark.parametrize(
    ("status", "attempts"), [(408, MAX_ATTEMPTS), (425, MAX_ATTEMPTS), (409, 1), (413, 1), (599, MAX_ATTEMPTS)]
)
def test_other_statuses_are_told_apart_by_what_they_mean(status: int, attempts: int) -> None:
    """Time-outs and whatever is the server's fault pass; other refusals do not."""
    answer = Scripted(raw("<html>", status)).use(lambda api: api.fetch(METRICS))
    assert (answer.attempts, answer.status, answer.error) == (attempts, status, f"HTTP {status}")


def test_a_listing_of_another_shape_is_asked_for_again() -> None:
    """Without its list it is no listing, whatever else it holds."""
    fault = Fault("wrong_shape", shape="nested", times=1)
    with Emulator(WORLD, clock=AFTERWARDS, faults=(fault,)) as emulator:
        assert fetch(emulator.url, CALLS).attempts == 2
    with Emulator(WORLD, clock=AFTERWARDS, faults=(replace(fault),)) as emulator:
        assert fetch(emulator.url, ATTENDANCE).attempts == 2


@pytest.mark.parametrize("kind", ["slow", "slow_drip"])
def test_what_is_slow_is_waited_for(kind: str) -> None:
    """One attempt is enough."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault(kind, delay_seconds=0.3),)) as emulator:
        answer = fetch(emulator.url, METRICS)
    assert (answer.attempts, answer.error) == (1, None)


def test_what_hangs_is_given_up_and_asked_again() -> None:
    """No answer in time is a fault that passes."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault("hang", times=1),)) as emulator:
        answer = fetch(emulator.url, METRICS, timeout=httpx.Timeout(0.2))
    assert (answer.attempts, answer.error) == (2, None)


def test_what_drips_for_ever_is_given_up_and_asked_again() -> None:
    """Each piece comes in time, and the whole does not."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault("slow_drip", delay_seconds=60, times=1),)) as emulator:
        answer = fetch(emulator.url, METRICS, attempt_seconds=0.2)
    assert (answer.attempts, answer.error) == (2, None)


def test_a_connection_that_fails_names_the_address() -> None:
    """Nobody listens there: the sentence says what to check."""

    async def main() -> str:
        server = Scripted(b"")
        async with server.listening():
            pass
        return server.url

    url = asyncio.run(main())
    answer = fetch(url, METRICS)
    assert (answer.attempts, answer.status, answer.body) == (MAX_ATTEMPTS, None, "")
    assert answer.error == f"the connection to {url} failed; check STREAM_BASE_URL and the network"


def test_garbled_compression_is_asked_for_again() -> None:
    """What cannot be unpacked is a fault that passes."""
    server = Scripted(raw(b"no gzip at all", 200, "Content-Encoding: gzip"), raw({}))
    assert server.use(lambda api: api.fetch(METRICS)).attempts == 2


def test_what_is_no_utf8_is_no_json() -> None:
    """Asked for again, and kept readably where it stays so."""
    answer = Scripted(raw(b'{"is_publisher": true, "x": "\xff"}')).use(lambda api: api.fetch(METRICS))
    assert (answer.attempts, answer.error) == (MAX_ATTEMPTS, "the response is not JSON")
    assert "\\xff" in answer.body


@pytest.mark.parametrize("status", [200, 500])
def test_what_is_nested_beyond_measure_is_no_answer(status: int) -> None:
    """It is asked for again and given up, like any other nonsense."""
    body = '{"published_tracks": [], "code": ' + "[" * 100_000 + "]" * 100_000 + "}"
    answer = Scripted(raw(body, status)).use(lambda api: api.fetch(METRICS))
    assert (answer.attempts, answer.status) == (MAX_ATTEMPTS, status)
    assert answer.error


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"message": "\xff"}', b'{"code": "nine"}', b'{"message": null}']
)
def test_an_error_of_any_shape_is_an_error(body: bytes) -> None:
    """The status says enough."""
    answer = Scripted(raw(body, 400)).use(lambda api: api.fetch(METRICS))
    assert (answer.attempts, answer.status, answer.error) == (1, 400, "HTTP 400")


def test_redirects_are_not_followed() -> None:
    """They would carry the token elsewhere."""
    elsewhere = Scripted(raw({}))
    here = Scripted()

    async def main() -> Response:
        async with elsewhere.listening(), here.listening():
            here.answers = [raw("", 302, f"Location: {elsewhere.url}")]
            async with StreamApi(here.url, CREDENTIALS, concurrency=1) as api:
                return await api.fetch(METRICS)

    answer = asyncio.run(main())
    assert (answer.attempts, answer.status) == (1, 302)
    assert answer.error is not None
    assert "STREAM_BASE_URL" in answer.error
    assert elsewhere.connections == 0


def test_attempts_are_spaced_out() -> None:
    """`backoff` is asked before every attempt but the first, and its wait is waited."""
    leaper, asked = Leaper(), []

    def backoff(attempt: int) -> float:
        asked.append(attempt)
        return attempt * 10.0

    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault("poisoned"),)) as emulator:
        fetch(emulator.url, METRICS, clock=leaper.clock, backoff=backoff)
    assert asked == [2, 3, 4, 5, 6]
    assert [wait for wait in leaper.waits if wait >= 10] == [20, 30, 40, 50, 60]


def test_waits_between_attempts_grow_and_stay_short() -> None:
    """At most a quarter of a second, doubled with each attempt up to eight, by chance."""
    for attempt, most in ((2, 0.5), (3, 1.0), (6, 8.0), (50, 8.0)):
        drawn = [backoff_seconds(attempt) for _ in range(200)]
        assert 0 <= min(drawn) < max(drawn) <= most
        assert max(drawn) > most / 2


def test_httpx_raises_nothing_that_is_not_translated() -> None:
    """Every class of its tree that a request can raise has its meaning here; a new one fails this test."""
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
        error = translated(kind("boom"), "https://example.org")
        assert type(error) is meaning
        assert "{" not in str(error)


# Quotas and clocks.


@pytest.mark.parametrize("way", ["seconds", "http_date"])
@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=1), timedelta(hours=-1)])
def test_a_429_is_waited_out_and_is_no_attempt(way: str, skew: timedelta) -> None:
    """As long as the source says, in seconds or by its own clock's date, and as often as it says so."""
    fault = Fault("rate_limited", times=8, retry_after=way, retry_after_seconds=7)
    leaper = Leaper()
    with Emulator(WORLD, clock=skewed(skew), faults=(fault,), quotas={"participant_metrics": None}) as emulator:
        request = replace(METRICS, stay=Stay(CALL, "nobody", "x"))
        answer = fetch(emulator.url, request, clock=leaper.clock)
        assert emulator.count(status=429) == 8
    assert (answer.attempts, answer.status) == (1, 404)
    assert 8 * 7 <= sum(leaper.waits) <= 8 * (7 + 2 + 1)


def test_429s_between_faults_cost_no_attempt() -> None:
    """All attempts are left for what is wrong."""
    refusals = (Fault("rate_limited", times=2, retry_after="seconds"), Fault("poisoned"))
    with Emulator(WORLD, clock=AFTERWARDS, faults=refusals, quotas={"participant_metrics": None}) as emulator:
        answer = fetch(emulator.url, METRICS, clock=Leaper().clock)
        assert emulator.count(status=500) == MAX_ATTEMPTS
    assert answer.attempts == MAX_ATTEMPTS


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=5), timedelta(hours=-5)])
def test_a_quota_is_followed_whatever_the_clocks_say(skew: timedelta) -> None:
    """The reset is a time by the source's clock: three windows' worth of requests, and not one 429."""
    with Emulator(World(()), clock=skewed(skew), quotas={"participant_metrics": Quota(4, 1.0)}) as emulator:

        async def ask(api: StreamApi) -> None:
            await asyncio.gather(*(api.fetch(METRICS) for _ in range(9)))

        use(emulator.url, ask, concurrency=4)
        assert emulator.count(status=429) == 0
        assert emulator.count(status=404) == 9


@pytest.mark.parametrize("joined", [False, True])
def test_the_quota_is_read_from_the_headers(joined: bool) -> None:
    """Also where proxies have joined them to lists."""
    with Emulator(
        WORLD, quotas={"participant_metrics": Quota(120)}, wire=WireFormat(joined_headers=joined)
    ) as emulator:

        async def ask(api: StreamApi) -> tuple[float | None, float | None]:
            before = api.rate("participant_metrics")
            await api.fetch(METRICS)
            return before, api.rate("participant_metrics")

        before, rate = use(emulator.url, ask)
    assert before is None
    assert rate == pytest.approx(120 / 60, rel=0.05)


@pytest.mark.parametrize("skew", [timedelta(days=3), timedelta(seconds=-90)])
def test_the_present_is_by_the_sources_clock(skew: timedelta) -> None:
    """As its answers tell, to the second; what was fetched is dated by it too."""
    with Emulator(WORLD, clock=skewed(skew)) as emulator:

        async def ask(api: StreamApi) -> tuple[datetime, Response]:
            await api.rate_limits()
            return api.now(), await api.fetch(METRICS)

        now, answer = use(emulator.url, ask)
        theirs = emulator.clock()
    assert abs(now - theirs) < timedelta(seconds=2.5)
    assert abs(answer.fetched_at - theirs) < timedelta(seconds=2.5)


@pytest.mark.parametrize("date", ["Date: yesterday", "X-Date: none", "Date: Sun, 99 Nov 2026 00:00:00 GMT"])
def test_a_clock_that_says_nothing_leaves_ours(date: str) -> None:
    """A missing or senseless Date header is no reason for anything."""

    async def ask(api: StreamApi) -> tuple[Response, timedelta]:
        return await api.fetch(METRICS), api.skew

    answer, skew = Scripted(raw({}, 200, date)).use(ask)
    assert answer.error is None
    assert skew == timedelta(0)
    assert abs(answer.fetched_at - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "headers",
    [
        ["X-RateLimit-Limit: many", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Limit: 0", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Limit: nan", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Limit: inf", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"],
        ["X-RateLimit-Limit: 60", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: inf"],
        ["X-RateLimit-Limit: ,", "X-RateLimit-Remaining: ", "X-RateLimit-Reset: ,,"],
    ],
)
def test_senseless_quota_headers_hold_nobody_back(headers: list[str]) -> None:
    """What cannot be understood is no quota."""

    async def ask(api: StreamApi) -> None:
        async with asyncio.timeout(5):
            for _ in range(3):
                assert (await api.fetch(METRICS)).error is None

    Scripted(raw({}, 200, *headers)).use(ask)


PAST = "Sun, 06 Nov 1994 08:49:37"


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "soon", "Sun, 99 Nov 2026 00:00:00 GMT", PAST, f"{PAST} GMT"])
def test_a_senseless_retry_after_is_waited_out_all_the_same(value: str) -> None:
    """A short wait, and on."""
    server = Scripted(raw({"code": 9}, 429, f"Retry-After: {value}"), raw({}))
    leaper = Leaper()

    async def ask(api: StreamApi) -> Response:
        async with asyncio.timeout(5):
            return await api.fetch(METRICS)

    assert server.use(ask, clock=leaper.clock).attempts == 1
    assert 0 < sum(leaper.waits) <= 62


# Credentials and secrets.

WRONG_SECRET = "not-the-secret-of-this-app-but-long-enough"


@pytest.mark.parametrize(
    "credentials",
    [Credentials("wrong", Secret(SECRET)), Credentials(KEY, Secret(WRONG_SECRET))],
    ids=["key", "secret"],
)
def test_wrong_credentials_stop_at_once(credentials: Credentials) -> None:
    """One request, one sentence that names the variables and no secret."""
    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        for request in (CALLS, ATTENDANCE, METRICS):
            emulator.clear_requests()
            with pytest.raises(FixCredentials) as caught:
                fetch(emulator.url, request, credentials=credentials)
            assert emulator.count() == 1
            message = str(caught.value)
            assert "STREAM_API_KEY" in message
            assert "STREAM_API_SECRET" in message
            assert credentials.secret.reveal() not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("code", [2, 5, 40, 41, 42, 43])
def test_streams_codes_for_wrong_credentials_count_whatever_the_status(code: int) -> None:
    """Some come with another status than 401."""
    server = Scripted(raw({"code": code, "message": "no"}, 403))
    with pytest.raises(FixCredentials):
        server.use(lambda api: api.fetch(METRICS))


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_what_repeats_the_token_or_the_secret_is_masked(status: int) -> None:
    """Neither lands with an answer nor stands in an error, even where the source sends it back."""

    async def ask(api: StreamApi) -> str:
        token = jwt.encode({"server": True}, SECRET, algorithm="HS256")
        server.answers = [raw({"code": 99, "message": f"{token} {SECRET}", "published_tracks": []}, status)]
        try:
            answer = await api.fetch(METRICS)
        except FixCredentials as error:
            text = str(error)
        else:
            text = repr(answer) + answer.body + str(answer.error)
        assert "********" in text
        assert token not in text
        return text

    server = Scripted()
    assert SECRET not in server.use(ask)


def test_no_secret_shows_in_what_is_printed_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the client, nor its credentials, nor a log line has key's secret or token."""
    caplog.set_level(logging.DEBUG)

    async def ask(api: StreamApi) -> str:
        answer = await api.fetch(METRICS)
        return f"{api!r} {api} {CREDENTIALS!r} {CREDENTIALS} {answer!r} {answer.body}"

    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        text = use(emulator.url, ask)
    token = jwt.encode({"server": True}, SECRET, algorithm="HS256")
    for secret in (SECRET, token):
        assert secret not in text
        assert secret not in caplog.text
    assert f"api_key={KEY}" not in caplog.text
