"""Application: one request from the wire to its answer: authentication, quota, fault, document, headers.

Here: the order of those steps, and HTTP's headers. Not here: each step itself (``auth``, ``quotas``, ``faults``,
``answers``), and sockets (``server``).
"""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from . import errors
from .answers import Answers
from .auth import Keeper
from .dialect import UNITS, Dialect
from .errors import ApiError, bad_input
from .faults import Fault, FaultBook, FaultKind
from .journal import Asked, Entry, Journal
from .mishaps import HTML, UNANSWERED, Connection, altered, deliver, refusal
from .queries import read_page
from .quotas import QuotaBook, Standing
from .routes import ENDPOINTS, UNKNOWN, AnyRoute, Endpoint, RawRoute

SMALLEST_GZIP: Final = 512
"""Bytes under which an answer is not worth compressing."""


@dataclass
class Service:
    """Everything the application needs, put together by ``server.Emulator``.

    Attributes:
        answers: builds the documents.
        dialect: how they are written.
        keeper: lets requests in.
        quotas: counts them.
        faults: breaks them.
        journal: writes them down.
        clock: the emulator's time.
        gzip: whether to compress for clients that accept it.
        retry_after: how a 429 says when to come back: ``seconds``, ``http_date`` or ``absent``.
        joined_headers: whether rate-limit headers hold comma-joined lists.
        stats_status: status of participant statistics: 200, or 403 or 404 for an account that has none.
        closing: set when the emulator stops, so that hanging requests end.
    """

    answers: Answers
    dialect: Dialect
    keeper: Keeper
    quotas: QuotaBook
    faults: FaultBook
    journal: Journal
    clock: Callable[[], datetime]
    gzip: bool = True
    retry_after: str = "seconds"
    joined_headers: bool = False
    stats_status: int = 200
    closing: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, a body and the headers of its own."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=utf-8"


def build_app(service: Service) -> Starlette:
    """The application."""
    desk = _Desk(service)
    known = [RawRoute(endpoint, desk.serve) for endpoint in ENDPOINTS]
    return Starlette(routes=[*known, AnyRoute(UNKNOWN, desk.serve)])


