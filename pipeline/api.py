"""Stream's Video API over HTTP: authentication, addresses, retries, quotas and the shape of answers.

The API's conventions end here: beyond this module there are `Request`s and `Answer`s. A request that fails is an
`Answer` with an `error`, never an exception; only refused credentials are raised, for every further request would
fail too. Which requests to make is `plan.py`'s decision, and what an answer means is `flatten.py`'s.

Facts about the API are from Stream's documentation (getstream.io/video/docs/api) and its OpenAPI specification
(GetStream/protocol), or from the source of its SDKs.
"""

from __future__ import annotations

import asyncio
import email.utils
import importlib.util
import ipaddress
import logging
import math
import random
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode
from urllib.request import getproxies, proxy_bypass

import httpx
import jwt
import msgspec

from pipeline.errors import (
    AskAgain,
    DoNotAskAgain,
    FixCredentials,
    FixSettings,
    Gone,
    RequestFailed,
    WaitForQuota,
)
from pipeline.exchange import Answer, Endpoint, Request
from pipeline.quota import Allowance, Clock, Limiter
from pipeline.settings import Credentials
from pipeline.windows import WIDTH

__all__ = ["ATTEMPTS", "StreamApi"]

ATTEMPTS = 6
"""Requests sent at most for one answer. Six passing faults in a row, at one request in five, are one in 15,000."""

PAGE = 100
"""Rows of a page of a listing: the most that the API gives."""

TIMEOUT = httpx.Timeout(15.0, connect=10.0)
"""Seconds without progress, after which an attempt is given up."""

ATTEMPT_SECONDS = 60.0
"""Seconds that one attempt may take in all, however slowly it drips."""

LONGEST_WINDOW = 3600.0
"""Seconds until the reset of a quota that can be meant: Stream's windows are a minute long."""

MARGIN = timedelta(seconds=1)
"""By which the last window of a stay is asked for beyond its end."""

SKEW_TOLERANCE = timedelta(seconds=2)
"""The `Date` header has whole seconds: a smaller difference between the clocks is none."""

OPTIONAL: frozenset[Endpoint] = frozenset({"participant_stats"})
"""Endpoints that an app may not have: that one of them refuses the credentials says nothing of the others."""

AUTH_CODES = frozenset({2, 5, 40, 41, 42, 43})
"""Stream's error codes for a key, a token or a signature that it does not take."""


class _CallStats(msgspec.Struct):
    call_stats: list[msgspec.Raw]
    next: str | None = None


class _ParticipantSessions(msgspec.Struct):
    participants_sessions: list[msgspec.Raw]
    next: str | None = None


class _ParticipantStats(msgspec.Struct):
    participants: list[msgspec.Raw] | None
    next: str | None = None


class _ParticipantMetrics(msgspec.Struct):
    is_publisher: bool | None = None
    published_tracks: list[msgspec.Raw] | None = None


class _Error(msgspec.Struct):
    code: int | None = None
    message: str = ""
    unrecoverable: bool = False


_DECODERS: dict[Endpoint, msgspec.json.Decoder[Any]] = {
    "call_stats": msgspec.json.Decoder(_CallStats),
    "participant_sessions": msgspec.json.Decoder(_ParticipantSessions),
    "participant_stats": msgspec.json.Decoder(_ParticipantStats),
    "participant_metrics": msgspec.json.Decoder(_ParticipantMetrics),
}
_ERROR = msgspec.json.Decoder(_Error)


