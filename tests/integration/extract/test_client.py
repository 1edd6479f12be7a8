"""The client: requests over HTTP, attempts and retries, secrets."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import time
import traceback
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from pipeline.emulator import KEY, SECRET, CallSpec, Emulator, Fault, Quota, StaySpec, World
from pipeline.errors import AskAgain, FixCredentials, Gone, RequestFailed
from pipeline.extract.client import MAX_ATTEMPTS, StreamApi
from pipeline.extract.crawl import fetch_listing
from pipeline.model import Response
from pipeline.settings import Credentials, Secret
from tests.support import at
from tests.support.api import (
    AFTERWARDS,
    ATTENDANCE,
    CALLS,
    CREDENTIALS,
    METRICS,
    WORLD,
    ScriptedServer,
    SkippingClock,
    fetch,
    http_response,
    use,
)

# What is sent.


def test_request_has_the_key_and_a_signed_token() -> None:
    """The key is in the query, and a server token signed with the secret is in the header."""
    server = ScriptedServer(http_response({"duration": "1ms"}))
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


def test_client_reuses_connections() -> None:
    """There are no more connections than requests in flight, and one if requests come one by one."""
    server = ScriptedServer(http_response({"duration": "1ms"}))

    async def one_by_one(api: StreamApi) -> None:
        for _ in range(20):
            await api.fetch(METRICS)

    async def three_at_a_time(api: StreamApi) -> None:
        await asyncio.gather(*(api.fetch(METRICS) for _ in range(30)))

    server.use(one_by_one, concurrency=3)
    assert (len(server.heads), server.connections) == (20, 1)
    server = ScriptedServer(http_response({"duration": "1ms"}))
    server.use(three_at_a_time, concurrency=3)
    assert len(server.heads) == 30
    assert server.connections <= 3


def test_client_limits_requests_in_flight() -> None:
    """`concurrency` bounds the requests in flight."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault("slow", delay_seconds=0.05),)) as emulator:

        async def send(api: StreamApi) -> float:
            started = time.monotonic()
            await asyncio.gather(*(api.fetch(METRICS) for _ in range(9)))
            return time.monotonic() - started

        assert use(emulator.url, send, concurrency=3) >= 0.15


# Responses.


def test_response_has_the_body_as_received() -> None:
    """The body is decompressed, and otherwise unchanged."""
    body = '{ "published_tracks" : [ ],\n "joined_at":1793527200123456789, "é": "\\u00e9" }'
    compressed = gzip.compress(body.encode())
    response = ScriptedServer(http_response(compressed, 200, "Content-Encoding: gzip")).use(
        lambda api: api.fetch(METRICS)
    )
    assert response == Response(METRICS, 200, body, 1, response.fetched_at, publishes=True)


def test_listing_is_fetched_to_its_last_page() -> None:
    """All 250 stays on three pages are fetched once."""
    stays = tuple(StaySpec(f"user-{number}", "1", at(10), at(11)) for number in range(250))
    world = World((CallSpec("default", "standup", "s1", at(10), at(11), stays),))
    landed: list[Response] = []

    async def land(response: Response) -> None:
        landed.append(response)

    with Emulator(world, clock=AFTERWARDS) as emulator:
        failures = use(emulator.url, lambda api: fetch_listing(api, land, ATTENDANCE, None))
        assert emulator.count("participant_sessions", 200) == 3
    users = [row["user_id"] for response in landed for row in json.loads(response.body)["participants_sessions"]]
    assert failures == []
    assert sorted(users) == sorted(stay.user_id for stay in stays)
    assert [response.request.page for response in landed] == [0, 1, 2]
    assert len({response.request.listing for response in landed}) == 1


def test_page_that_names_itself_as_the_next_is_retried() -> None:
    """It is given up after the last attempt."""
    server = ScriptedServer(http_response({"participants_sessions": [], "next": "same"}))
    response = server.use(lambda api: api.fetch(replace(ATTENDANCE, cursor="same", page=1)))
    assert (response.attempts, response.next_cursor) == (MAX_ATTEMPTS, None)
    assert response.error is not None
    assert "next" in response.error


def test_rate_limits_are_those_that_the_api_lists() -> None:
    """Quotas for server-side requests are returned as received."""
    with Emulator(WORLD, quotas={"participant_metrics": Quota(300)}) as emulator:
        quotas = use(emulator.url, lambda api: api.rate_limits())
    assert quotas["server_side"]["GetCallParticipantSessionMetrics"]["limit"] == 300


def test_rate_limits_raise_the_error_for_a_failed_request() -> None:
    """Without a response to keep, the failure is raised."""
    for status, error in ((404, Gone), (500, AskAgain), (429, RequestFailed)):
        server = ScriptedServer(http_response({"code": 1, "message": "no"}, status))
        with pytest.raises(error):
            server.use(lambda api: api.rate_limits())


