"""One request to Stream's Video API, in up to `MAX_ATTEMPTS` attempts.

A request that fails is a `Response` with an `error`, never an exception. Only refused credentials are raised, since
every further request would fail too. Which requests to make is decided in `planning`.

Facts about the API are from Stream's documentation (getstream.io/video/docs/api) and its OpenAPI specification
(GetStream/protocol), or from the source of its SDKs.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx
import msgspec

from pipeline.endpoints import ENDPOINTS
from pipeline.errors import AskAgain, DoNotAskAgain, FixCredentials, RequestFailed, WaitForQuota
from pipeline.extract.addresses import Address, address_of
from pipeline.extract.clock import Clock, SourceClock
from pipeline.extract.connection import KEEPALIVE_SECONDS, Connection
from pipeline.extract.network import proxy_for, server_token, tls_context, url_of
from pipeline.extract.outcomes import TRANSLATIONS, Attempt, decode, judge, translated, usable_response
from pipeline.extract.quota import Limiter, QuotaSeen, read_allowance, read_retry_after
from pipeline.model import Request, Response
from pipeline.settings import Credentials

__all__ = ["MAX_ATTEMPTS", "StreamApi", "backoff_seconds"]

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 6
"""Most requests sent for one response. If one in five fails, six failures in a row happen once in 15,000 requests."""

MAX_BODY_BYTES = 16 << 20
"""Most bytes of a body, decompressed. Half an hour of a track has about 4 x 360 points, which are 40 kB."""

TIMEOUT = httpx.Timeout(15.0, connect=10.0)
"""Seconds without progress after which an attempt is given up."""

ATTEMPT_SECONDS = 60.0
"""Most seconds that one attempt may take in all, even if bytes keep trickling in."""


class StreamApi:
    """A client of one Stream app; an async context manager. Use it within one event loop.

    Args:
        base_url: address of the API.
        credentials: key and secret of the app.
        concurrency: most requests in flight.
        quota_share: share of the quota to use, above 0 and at most 1.
        clock: our time; tests pass their own.
        backoff: seconds to wait before attempt n (from 2 on).
        timeout: seconds without progress after which an attempt is given up.
        attempt_seconds: most seconds that one attempt may take in all.

    Raises `FixSettings` if the address, a proxy or certificates in the environment cannot be used.
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
        timeout: httpx.Timeout = TIMEOUT,
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._base_url = base_url
        self._url = url_of("STREAM_BASE_URL", base_url)
        self._prefix = self._url.raw_path.decode("ascii").rstrip("/")
        self._proxy = proxy_for(self._url)
        self._key = credentials.key
        self._secret = credentials.secret.reveal()
        self._token = server_token(self._secret)
        self._headers = httpx.Headers(
            {
                "Authorization": self._token,
                "stream-auth-type": "jwt",
                "Accept-Encoding": "gzip",
                "User-Agent": "call-metrics",
            }
        )
        self._clock = clock or Clock()
        self._source_clock = SourceClock(self._clock)
        self._backoff = backoff or backoff_seconds
        self._timeout = timeout.as_dict()
        self._attempt_seconds = attempt_seconds
        self._quota_share = quota_share
        self._concurrency = concurrency
        self._limiters: dict[str, Limiter] = {}
        self._transports: asyncio.LifoQueue[httpx.AsyncBaseTransport] = asyncio.LifoQueue()
        self._closing = AsyncExitStack()
        self.sent: dict[str, int] = {}
        """Requests sent so far by endpoint, including retries and 429s."""

    async def __aenter__(self) -> Self:
        tls = tls_context()
        for _ in range(self._concurrency):
            transport = Connection(self._url, tls) if self._proxy is None else _through(self._proxy, tls)
            self._transports.put_nowait(await self._closing.enter_async_context(transport))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    @property
    def skew(self) -> timedelta:
        """How far the source's clock is ahead of ours; zero if they agree to within two seconds."""
        return self._source_clock.skew

    def now(self) -> datetime:
        """Return the present in UTC, by the source's clock."""
        return self._source_clock.now()

    def limiter(self, endpoint: str) -> Limiter:
        """Return the one limiter of an endpoint."""
        if endpoint not in self._limiters:
            self._limiters[endpoint] = Limiter(endpoint, share=self._quota_share, clock=self._clock)
        return self._limiters[endpoint]

    def rate(self, endpoint: str) -> float | None:
        """Return the requests per second that the quota of an endpoint allows; None if unknown or without a quota."""
        return self.limiter(endpoint).rate

    def quotas_seen(self) -> dict[str, QuotaSeen]:
        """Return what was last seen of the quota of each endpoint that a request was sent to."""
        return {endpoint: self.limiter(endpoint).seen for endpoint in self.sent}

    async def fetch(self, request: Request) -> Response:
        """Return the response to a request, after up to `MAX_ATTEMPTS` attempts. Only passing faults are retried.

        Waits out a 429, which does not count as an attempt. Raises `FixCredentials`, and nothing else that the source
        could cause.
        """
        attempts = 0
        while True:
            attempts += 1
            attempt = None
            try:
                attempt = await self._send(request.endpoint, address_of(request))
                return usable_response(request, attempt, attempts, self.now())
            except WaitForQuota:
                attempts -= 1
            except FixCredentials as error:
                if attempt is None or not ENDPOINTS[request.endpoint].is_optional:
                    raise
                return Response(request, attempt.status, attempt.text, attempts, self.now(), error=str(error))
            except RequestFailed as error:
                if isinstance(error, AskAgain) and attempts < MAX_ATTEMPTS:
                    pause = self._backoff(attempts + 1)
                    log.debug("%s: attempt %d in %.1f s", request, attempts + 1, pause, extra={"attempt": attempts + 1})
                    await self._clock.sleep(pause)
                    continue
                body = "" if attempt is None else attempt.text
                return Response(request, error.status, body, attempts, self.now(), error=str(error))

    async def rate_limits(self) -> dict[str, Any]:
        """Return the app's quotas as the API lists them. Raises a `RequestFailed` or `FixCredentials`."""
        attempt = await self._send("rate_limits", Address("GET", "/api/v2/rate_limits", {"server_side": "true"}))
        quotas: dict[str, Any] = decode(msgspec.json.Decoder(dict[str, Any]), judge(attempt))
        return quotas

    async def _send(self, endpoint: str, address: Address) -> Attempt:
        """Send one attempt. Raises `WaitForQuota` for a 429, and the translated error if no complete response came."""
        # The target is passed as it is, since httpx would walk its characters for every request. A proxy is the
        # exception: httpcore would give it the same target when it asks for a tunnel.
        query = urlencode({**address.query, "api_key": self._key})
        target = f"{self._prefix}{address.path}?{query}".encode("ascii")
        extensions: dict[str, Any] = {"timeout": self._timeout}
        url = self._url
        if self._proxy is None:
            extensions["target"] = target
        else:
            url = url.copy_with(raw_path=target)
        request = httpx.Request(address.method, url, headers=self._headers, content=address.body, extensions=extensions)
        if address.body is not None:
            request.headers["Content-Type"] = "application/json"
        limiter = self.limiter(endpoint)
        async with self._transport() as transport, limiter.slot():
            self.sent[endpoint] = self.sent.get(endpoint, 0) + 1
            sent_at = time.monotonic()
            try:
                async with asyncio.timeout(self._attempt_seconds):
                    response = await transport.handle_async_request(request)
                    try:
                        content = await _read_body(response)
                    finally:
                        await response.aclose()
            except tuple(TRANSLATIONS) as error:
                _log_attempt(endpoint, address, None, sent_at)
                raise translated(error, self._base_url, self._attempt_seconds) from None
            _log_attempt(endpoint, address, response.status_code, sent_at)
            self._source_clock.read(response.headers)
            allowance = read_allowance(response.headers, self._clock, self._source_clock)
            if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                limiter.refused(read_retry_after(response.headers, self._source_clock), allowance)
                raise WaitForQuota("the quota of this minute is used up", status=response.status_code)
            if allowance is not None or response.is_success:
                limiter.learn(allowance)
            return Attempt(response.status_code, response.headers, self._without_secrets(content))

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[httpx.AsyncBaseTransport]:
        transport = await self._transports.get()
        try:
            yield transport
        finally:
            self._transports.put_nowait(transport)

    def _without_secrets(self, content: bytes) -> bytes:
        """Return a body without our token and secret, in case a response ever repeats them."""
        for secret in (self._token.encode(), self._secret.encode()):
            if secret in content:
                content = content.replace(secret, b"********")
        return content