@dataclass(frozen=True)
class Reply:
    """One answer of the server to one attempt."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class StreamApi:
    """A client of one Stream app; an async context manager.

    `concurrency` bounds the requests in flight, `quota_share` is passed to the limiters. `backoff` gives the seconds to
    wait before attempt n (from 2 on). Use it within one event loop. Raises `FixSettings` for an address, a proxy or
    certificates in the environment that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        concurrency: int = 16,
        quota_share: float = 1.0,
        clock: Clock | None = None,
        backoff: Callable[[int], float] | None = None,
    ) -> None:
        self._base_url = base_url
        self._url = _url("STREAM_BASE_URL", base_url)
        self._prefix = self._url.raw_path.decode("ascii").rstrip("/")
        self._proxy = _proxy(self._url)
        self._key = credentials.key
        self._secret = credentials.secret.reveal()
        self._token = _server_token(self._secret)
        self._clock = clock or Clock()
        self._backoff = backoff or _backoff
        self._quota_share = quota_share
        self._concurrency = concurrency
        self._limiters: dict[str, Limiter] = {}
        self._clients: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
        self._closing = AsyncExitStack()
        self._skew = timedelta()
        self.sent: dict[str, int] = {}
        """Requests sent so far, by endpoint, 429s and retries among them."""
        logging.getLogger("httpx").setLevel(logging.WARNING)  # its lines carry the key

    async def __aenter__(self) -> Self:
        tls = _tls()
        for _ in range(self._concurrency):
            # One connection per client: a pool looks at each of its connections for each request, which costs more
            # than the request itself where many are in flight.
            client = httpx.AsyncClient(
                headers={
                    "Authorization": self._token,
                    "stream-auth-type": "jwt",
                    "Accept-Encoding": "gzip",
                    "User-Agent": "call-metrics",
                },
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=120),
                timeout=TIMEOUT,
                verify=tls,
                proxy=self._proxy,
                trust_env=False,  # it would go by the environment in ways of its own
            )
            self._clients.put_nowait(await self._closing.enter_async_context(client))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    @property
    def skew(self) -> timedelta:
        """How far the source's clock is ahead of ours; nothing where they agree to within two seconds."""
        return self._skew

    def now(self) -> datetime:
        """The present, UTC, by the source's clock as far as its answers have told."""
        return datetime.fromtimestamp(self._clock.now(), UTC) + self._skew

    def limiter(self, endpoint: str) -> Limiter:
        """The one limiter of this endpoint."""
        if endpoint not in self._limiters:
            self._limiters[endpoint] = Limiter(share=self._quota_share, clock=self._clock)
        return self._limiters[endpoint]

    def rate(self, endpoint: str) -> float | None:
        """Requests per second that the quota of this endpoint allows; None while unknown or without a quota."""
        return self.limiter(endpoint).rate

    async def fetch(self, request: Request) -> Answer:
        """The answer to `request`, after as many attempts as it takes or is worth.

        A 429 is waited out and is no attempt. Raises `FixCredentials`, and nothing else that the source could cause.
        """
        attempts = 0
        while True:
            attempts += 1
            reply = None
            try:
                reply = await self._send(request.endpoint, *_address(request))
                return self._usable(request, reply, attempts)
            except WaitForQuota:
                attempts -= 1
            except FixCredentials as error:
                if request.endpoint not in OPTIONAL or reply is None:
                    raise
                return Answer(request, reply.status, _text(reply), attempts, self.now(), error=str(error))
            except RequestFailed as error:
                if isinstance(error, AskAgain) and attempts < ATTEMPTS:
                    await self._clock.sleep(self._backoff(attempts + 1))
                    continue
                body = "" if reply is None else _text(reply)
                return Answer(request, error.status, body, attempts, self.now(), error=str(error))

    async def rate_limits(self) -> dict[str, Any]:
        """The app's quotas as the API lists them. Raises a `RequestFailed` or `FixCredentials`."""
        reply = await self._send("rate_limits", "GET", "/api/v2/rate_limits", {"server_side": "true"}, None)
        quotas: dict[str, Any] = _decode(msgspec.json.Decoder(dict[str, Any]), _judged(reply))
        return quotas

    async def _send(self, endpoint: str, method: str, path: str, query: Mapping[str, str], body: bytes | None) -> Reply:
        """One attempt. Raises `WaitForQuota` for a 429, and what stands for it where no complete answer came."""
        # The target goes as it is, for httpx would walk its characters at every request; but not past a proxy, to which
        # httpcore would hand the same target when it asks for a tunnel.
        target = f"{self._prefix}{path}?{urlencode({**query, 'api_key': self._key})}".encode("ascii")
        headers = {"Content-Type": "application/json"} if body is not None else None
        limiter = self.limiter(endpoint)
        async with self._client() as client, limiter.slot():
            self.sent[endpoint] = self.sent.get(endpoint, 0) + 1
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    if self._proxy is not None:
                        url = self._url.copy_with(raw_path=target)
                        response = await client.request(method, url, content=body, headers=headers)
                    else:
                        extensions = {"target": target}
                        response = await client.request(
                            method, self._url, content=body, headers=headers, extensions=extensions
                        )
            except tuple(_TRANSLATIONS) as error:
                raise _translated(error, self._base_url) from None
            self._read_clock(response.headers)
            allowance = self._allowance(response.headers)
            if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                limiter.refused(self._retry_after(response.headers), allowance)
                raise WaitForQuota("the quota of this minute is used up", status=response.status_code)
            if allowance is not None or response.is_success:
                limiter.learn(allowance)
            return Reply(response.status_code, response.headers, self._redacted(response.content))

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        client = await self._clients.get()
        try:
            yield client
        finally:
            self._clients.put_nowait(client)

    def _usable(self, request: Request, reply: Reply, attempts: int) -> Answer:
        payload = _decode(_DECODERS[request.endpoint], _judged(reply))
        next_cursor = getattr(payload, "next", None) or None
        if next_cursor is not None and next_cursor == request.cursor:
            raise AskAgain("the page names itself as the next one", status=reply.status)
        publishes = None
        if isinstance(payload, _ParticipantMetrics):
            publishes = bool(payload.published_tracks) or payload.is_publisher is not False
        return Answer(
            request,
            reply.status,
            _text(reply),
            attempts,
            self.now(),
            next_cursor=next_cursor,
            publishes=publishes,
        )

    def _redacted(self, content: bytes) -> bytes:
        """Without token and secret, should an answer ever repeat them."""
        for secret in (self._token.encode(), self._secret.encode()):
            if secret in content:
                content = content.replace(secret, b"********")
        return content

    def _read_clock(self, headers: Mapping[str, str]) -> None:
        try:
            theirs = email.utils.parsedate_to_datetime(headers["Date"])
        except (KeyError, ValueError, TypeError):
            return
        skew = theirs.replace(tzinfo=UTC) - datetime.fromtimestamp(self._clock.now(), UTC)
        if abs(skew) <= SKEW_TOLERANCE:
            self._skew = timedelta()
        elif abs(skew - self._skew) > SKEW_TOLERANCE:
            self._skew = skew

    def _allowance(self, headers: Mapping[str, str]) -> Allowance | None:
        limit, remaining, reset = (
            _first_number(headers.get(f"X-RateLimit-{name}")) for name in ("Limit", "Remaining", "Reset")
        )
        if limit is None or remaining is None or reset is None or limit < 1:
            return None
        reset -= self._skew.total_seconds()
        if reset > self._clock.now() + LONGEST_WINDOW:
            return None  # in another unit, or of another time: it would hold us back for ever
        return Allowance(int(limit), int(remaining), reset)

    def _retry_after(self, headers: Mapping[str, str]) -> float | None:
        """Seconds, from seconds or from an HTTP date (RFC 9110, section 10.2.3)."""
        value = headers.get("Retry-After")
        seconds = _first_number(value)
        if seconds is not None or value is None:
            return seconds
        try:
            at = email.utils.parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        return (at.replace(tzinfo=at.tzinfo or UTC) - self.now()).total_seconds()