# Retries.


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
def test_fetch_retries_a_passing_fault(fault: Fault, status: int | None) -> None:
    """The third attempt succeeds after two faults, and a fault that stays is given up after the last attempt."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(fault,)) as emulator:
        response = fetch(emulator.url, METRICS)
        assert (response.attempts, response.status, response.error) == (3, 200, None)
        assert json.loads(response.body)["published_tracks"][0]["bitrate"]["data_points"]
        assert emulator.met(fault) == 2

        emulator.add_faults(replace(fault, times=None))
        emulator.clear_requests()
        response = fetch(emulator.url, METRICS)
        assert (response.attempts, response.status, response.publishes) == (MAX_ATTEMPTS, status, None)
        assert response.error
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
def test_fetch_does_not_retry_a_final_error(fault: Fault, status: int) -> None:
    """There is one attempt, and the error has the status and the source's message."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(fault,)) as emulator:
        response = fetch(emulator.url, METRICS)
        assert (response.attempts, response.status) == (1, status)
        assert response.error is not None
        assert response.error.startswith(f"HTTP {status}, code ")
        assert json.loads(response.body)["message"] in response.error
        assert emulator.count() == 1


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("body", [b"<html>not here</html>", b"", b"{}"])
def test_fetch_retries_what_a_gateway_refuses(body: bytes, status: int) -> None:
    """Only the source's own 403 or 404 is final, because a gateway may be wrong for a while."""
    response = ScriptedServer(http_response(body, status)).use(lambda api: api.fetch(METRICS))
    assert (response.status, response.attempts) == (None, MAX_ATTEMPTS)
    assert "check STREAM_BASE_URL" in (response.error or "")


@pytest.mark.parametrize(
    ("status", "attempts"), [(408, MAX_ATTEMPTS), (425, MAX_ATTEMPTS), (409, 1), (413, 1), (599, MAX_ATTEMPTS)]
)
def test_fetch_retries_other_statuses_that_pass(status: int, attempts: int) -> None:
    """Time-outs and server errors are retried, and other refusals are not."""
    response = ScriptedServer(http_response("<html>", status)).use(lambda api: api.fetch(METRICS))
    assert (response.attempts, response.status, response.error) == (attempts, status, f"HTTP {status}")


def test_fetch_retries_a_listing_of_another_shape() -> None:
    """A page without its list is not usable, whatever else it contains."""
    fault = Fault("wrong_shape", shape="nested", times=1)
    with Emulator(WORLD, clock=AFTERWARDS, faults=(fault,)) as emulator:
        assert fetch(emulator.url, CALLS).attempts == 2
    with Emulator(WORLD, clock=AFTERWARDS, faults=(replace(fault),)) as emulator:
        assert fetch(emulator.url, ATTENDANCE).attempts == 2


@pytest.mark.parametrize("kind", ["slow", "slow_drip"])
def test_fetch_waits_for_a_slow_response(kind: str) -> None:
    """One attempt is enough."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault(kind, delay_seconds=0.3),)) as emulator:
        response = fetch(emulator.url, METRICS)
    assert (response.attempts, response.error) == (1, None)


def test_fetch_retries_after_a_timeout() -> None:
    """An attempt without a response in time is given up."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault("hang", times=1),)) as emulator:
        response = fetch(emulator.url, METRICS, timeout=httpx.Timeout(0.2))
    assert (response.attempts, response.error) == (2, None)


def test_fetch_retries_a_response_that_never_ends() -> None:
    """Each piece arrives in time, but the whole response does not."""
    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault("slow_drip", delay_seconds=60, times=1),)) as emulator:
        response = fetch(emulator.url, METRICS, attempt_seconds=0.2)
    assert (response.attempts, response.error) == (2, None)


def test_fetch_names_the_address_if_the_connection_fails() -> None:
    """The error says what to check if no server listens there."""

    async def main() -> str:
        server = ScriptedServer(b"")
        async with server.listening():
            pass
        return server.url

    url = asyncio.run(main())
    response = fetch(url, METRICS)
    assert (response.attempts, response.status, response.body) == (MAX_ATTEMPTS, None, "")
    assert response.error == f"the connection to {url} failed; check STREAM_BASE_URL and the network"


def test_fetch_retries_a_response_that_cannot_be_decompressed() -> None:
    """Broken compression is a passing fault."""
    broken = http_response(b"no gzip at all", 200, "Content-Encoding: gzip")
    server = ScriptedServer(broken, http_response({"duration": "1ms"}))
    assert server.use(lambda api: api.fetch(METRICS)).attempts == 2


def test_fetch_gives_up_a_response_that_is_too_large() -> None:
    """A small gzip body can hide gigabytes. It is read no further than the limit, and not kept."""
    body = gzip.compress(b'{"x": "' + bytes(40 << 20) + b'"}')
    server = ScriptedServer(http_response(body, 200, "Content-Encoding: gzip"))
    response = server.use(lambda api: api.fetch(METRICS))
    assert (response.attempts, response.body) == (1, "")
    assert response.error == "the response is larger than 16 MB; check STREAM_BASE_URL"


