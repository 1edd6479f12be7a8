"""The steps of one request: authentication, quota, fault, document, headers.

Each step has a module of its own (`auth`, `quotas`, `faults`, `list_documents`, `metrics_document`,
`details_document`, `timeline_document`), and so does the socket (`server`). HTTP's headers are written here.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..world.clocks import Clock
from ..world.world import World
from . import errors
from .auth import Authenticator
from .details_document import DetailsDocument
from .document_parts import Json
from .errors import ApiError
from .fault_delivery import GATEWAY_PAGE, WITHOUT_RESPONSE, altered, deliver, refusal
from .faults import Fault, FaultKind, FaultScript
from .list_documents import ListDocuments
from .lookup import Lookup
from .metrics_document import MetricsDocument
from .quotas import QuotaCounter, QuotaState, rate_limits_document
from .request_log import ApiRequest, RequestLog
from .routes import Endpoint
from .timeline_document import TimelineDocument
from .wire_format import WireFormat

MIN_GZIP_BYTES: Final = 512
"""Smaller bodies are not worth compressing."""


@dataclass(frozen=True, slots=True)
class Content:
    """Status and body of a response, before other headers and compression."""

    status: int
    body: bytes
    media_type: str = "application/json;charset=utf-8"


@dataclass
class RequestHandler:
    """Responds to requests of all endpoints. An ASGI application that also gets the endpoint (see `routes`).

    Attributes:
        world: what happened.
        wire: how responses are written.
        authenticator: admits requests.
        quotas: counts requests against quotas.
        faults: decides what goes wrong.
        log: keeps requests for tests.
        clock: the emulator's time.
    """

    world: World = field(repr=False)
    wire: WireFormat
    authenticator: Authenticator
    quotas: QuotaCounter
    faults: FaultScript
    log: RequestLog
    clock: Clock

    def __post_init__(self) -> None:
        lookup = Lookup(self.world)
        lists, metrics = ListDocuments(lookup, self.wire), MetricsDocument(lookup, self.wire)
        self._documents: dict[str, Callable[[ApiRequest], Json]] = {
            "call_stats": lists.call_stats,
            "participant_sessions": lists.participant_sessions,
            "participant_metrics": metrics.participant_metrics,
            "participant_stats": lists.participant_stats,
            "participant_details": DetailsDocument(lookup, self.wire).participant_details,
            "participant_timeline": TimelineDocument(lookup, self.wire).participant_timeline,
            "user_feedback": lists.user_feedback,
            "rate_limits": partial(rate_limits_document, self.quotas),
        }

    async def __call__(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, and log it."""
        now = self.clock()
        received = Request(scope, receive)
        request = await _read(received, endpoint, now)
        quota, fault = None, None
        retry_after: dict[str, str] = {}
        try:
            self.authenticator.check(received.query_params.get("api_key"), received.headers, now)
            quota = self.quotas.spend(endpoint.name)
            if quota is not None and not quota.allowed:
                raise ApiError(429, errors.RATE_LIMIT, f"Too many requests for {endpoint.operation}")
            fault = self.faults.fault_for(request)
            content = self._content(request, endpoint, fault)
        except ApiError as error:
            content = Content(error.status, orjson.dumps(error.body(endpoint.operation)))
            if fault is not None and fault.html:
                content = Content(error.status, GATEWAY_PAGE, "text/html")
            retry_after = self._retry_after(error, quota, fault, now)
        response = self._response(content, retry_after, quota, now, received)
        request.status = content.status
        if fault is not None:
            request.fault = str(fault.kind)
            if fault.kind in WITHOUT_RESPONSE:
                request.status = 0
        self.log.add(request)
        await deliver(response, fault, scope, receive, send)

    def _content(self, request: ApiRequest, endpoint: Endpoint, fault: Fault | None) -> Content:
        """Return the content of a response as the fault leaves it; raise `ApiError` if it is a refusal."""
        if fault is not None:
            refused = refusal(fault)
            if refused is not None:
                raise refused
            if fault.kind is FaultKind.NOT_JSON:
                return Content(200, GATEWAY_PAGE, "text/html")
            if fault.kind is FaultKind.EMPTY_BODY:
                return Content(200, b"")
        build = self._documents.get(endpoint.name)
        if build is None:
            raise ApiError(404, errors.NOT_FOUND, "URL not found")
        document: Any = build(request)
        if fault is not None:
            document = altered(fault, document, self.wire)
        return Content(201 if endpoint.method == "POST" else 200, orjson.dumps(document))

    def _retry_after(
        self, error: ApiError, quota: QuotaState | None, fault: Fault | None, now: datetime
    ) -> dict[str, str]:
        """Return the header `Retry-After` for a 429, and for a fault that scripts it."""
        form = (fault.retry_after if fault is not None else None) or (
            self.wire.retry_after if error.status == 429 else "absent"
        )
        if form == "absent":
            return {}
        seconds = math.ceil(quota.seconds_left) if quota is not None else 1
        if fault is not None:
            seconds = fault.retry_after_seconds
        if form == "http_date":
            # A date has whole seconds. It is rounded up, so that no client comes back too early.
            return {"Retry-After": format_datetime(now + timedelta(seconds=seconds, microseconds=999_999), usegmt=True)}
        return {"Retry-After": str(seconds)}

    def _response(
        self,
        content: Content,
        retry_after: Mapping[str, str],
        quota: QuotaState | None,
        now: datetime,
        received: Request,
    ) -> Response:
        """Return the response with all its headers, compressed if the client accepts that."""
        headers = {"Date": format_datetime(now, usegmt=True), "Content-Type": content.media_type, **retry_after}
        if quota is not None:
            form = ", {0}, {0}" if self.wire.joined_headers else "{0}"
            headers |= {name: form.format(value) for name, value in quota.headers().items()}
        body = content.body
        if len(body) >= MIN_GZIP_BYTES and "gzip" in received.headers.get("accept-encoding", ""):
            # Not Starlette's middleware: a fault must be able to cut the compressed body.
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return Response(body, content.status, headers)


async def _read(received: Request, endpoint: Endpoint, now: datetime) -> ApiRequest:
    """Return the request with its ids decoded and its parameters read."""
    query = {name: value for name, value in received.query_params.items() if name != "api_key"}
    ids = {name: unquote(value) for name, value in received.path_params.items()}
    body = await received.body() if endpoint.method == "POST" else b""
    try:
        document = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        document = None
    return ApiRequest(endpoint.name, ids, query, document, now)