def _url(name: str, text: str) -> httpx.URL:
    """An address with a host and a port that there can be. Raises `FixSettings`, without repeating it: it may hold a
    password.
    """
    try:
        url = httpx.URL(text)
        if url.host and 0 < (url.port or 1) < 65536:
            return url
    except (httpx.InvalidURL, ValueError):
        pass
    raise FixSettings(f"{name} is no address that can be used; write it like https://host.example:8080")


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    """The proxy that the environment names for this address; none on the way to this machine itself."""
    if _is_here(url.host) or proxy_bypass(url.host):
        return None
    known = getproxies()
    scheme = url.scheme if known.get(url.scheme) else "all"
    if not (text := known.get(scheme)):
        return None
    name = f"{scheme.upper()}_PROXY"
    proxy = _url(name, text if "://" in text else f"http://{text}")
    if proxy.scheme not in ("http", "https", "socks5", "socks5h"):
        raise FixSettings(f"{name} is no address of a proxy; write it like http://host.example:3128")
    if proxy.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise FixSettings(f"{name} is a SOCKS proxy; `pip install 'httpx[socks]'` first, or write another")
    return httpx.Proxy(proxy)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # of ssl too
        raise FixSettings(
            f"SSL_CERT_FILE or SSL_CERT_DIR holds no certificates that can be read ({error.strerror}); set it right"
        ) from None


