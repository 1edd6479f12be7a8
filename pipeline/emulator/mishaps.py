"""Mishaps: faults carried out, on the document before it is written or on the connection while it is.

Here: how each fault looks from outside. Not here: when one strikes (``faults``).

Closing a connection in mid-answer is beyond ASGI, so the server hands the connection itself to the application under
``scope["state"]["connection"]``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from . import errors
from .errors import ApiError
from .faults import Fault, FaultKind
from .instants import MICROSECOND, SECOND_US

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n"
LISTS = ("call_stats", "participants_sessions", "participants", "published_tracks")

UNANSWERED = frozenset((FaultKind.DROPPED, FaultKind.HANG))
"""Faults after which nothing is answered."""

ON_THE_WIRE = UNANSWERED | {FaultKind.TRUNCATED, FaultKind.SLOW, FaultKind.SLOW_DRIP}
"""Faults of the connection rather than of what is said."""

REFUSALS: Mapping[FaultKind, tuple[int | None, int, str]] = {
    FaultKind.RATE_LIMITED: (429, errors.RATE_LIMIT, "Too many requests"),
    FaultKind.SERVER_ERROR: (None, errors.INTERNAL, "internal system error"),
    FaultKind.POISONED: (500, errors.INTERNAL, "internal system error"),
    FaultKind.UNRECOVERABLE: (None, errors.INTERNAL, "this request will never succeed"),
    FaultKind.BAD_REQUEST: (400, errors.INPUT, "the request is not acceptable"),
    FaultKind.UNAUTHORIZED: (401, errors.AUTHENTICATION, "not authenticated"),
    FaultKind.FORBIDDEN: (403, errors.NOT_ALLOWED, "not allowed to perform this action"),
    FaultKind.NOT_FOUND: (404, errors.NOT_FOUND, "not found"),
}
"""Faults that are plain refusals: status (None: the fault's own), code, message."""


def refusal(fault: Fault) -> ApiError | None:
    """The error a fault answers with; None for faults that are none."""
    kind = FaultKind(fault.kind)
    if kind not in REFUSALS:
        return None
    status, code, message = REFUSALS[kind]
    return ApiError(status or fault.status, code, message, unrecoverable=kind is FaultKind.UNRECOVERABLE)


def altered(fault: Fault, document: dict[str, Any], per_second: int) -> Any:
    """The document as the fault leaves it; unchanged for faults that do not touch it."""
    if fault.kind is FaultKind.SHRUNKEN:
        emptied: dict[str, Any] = {name: [] for name in LISTS if name in document}
        return {name: value for name, value in (document | emptied).items() if name not in ("next", "prev")}
    if fault.kind is FaultKind.SHIFTED:
        _shift(document, fault.shift // MICROSECOND * per_second // SECOND_US)
    if fault.kind is FaultKind.WRONG_SHAPE:
        return _misshapen(fault.shape, document)
    return document


def _shift(value: Any, ticks: int) -> None:
    """Move the times of every data point in the document."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "data_points":
                value[name] = [(at + ticks, measured) for at, measured in inner]
            else:
                _shift(inner, ticks)
    elif isinstance(value, list):
        for inner in value:
            _shift(inner, ticks)


def _misshapen(shape: str, document: dict[str, Any]) -> Any:
    if shape == "list":
        return [document]
    if shape == "null":
        return None
    if shape == "string":
        return "ok"
    if shape == "nested":
        return {"data": document}
    return document | {name: {"unexpected": 1} for name in LISTS if name in document}


class Connection:
    """The wire of one request: the parts of HTTP a fault may break."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, closing: asyncio.Event) -> None:
        self._transport: asyncio.Transport = scope["state"]["connection"]
        self._receive = receive
        self._send = send
        self._closing = closing

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """A whole answer."""
        await self._begin(status, headers, len(body))
        await self._send({"type": "http.response.body", "body": body})

    async def truncated(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Half of what Content-Length promises, then the end."""
        await self._begin(status, headers, len(body))
        await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await self.drop()

    async def dripped(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, seconds: float) -> None:
        """All of it, in ten pieces."""
        await self._begin(status, headers, len(body))
        size = -(-len(body) // 10)
        for start in range(0, len(body), size):
            if await self.wait(seconds / 10):
                return await self.drop()
            await self._send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})
        return None

    async def drop(self) -> None:
        """Close the connection, and return when the server knows."""
        self._transport.close()
        for _ in range(3):
            await asyncio.sleep(0)

    async def wait(self, seconds: float | None) -> bool:
        """Wait, without end for None; True when cut short because the client is gone or the emulator stops."""
        gone = asyncio.ensure_future(self._gone())
        stopped = asyncio.ensure_future(self._closing.wait())
        try:
            done, _ = await asyncio.wait((gone, stopped), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            stopped.cancel()
        return bool(done)

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]], length: int) -> None:
        headers = [*headers, (b"content-length", str(length).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


async def deliver(
    connection: Connection, fault: Fault | None, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Send an answer, as far as a fault lets it through."""
    kind = fault.kind if fault is not None else None
    if fault is None or kind not in ON_THE_WIRE:
        await connection.answer(status, headers, body)
    elif kind is FaultKind.DROPPED:
        await connection.drop()
    elif kind is FaultKind.TRUNCATED:
        await connection.truncated(status, headers, body)
    elif kind is FaultKind.SLOW_DRIP:
        await connection.dripped(status, headers, body, fault.delay_seconds)
    elif await connection.wait(None if kind is FaultKind.HANG else fault.delay_seconds):
        await connection.drop()
    else:
        await connection.answer(status, headers, body)