def _log_attempt(endpoint: str, address: Address, status: int | None, sent_at: float) -> None:
    """Log one attempt, without its query, which has the key, and without people. `status` is None without a response.

    `sent_at` is by the clock of `time.monotonic`.
    """
    if log.isEnabledFor(logging.DEBUG):
        seconds = time.monotonic() - sent_at
        fields = {"method": address.method, "path": address.logged, "status": status, "seconds": round(seconds, 3)}
        outcome = "no response" if status is None else status
        log.debug(
            "%s %s: %s in %.3f s",
            address.method,
            address.logged,
            outcome,
            seconds,
            extra={"endpoint": endpoint, **fields},
        )


def _through(proxy: httpx.Proxy, tls: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    """Return one connection through a proxy. httpx would read the environment by rules of its own."""
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS)
    return httpx.AsyncHTTPTransport(verify=tls, limits=limits, proxy=proxy, trust_env=False)


async def _read_body(response: httpx.Response) -> bytes:
    """Return a body, decompressed. Raises `DoNotAskAgain` if it is larger than `MAX_BODY_BYTES`."""
    chunks = []
    size = 0
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise DoNotAskAgain(
                f"the response is larger than {MAX_BODY_BYTES >> 20} MB; check STREAM_BASE_URL",
                status=response.status_code,
            )
    return b"".join(chunks)


def backoff_seconds(attempt: int) -> float:
    """Return the seconds to wait before an attempt: full jitter, up to half a second for the second attempt, doubled
    with each further one, and at most 8.
    """
    return random.uniform(0, min(8.0, 0.25 * 2.0 ** (attempt - 1)))  # noqa: S311 - jitter, no secret