def _server_token(secret: str) -> str:
    """A JWT for a server. Without `iat`, it is valid whatever our clock says (Stream's Python SDK signs `{}`)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how long the secret is, is Stream's choice
        return jwt.encode({"server": True}, secret, algorithm="HS256")


_TRANSLATIONS: dict[type[Exception], tuple[type[RequestFailed], str]] = {
    TimeoutError: (AskAgain, f"no complete answer in {ATTEMPT_SECONDS:.0f} seconds"),
    httpx.TimeoutException: (AskAgain, "no answer in time"),
    httpx.NetworkError: (AskAgain, "the connection to {base_url} failed; check STREAM_BASE_URL and the network"),
    httpx.RemoteProtocolError: (AskAgain, "the connection was dropped in the middle of an answer"),
    httpx.DecodingError: (AskAgain, "the answer's compression is garbled"),
    httpx.ProxyError: (AskAgain, "the proxy refuses; check HTTPS_PROXY"),
    httpx.UnsupportedProtocol: (DoNotAskAgain, "{base_url} is no address to send to; check STREAM_BASE_URL"),
    httpx.LocalProtocolError: (DoNotAskAgain, "the request cannot be sent as HTTP"),
    httpx.TooManyRedirects: (DoNotAskAgain, "{base_url} sends us in circles; check STREAM_BASE_URL"),
    httpx.InvalidURL: (DoNotAskAgain, "the request has no valid address"),
}
"""What the layer below can raise, and what it means; one test walks it against httpx's own tree."""


def _translated(error: Exception, base_url: str) -> RequestFailed:
    kind, message = next(_TRANSLATIONS[cls] for cls in type(error).__mro__ if cls in _TRANSLATIONS)
    return kind(message.format(base_url=base_url))


def _text(reply: Reply) -> str:
    return reply.content.decode("utf-8", errors="backslashreplace")


def _judged(reply: Reply) -> bytes:
    """The content of a usable reply. Raises what its status and Stream's error in it stand for."""
    status = reply.status
    if 200 <= status < 300:
        return reply.content
    try:
        error = _ERROR.decode(reply.content)
        is_stream = True
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = _Error()
        is_stream = not reply.content.strip()
    code = f", code {error.code}" if error.code is not None else ""
    words = f": {error.message.strip()[:300]}" if error.message.strip() else ""
    said = f"HTTP {status}{code}{words}"
    if status == httpx.codes.UNAUTHORIZED or (400 <= status < 500 and error.code in AUTH_CODES):
        raise FixCredentials(
            f"Stream refuses STREAM_API_KEY or STREAM_API_SECRET ({said}); check both in its dashboard"
        )
    if status == httpx.codes.NOT_FOUND:
        if not is_stream:  # a gateway's page, say: the source itself has not said that it does not know
            raise AskAgain(f"{said}, and none of Stream's; check STREAM_BASE_URL and what stands before it")
        raise Gone(said, status=status)
    if 300 <= status < 400:
        raise DoNotAskAgain(f"{said}; check STREAM_BASE_URL", status=status)
    passing = status >= 500 or status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY)
    if passing and not error.unrecoverable:
        raise AskAgain(said, status=status)
    raise DoNotAskAgain(said, status=status)


