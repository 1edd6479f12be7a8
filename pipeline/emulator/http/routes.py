"""The endpoints of the API, and a router that matches their paths as they were sent.

What an endpoint responds is in `app`.

Ids are free text. One that contains a slash arrives as `%2F`, and a router that sees the decoded path would take it for
two segments. So Starlette's router gets the raw path, and the ids are decoded after the match.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint.

    Attributes:
        name: our name for it.
        operation: the API's name for it (`operationId`).
        method: HTTP method.
        path: path, with the names of ids in braces.
    """

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
    Endpoint(
        "participant_details",
        "GetCallSessionParticipantStatsDetails",
        "GET",
        "/api/v2/video/call_stats/{call_type}/{call_id}/{call_session_id}"
        "/participant/{user_id}/{user_session_id}/details",
    ),
    Endpoint(
        "participant_timeline",
        "GetCallSessionParticipantStatsTimeline",
        "GET",
        "/api/v2/video/call_stats/{call_type}/{call_id}/{call_session_id}"
        "/participants/{user_id}/{user_session_id}/timeline",
    ),
    Endpoint("user_feedback", "QueryUserFeedback", "POST", "/api/v2/video/call/feedback"),
    Endpoint("rate_limits", "GetRateLimits", "GET", "/api/v2/rate_limits"),
)

UNKNOWN: Final = Endpoint("unknown", "Unknown", "", "")
"""Represents every other path and method."""

ENDPOINT_NAMES: Final = tuple(endpoint.name for endpoint in ENDPOINTS)

EndpointHandler = Callable[[Endpoint, Scope, Receive, Send], Awaitable[None]]
"""An ASGI application that also gets the endpoint. Must be an object: Starlette calls functions in another way."""


def require_endpoint(name: str) -> None:
    """Raise `ValueError` unless there is an endpoint of that name."""
    if name not in ENDPOINT_NAMES:
        raise ValueError(f"no endpoint is called {name!r}; there are {', '.join(ENDPOINT_NAMES)}")


def build_router(handler: EndpointHandler) -> ASGIApp:
    """Return an application that passes every request to the handler, with its endpoint.

    The handler finds the ids in `scope["path_params"]`, still percent-encoded.
    """
    known = [Route(endpoint.path, partial(handler, endpoint), methods=[endpoint.method]) for endpoint in ENDPOINTS]
    router = Router([*known, Mount("", partial(handler, UNKNOWN))])

    async def match_raw_path(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"] = scope["raw_path"].decode("ascii", "replace")
        await router(scope, receive, send)

    return match_raw_path
