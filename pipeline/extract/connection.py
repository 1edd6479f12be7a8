"""One connection to the source, kept open: an httpx transport without a connection pool.

A pool examines its connections before each request, and httpx's client prepares every request and response for
redirects and cookies. Both together cost as much as the request itself, and we need neither. The connection is one of
httpcore, as in httpx. Requests through a proxy use httpx's own transport (`client`).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator

import httpcore
import httpx

__all__ = ["ERRORS", "KEEPALIVE_SECONDS", "Connection"]

KEEPALIVE_SECONDS = 120.0
"""Seconds without a request after which a connection is not used again."""

TRUSTED_SECONDS = 1.0
"""Seconds after a response in which we do not check whether the server has closed the connection: servers keep it open
for longer, and the check costs a fifth of a request. If the server closed it after all, the request is repeated, and we
check each time from then on: some servers and gateways close after each response without saying so."""

ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    getattr(httpcore, name): getattr(httpx, name)
    for name in (
        "ConnectTimeout",
        "ReadTimeout",
        "WriteTimeout",
        "PoolTimeout",
        "TimeoutException",
        "ConnectError",
        "ReadError",
        "WriteError",
        "NetworkError",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
        "RemoteProtocolError",
        "ProtocolError",
    )
}
"""The error of httpx for each one of httpcore."""

_CLOSED = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)
"""What httpcore raises for a request on a connection that the server has closed."""


class Connection(httpx.AsyncBaseTransport):
    """A connection to the host of `url`. Opens with the first request, and again after it was closed.

    It takes one request at a time. Tests pass other `trusted_seconds` than `TRUSTED_SECONDS`. Raises the errors of
    httpx, all of them `httpx.TransportError`.
    """

    def __init__(self, url: httpx.URL, tls: ssl.SSLContext, *, trusted_seconds: float = TRUSTED_SECONDS) -> None:
        self._url = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"/")
        self._tls = tls
        self._connection: httpcore.AsyncHTTPConnection | None = None
        self._trusted_seconds = trusted_seconds
        self._is_trusted = False
        self._used_at = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the host, and return the response once its headers are there. The caller must close it.

        The path is that of the extension `target`; the URL of the request is not used.
        """
        connection = await self._open()
        sent = httpcore.Request(
            request.method,
            self._url,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            response = await connection.handle_async_request(sent)
        except tuple(ERRORS) as error:
            if self._is_trusted and isinstance(error, _CLOSED):
                self._trusted_seconds = 0.0
            raise _translated(error) from error
        return httpx.Response(response.status, headers=response.headers, stream=_Body(self, response))

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.aclose()

    async def _open(self) -> httpcore.AsyncHTTPConnection:
        connection = self._connection
        if connection is not None and not connection.is_closed():
            self._is_trusted = time.monotonic() < self._used_at + self._trusted_seconds
            if self._is_trusted or not connection.has_expired():
                return connection
            await connection.aclose()
        self._is_trusted = False
        self._connection = httpcore.AsyncHTTPConnection(self._url.origin, self._tls, KEEPALIVE_SECONDS)
        return self._connection

    def used(self) -> None:
        """Note that a response was closed just now."""
        self._used_at = time.monotonic()


class _Body(httpx.AsyncByteStream):
    """The body of a response, as it comes."""

    def __init__(self, connection: Connection, response: httpcore.Response) -> None:
        self._connection = connection
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._response.aiter_stream():
                yield part
        except tuple(ERRORS) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        await self._response.aclose()
        self._connection.used()


def _translated(error: Exception) -> httpx.TransportError:
    kind = next(ERRORS[cls] for cls in type(error).__mro__ if cls in ERRORS)
    return kind(str(error))