class _Desk:
    """Takes requests in and hands answers out."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def serve(self, endpoint: Endpoint, ids: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and write it down."""
        service = self._service
        began, now = time.monotonic(), service.clock()
        query = dict(parse_qsl(scope["query_string"].decode("ascii", "replace"), keep_blank_values=True))
        headers = dict(scope["headers"])
        body = await _read(receive) if endpoint.method == "POST" else b""
        key = query.pop("api_key", None)
        asked = _asked(endpoint, ids, query, body)
        standing, fault = None, None
        try:
            service.keeper.check(key, _text(headers, b"authorization"), _text(headers, b"stream-auth-type"), now)
            standing = service.quotas.spend(endpoint.name)
            if standing is not None and not standing.allowed:
                raise ApiError(429, errors.RATE_LIMIT, f"Too many requests for {endpoint.operation}")
            fault = service.faults.meets(asked)
            reply = self._reply(endpoint, asked, fault, now)
        except ApiError as error:
            reply = Reply(error.status, orjson.dumps(error.body()), self._retry_after(error, standing, fault, now))
            if fault is not None and fault.html:
                reply = replace(reply, body=HTML, content_type="text/html")
        packed = self._packed(reply, standing, now, b"gzip" in headers.get(b"accept-encoding", b""))
        status = 0 if fault is not None and fault.kind in UNANSWERED else reply.status
        service.journal.note(Entry(asked, status, str(fault.kind) if fault else None, now, began))
        await deliver(Connection(scope, receive, send, service.closing), fault, reply.status, *packed)

    def _reply(self, endpoint: Endpoint, asked: Asked, fault: Fault | None, now: datetime) -> Reply:
        """The answer, as far as a fault changes what is said; ``ApiError`` where it is a refusal."""
        if fault is not None:
            refused = refusal(fault)
            if refused is not None:
                raise refused
            if fault.kind is FaultKind.NOT_JSON:
                return Reply(200, HTML, {}, "text/html")
            if fault.kind is FaultKind.EMPTY_BODY:
                return Reply(200, b"")
        document: Any = self._document(endpoint, asked, now)
        if fault is not None:
            document = altered(fault, document, UNITS[self._service.dialect.unit])
        return Reply(201 if endpoint.method == "POST" else 200, orjson.dumps(document))

    def _document(self, endpoint: Endpoint, asked: Asked, now: datetime) -> dict[str, Any]:
        """The document an endpoint gives."""
        answers, ids, query = self._service.answers, tuple(asked.ids.values()), asked.query
        if endpoint.name == "participant_metrics":
            return answers.participant_metrics(ids, asked.since, asked.until, now)
        if endpoint.name == "rate_limits":
            return self._rate_limits(query)
        if endpoint.name == "unknown":
            raise ApiError(404, errors.NOT_FOUND, "URL not found")
        if endpoint.name == "participant_stats" and self._service.stats_status != 200:
            code = errors.NOT_ALLOWED if self._service.stats_status == 403 else errors.NOT_FOUND
            raise ApiError(self._service.stats_status, code, "participant statistics are not available to this app")
        if endpoint.name == "call_stats":
            if not isinstance(asked.body, dict):
                raise bad_input(endpoint.operation, "the body must be a JSON object")
            body = asked.body
            page = read_page(endpoint.operation, body.get("limit"), body.get("next"), body.get("prev"))
            return answers.call_stats(body, page, now)
        page = read_page(endpoint.operation, query.get("limit"), query.get("next"), query.get("prev"))
        filter_ = _json(endpoint.operation, query.get("filter_conditions"))
        read = answers.participant_sessions if endpoint.name == "participant_sessions" else answers.participant_stats
        return read(ids, filter_, page, now)

    def _rate_limits(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The quotas of server-side callers by the API's names (``GetRateLimitsResponse``)."""
        wanted = set(query["endpoints"].split(",")) if query.get("endpoints") else None
        limits = {}
        for endpoint in ENDPOINTS:
            standing = self._service.quotas.standing(endpoint.name)
            if standing is not None and (wanted is None or endpoint.operation in wanted):
                figures = {"limit": standing.limit, "remaining": standing.remaining, "reset": standing.reset}
                limits[endpoint.operation] = figures
        answer: dict[str, Any] = {"duration": "0.10ms"}
        return answer | {"server_side": limits} if query.get("server_side") == "true" else answer

    def _retry_after(
        self, error: ApiError, standing: Standing | None, fault: Fault | None, now: datetime
    ) -> dict[str, str]:
        """When to come back, for a 429, and for a fault that says so."""
        way = (fault.retry_after if fault else None) or (self._service.retry_after if error.status == 429 else "absent")
        if way == "absent":
            return {}
        seconds = math.ceil(standing.seconds_left) if standing is not None else 1
        if fault is not None:
            seconds = fault.retry_after_seconds
        if way == "http_date":
            # A date has whole seconds: the next one, so that nobody comes back too early.
            return {"Retry-After": format_datetime(now + timedelta(seconds=seconds, microseconds=999_999), usegmt=True)}
        return {"Retry-After": str(seconds)}

    def _packed(
        self, reply: Reply, standing: Standing | None, now: datetime, accepts_gzip: bool
    ) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body as they go over the wire; Content-Length is added on the way."""
        headers = {"Date": format_datetime(now, usegmt=True), "Content-Type": reply.content_type, **reply.headers}
        if standing is not None:
            form = ", {0}, {0}" if self._service.joined_headers else "{0}"
            headers |= {name: form.format(value) for name, value in standing.headers().items()}
        body = reply.body
        if accepts_gzip and self._service.gzip and len(body) >= SMALLEST_GZIP:
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        return [(name.lower().encode(), value.encode()) for name, value in headers.items()], body


async def _read(receive: Receive) -> bytes:
    """The body of a request."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _asked(endpoint: Endpoint, ids: dict[str, str], query: dict[str, str], body: bytes) -> Asked:
    try:
        document = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        document = None
    paging = document if isinstance(document, dict) else query
    cursor = paging.get("next") or paging.get("prev")
    return Asked(endpoint.name, ids, query.get("since"), query.get("until"), cursor, document, query)


def _json(operation: str, text: str | None) -> object:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        raise bad_input(operation, "filter_conditions must be JSON") from None


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
