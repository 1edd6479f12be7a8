"""How each fault looks to the client: a refusal, a changed document, or a broken connection.

Which request meets which fault is decided in `faults`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..world.timestamps import MICROSECOND, SECOND_US
from . import errors
from .errors import ApiError
from .faults import Fault, FaultKind
from .server import CLOSING_KEY, CONNECTION_KEY
from .wire_format import WireFormat

GATEWAY_PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n"
LISTS: Final = ("call_stats", "participants_sessions", "participants", "published_tracks", "user_feedback")
"""The fields of documents that are lists."""

WITHOUT_RESPONSE: Final = frozenset((FaultKind.DROPPED, FaultKind.HANG))
"""Faults after which there is no response."""

REFUSALS: Final[Mapping[FaultKind, tuple[int | None, int, str]]] = {
    FaultKind.RATE_LIMITED: (429, errors.RATE_LIMIT, "Too many requests"),
    FaultKind.SERVER_ERROR: (None, errors.INTERNAL, "internal system error"),
    FaultKind.POISONED: (500, errors.INTERNAL, "internal system error"),
    FaultKind.UNRECOVERABLE: (None, errors.INTERNAL, "this request will never succeed"),
    FaultKind.BAD_REQUEST: (400, errors.INPUT, "the request is not acceptable"),
    FaultKind.UNAUTHORIZED: (401, errors.AUTHENTICATION, "not authenticated"),
    FaultKind.FORBIDDEN: (403, errors.NOT_ALLOWED, "not allowed to perform this action"),
    FaultKind.NOT_FOUND: (404, errors.NOT_FOUND, "not found"),
}
"""Faults that are plain refusals: status (None for the fault's own), code, message."""


# -- what a response contains -----------------------------------------------------------------------------------------


def refusal(fault: Fault) -> ApiError | None:
    """Return the error of a fault that is a refusal, else None."""
    kind = FaultKind(fault.kind)
    if kind not in REFUSALS:
        return None
    status, code, message = REFUSALS[kind]
    return ApiError(status or fault.status, code, message, unrecoverable=kind is FaultKind.UNRECOVERABLE)


def altered(fault: Fault, document: dict[str, Any], wire: WireFormat) -> Any:
    """Return the document as the fault changes it. Most faults do not."""
    if fault.kind is FaultKind.SHRUNKEN:
        emptied: dict[str, Any] = {name: [] for name in LISTS if name in document}
        return {name: value for name, value in (document | emptied).items() if name not in ("next", "prev")}
    if fault.kind is FaultKind.SHIFTED:
        _shift(document, fault.shift // MICROSECOND * wire.ticks_per_second // SECOND_US)
    if fault.kind is FaultKind.WRONG_SHAPE:
        return _misshapen(fault.shape, document)
    return document


def _shift(value: Any, ticks: int) -> None:
    """Move the times of every data point in a document, in place."""
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


# -- how a response is sent -------------------------------------------------------------------------------------------


async def deliver(response: Response, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response, unless a fault delays, breaks or withholds it.

    A delay ends early, and the connection with it, if the client disconnects or the emulator stops.
    """
    if fault is None:
        return await response(scope, receive, send)
    delivery = _Delivery(response, scope, receive, send)
    if fault.kind is FaultKind.DROPPED:
        return await delivery.drop()
    if fault.kind is FaultKind.TRUNCATED:
        return await delivery.send_half()
    if fault.kind is FaultKind.SLOW_DRIP:
        return await delivery.send_in_pieces(fault.delay_seconds)
    delays: dict[FaultKind | str, float | None] = {FaultKind.SLOW: fault.delay_seconds, FaultKind.HANG: None}
    if fault.kind in delays and await delivery.wait(delays[fault.kind]):
        return await delivery.drop()
    return await response(scope, receive, send)


class _Delivery:
    """One response on its way, and what a fault can do to it."""

    def __init__(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        self._response = response
        self._connection: asyncio.Transport = scope["state"][CONNECTION_KEY]
        self._closing: asyncio.Event = scope["state"][CLOSING_KEY]
        self._receive = receive
        self._send = send

    async def send_half(self) -> None:
        """Send half of what Content-Length promises, then close the connection."""
        body = bytes(self._response.body)
        await self._send_start()
        await self._send_piece(body[: len(body) // 2])
        await self.drop()

    async def send_in_pieces(self, seconds: float) -> None:
        """Send the response in ten pieces that take so many seconds in total."""
        body = bytes(self._response.body)
        await self._send_start()
        size = -(-len(body) // 10)
        for start in range(0, len(body), size):
            if await self.wait(seconds / 10):
                return await self.drop()
            await self._send_piece(body[start : start + size])
        return await self._send({"type": "http.response.body", "body": b""})

    async def drop(self) -> None:
        """Close the connection, and return once the server knows."""
        self._connection.close()
        for _ in range(3):
            await asyncio.sleep(0)

    async def wait(self, seconds: float | None) -> bool:
        """Wait so many seconds, or without limit. Return whether the client disconnected or the emulator stopped."""
        disconnected = asyncio.ensure_future(self._disconnected())
        stopped = asyncio.ensure_future(self._closing.wait())
        try:
            done, _ = await asyncio.wait((disconnected, stopped), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            disconnected.cancel()
            stopped.cancel()
        return bool(done)

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _send_start(self) -> None:
        await self._send(
            {
                "type": "http.response.start",
                "status": self._response.status_code,
                "headers": self._response.raw_headers,
            }
        )

    async def _send_piece(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