def _decode(decoder: msgspec.json.Decoder[Any], content: bytes) -> Any:
    try:
        content.decode("utf-8")
        return decoder.decode(content)
    except msgspec.ValidationError as error:
        raise AskAgain(f"the answer has another shape than documented: {error}", status=200) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AskAgain("the answer is no JSON", status=200) from None


def _address(request: Request) -> tuple[str, str, dict[str, str], bytes | None]:
    """Method, path, query and body."""
    if request.endpoint == "call_stats":
        if request.updated is not None:
            first, last = request.updated
            field, condition = "updated_at", {"$gte": _rfc3339(first)}
            if last is not None:
                condition["$lte"] = _rfc3339(last)
        else:
            since = datetime.combine(request.session_date, datetime.min.time(), UTC)
            field = "session_started_at"
            condition = {"$gte": _rfc3339(since), "$lt": _rfc3339(since + timedelta(days=1))}
        body: dict[str, Any] = {
            "filter_conditions": {field: condition},
            "sort": [{"field": field, "direction": 1}, {"field": "call_cid", "direction": 1}],
            "limit": PAGE,
        }
        if request.cursor is not None:
            body["next"] = request.cursor
        return "POST", "/api/v2/video/call_stats", {}, msgspec.json.encode(body)
    call = request.stay.call if request.stay is not None else request.call
    if call is None:
        raise ValueError(f"a request to {request.endpoint} needs a call session")
    page = {"limit": str(PAGE)} | ({"next": request.cursor} if request.cursor is not None else {})
    if request.endpoint == "participant_stats":
        path = _path("call_stats", call.call_type, call.call_id, call.call_session_id, "participants")
        return "GET", path, page, None
    path = _path("call", call.call_type, call.call_id, "session", call.call_session_id)
    if request.endpoint == "participant_sessions":
        return "GET", f"{path}/participant_sessions", page, None
    if request.stay is None or request.window is None:
        raise ValueError(f"a request to {request.endpoint} needs a stay and a window")
    path += _path("participant", request.stay.user_id, request.stay.user_session_id, prefix="")
    # Whether `until` is inclusive is not documented. A window shorter than the widest is the last of its stay, and is
    # asked for a moment longer: a point at its very end is not lost, and a stay of no length is a span at all.
    until = min(request.window.until + MARGIN, request.window.since + WIDTH)
    query = {"since": _rfc3339(request.window.since), "until": _rfc3339(until)}
    return "GET", f"{path}/details/track", query, None


def _path(*segments: str, prefix: str = "/api/v2/video") -> str:
    """Percent-encoded, every segment by itself: ids are free text, slashes and lone dots too."""
    encoded = (quote(segment, safe="") for segment in segments)
    return prefix + "".join("/" + (part.replace(".", "%2E") if part in (".", "..") else part) for part in encoded)


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _first_number(value: str | None) -> float | None:
    """Of a header that proxies may have joined to a list, the first that is not empty; None for what is no number."""
    for part in (value or "").split(","):
        if part.strip():
            try:
                number = float(part)
            except ValueError:
                return None
            return number if math.isfinite(number) else None
    return None


def _backoff(attempt: int) -> float:
    """Full jitter: anything up to a quarter of a second, doubled with each attempt."""
    return random.uniform(0, min(8.0, 0.25 * 2.0 ** (attempt - 1)))  # noqa: S311 - jitter, no secret