def test_fetch_retries_a_body_that_is_not_utf_8() -> None:
    """After the last attempt, the body is kept with its bytes escaped."""
    response = ScriptedServer(http_response(b'{"is_publisher": true, "x": "\xff"}')).use(lambda api: api.fetch(METRICS))
    assert (response.attempts, response.error) == (MAX_ATTEMPTS, "the response is not JSON")
    assert "\\xff" in response.body


@pytest.mark.parametrize("status", [200, 500])
def test_fetch_retries_a_body_that_is_nested_too_deeply(status: int) -> None:
    """It is given up after the last attempt, like any other body that is not usable."""
    body = '{"published_tracks": [], "code": ' + "[" * 100_000 + "]" * 100_000 + "}"
    response = ScriptedServer(http_response(body, status)).use(lambda api: api.fetch(METRICS))
    assert (response.attempts, response.status) == (MAX_ATTEMPTS, status)
    assert response.error


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"message": "\xff"}', b'{"code": "nine"}', b'{"message": null}']
)
def test_fetch_reports_an_error_of_any_shape_by_its_status(body: bytes) -> None:
    """An error body that cannot be read does not hide the status."""
    response = ScriptedServer(http_response(body, 400)).use(lambda api: api.fetch(METRICS))
    assert (response.attempts, response.status, response.error) == (1, 400, "HTTP 400")


def test_fetch_does_not_follow_redirects() -> None:
    """A redirect would take the token elsewhere."""
    elsewhere = ScriptedServer(http_response({"duration": "1ms"}))
    here = ScriptedServer()

    async def main() -> Response:
        async with elsewhere.listening(), here.listening():
            here.responses = [http_response("", 302, f"Location: {elsewhere.url}")]
            async with StreamApi(here.url, CREDENTIALS, concurrency=1) as api:
                return await api.fetch(METRICS)

    response = asyncio.run(main())
    assert (response.attempts, response.status) == (1, 302)
    assert response.error is not None
    assert "STREAM_BASE_URL" in response.error
    assert elsewhere.connections == 0


def test_fetch_waits_between_attempts() -> None:
    """`backoff` gives the wait before every attempt but the first."""
    skipping, attempts = SkippingClock(), []

    def backoff(attempt: int) -> float:
        attempts.append(attempt)
        return attempt * 10.0

    with Emulator(WORLD, clock=AFTERWARDS, faults=(Fault("poisoned"),)) as emulator:
        fetch(emulator.url, METRICS, clock=skipping.clock, backoff=backoff)
    assert attempts == [2, 3, 4, 5, 6]
    assert [wait for wait in skipping.waits if wait >= 10] == [20, 30, 40, 50, 60]


# Secrets.


WRONG_SECRET = "not-the-secret-of-this-app-but-long-enough"


@pytest.mark.parametrize(
    "credentials",
    [Credentials("wrong", Secret(SECRET)), Credentials(KEY, Secret(WRONG_SECRET))],
    ids=["key", "secret"],
)
def test_wrong_credentials_stop_with_one_request(credentials: Credentials) -> None:
    """One sentence names the settings and contains no secret."""
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
def test_error_code_for_wrong_credentials_counts_with_any_status(code: int) -> None:
    """Stream sends some of these codes with another status than 401."""
    server = ScriptedServer(http_response({"code": code, "message": "no"}, 403))
    with pytest.raises(FixCredentials):
        server.use(lambda api: api.fetch(METRICS))


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_response_that_repeats_a_secret_is_masked(status: int) -> None:
    """Neither a body nor an error contains the token or the secret, even if the source sends them back."""

    async def send(api: StreamApi) -> str:
        token = jwt.encode({"server": True}, SECRET, algorithm="HS256")
        server.responses = [http_response({"code": 99, "message": f"{token} {SECRET}", "published_tracks": []}, status)]
        try:
            response = await api.fetch(METRICS)
        except FixCredentials as error:
            text = str(error)
        else:
            text = repr(response) + response.body + str(response.error)
        assert "********" in text
        assert token not in text
        return text

    server = ScriptedServer()
    assert SECRET not in server.use(send)


def test_client_prints_and_logs_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the client, nor its credentials, nor a log line shows the secret, the token or the key."""
    caplog.set_level(logging.DEBUG)

    async def send(api: StreamApi) -> str:
        response = await api.fetch(METRICS)
        return f"{api!r} {api} {CREDENTIALS!r} {CREDENTIALS} {response!r} {response.body}"

    with Emulator(WORLD, clock=AFTERWARDS) as emulator:
        text = use(emulator.url, send)
    token = jwt.encode({"server": True}, SECRET, algorithm="HS256")
    for secret in (SECRET, token):
        assert secret not in text
        assert secret not in caplog.text
    assert f"api_key={KEY}" not in caplog.text
