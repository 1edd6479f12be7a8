"""Routes: the paths of the API, split before they are decoded.

Here: names, methods and paths of the endpoints, and a Starlette route that reads the path as it was sent. Not here:
what is answered (``app``).

Ids are free text. One that holds a slash arrives as ``%2F``, and Starlette's own routes, which see the decoded path,
would take it for two segments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: our name for it, the API's (``operationId``), its method and its path."""

    name: str
    operation: str
    method: str
    path: str


_SESSION: Final = "/api/v2/video/call/{call_type}/{call_id}/session/{call_session_id}"

ENDPOINTS: Final = (
    Endpoint("call_stats", "QueryCallSessionStats", "POST", "/api/v2/video/call_stats"),
    Endpoint("participant_sessions", "QueryCallParticipantSessions", "GET", f"{_SESSION}/participant_sessions"),
    Endpoint(
        "participant_metrics",
        "GetCallParticipantSessionMetrics",
        "GET",
        f"{_SESSION}/participant/{{user_id}}/{{user_session_id}}/details/track",
    ),
    Endpoint(
        "participant_stats",
        "QueryCallSessionParticipantStats",
        "GET",
        "/api/v2/video/call_stats/{call_type}/{call_id}/{call_session_id}/participants",
    ),
    Endpoint("rate_limits", "GetRateLimits", "GET", "/api/v2/rate_limits"),
)

UNKNOWN: Final = Endpoint("unknown", "Unknown", "", "")
"""Stands for every path that is none of these."""

Handler = Callable[[Endpoint, dict[str, str], Scope, Receive, Send], Awaitable[None]]


class RawRoute(BaseRoute):
    """A route that matches the path as it came over the wire."""

    def __init__(self, endpoint: Endpoint, handler: Handler) -> None:
        self._endpoint = endpoint
        self._handler = handler
        self._segments = endpoint.path.encode().split(b"/")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the path and the method are this endpoint's, with the ids decoded."""
        if scope["type"] != "http":
            return Match.NONE, {}
        given = scope["raw_path"].split(b"/")
        if len(given) != len(self._segments):
            return Match.NONE, {}
        ids: dict[str, str] = {}
        for wanted, segment in zip(self._segments, given, strict=True):
            if wanted.startswith(b"{"):
                ids[wanted[1:-1].decode()] = unquote(segment.decode("ascii", "replace"))
            elif wanted != segment:
                return Match.NONE, {}
        if scope["method"] != self._endpoint.method:
            return Match.NONE, {}
        return Match.FULL, {"path_params": ids}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the handler, with the endpoint and the ids."""
        await self._handler(self._endpoint, scope["path_params"], scope, receive, send)


class AnyRoute(RawRoute):
    """A route that matches whatever no other has."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Every request."""
        return (Match.FULL, {"path_params": {}}) if scope["type"] == "http" else (Match.NONE, {})
