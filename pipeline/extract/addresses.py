"""From a `Request` to an HTTP request: method, path, query and body.

Together with `endpoints`, this is the only place that knows how the API wants requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from pipeline.endpoints import ENDPOINTS, Endpoint
from pipeline.model import Call, Request
from pipeline.planning.windows import DETAILS_WINDOW, MAX_WINDOW

__all__ = ["Address", "address_of"]

PAGE_ROWS = 100
"""Rows of a page: the most that the API gives."""

END_MARGIN = timedelta(seconds=1)
"""How far beyond its end the last window of a stay is requested, if that stays within the widest window."""

MAX_POINTS = 4096
"""Points of a series of participant details: the most that the API gives."""


PEOPLE = {name: f"{{{name}}}" for name in ("user_id", "user_session_id")}
"""Placeholders for the ids of people in the paths of logs."""


@dataclass(frozen=True, slots=True)
class Address:
    """One HTTP request, without host and authentication. `path` is percent-encoded, `query` is not.

    `logged` is the path for logs, without the ids of people: `forget` cannot erase them there.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    logged: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.logged:
            object.__setattr__(self, "logged", self.path)


def address_of(request: Request) -> Address:
    """Return the HTTP request for a request. Raises `ValueError` if it lacks the ids that its endpoint needs."""
    endpoint = ENDPOINTS[request.endpoint]
    if request.endpoint == "call_stats":
        return Address(endpoint.method, endpoint.path, body=msgspec.json.encode(_search(request)))
    call = request.stay.call if request.stay is not None else request.call
    if call is None:
        raise ValueError(f"a request to {request.endpoint} needs a call session")
    if request.endpoint == "user_feedback":
        return Address(endpoint.method, endpoint.path, body=msgspec.json.encode(_ratings_of(call, request.cursor)))
    ids = {"call_type": call.call_type, "call_id": call.call_id, "call_session_id": call.call_session_id}
    if endpoint.rows is not None:
        query = {"limit": str(PAGE_ROWS)} | ({"next": request.cursor} if request.cursor is not None else {})
    else:
        if request.stay is None or request.window is None:
            raise ValueError(f"a request to {request.endpoint} needs a stay and a window")
        ids |= {"user_id": request.stay.user_id, "user_session_id": request.stay.user_session_id}
        if request.endpoint == "participant_timeline":
            return _address(endpoint, ids, {})  # without bounds: the whole stay
        # It is not documented whether `until` is inclusive. A window shorter than the widest is the last of its stay.
        # We request it a moment longer, so that a point at its very end is not lost, and so that a stay of no length
        # has a span at all.
        is_details = request.endpoint == "participant_details"
        until = min(
            request.window.until + END_MARGIN, request.window.since + (DETAILS_WINDOW if is_details else MAX_WINDOW)
        )
        query = {"since": _rfc3339(request.window.since), "until": _rfc3339(until)}
        if is_details:
            query["max_points"] = str(MAX_POINTS)
    return _address(endpoint, ids, query)


def _search(request: Request) -> dict[str, Any]:
    """Return the body that lists the call sessions of a day, or those updated in a span of time."""
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
        "limit": PAGE_ROWS,
    }
    if request.cursor is not None:
        body["next"] = request.cursor
    return body


def _ratings_of(call: Call, cursor: str | None) -> dict[str, Any]:
    """Return the body that lists the ratings of a call session.

    Stream documents these two filters, a filter by user and one by rating. It documents no order and no time.
    """
    conditions = {"call_cid": f"{call.call_type}:{call.call_id}", "session_id": call.call_session_id}
    body: dict[str, Any] = {"filter_conditions": conditions, "limit": PAGE_ROWS}
    if cursor is not None:
        body["next"] = cursor
    return body


def _address(endpoint: Endpoint, ids: Mapping[str, str], query: Mapping[str, str]) -> Address:
    segments = {name: _segment(id_) for name, id_ in ids.items()}
    path = endpoint.path.format_map(segments)
    return Address(endpoint.method, path, query, logged=endpoint.path.format_map(segments | PEOPLE))


def _segment(text: str) -> str:
    """Return an id as one segment of a path. Ids are free text: slashes and lone dots are encoded too."""
    encoded = quote(text, safe="")
    return encoded.replace(".", "%2E") if encoded in (".", "..") else encoded


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
