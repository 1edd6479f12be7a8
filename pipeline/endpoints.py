"""The endpoints of Stream's Video API that we use, and the fields of their responses.

Each fact about an endpoint is written down once, here. Request paths and decoders (`extract`), page keys and personal
data (`landing`), the JSON structures that SQL reads (`landing.bodies`), the search for unknown fields (`tables`),
column lineage (`orchestration`) and the quotas in `call-metrics doctor` all follow from `ENDPOINTS`.

How to send a request is in `extract`; what the columns of our tables mean is in `schema`. Paths, operations and fields
are those of Stream's OpenAPI specification (GetStream/protocol v236.0.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = [
    "DAILY_ENDPOINTS",
    "ENDPOINTS",
    "ENDPOINT_NAMES",
    "ERASED",
    "EXTRA_ENDPOINTS",
    "LISTINGS",
    "PEOPLE",
    "SERIES",
    "UNIT_LIMITS",
    "Endpoint",
    "EndpointName",
    "Field",
    "Fields",
    "Node",
    "leaves",
]

EndpointName = Literal[
    "call_stats",
    "participant_sessions",
    "participant_stats",
    "participant_metrics",
    "participant_details",
    "participant_timeline",
    "user_feedback",
]
"""Our names of the endpoints. They also name folders under `raw/`, steps of a run, and Dagster assets."""

ENDPOINT_NAMES: tuple[EndpointName, ...] = get_args(EndpointName)
"""In the order in which a day is fetched."""

ERASED = "forgotten"
"""Key of the mark that replaces an erased person in a page that we keep: `{"forgotten": "<hash>"}`. Raw files on disk
contain it, so it cannot change. See `landing.erasure`."""

UNIT_LIMITS: Mapping[str, float] = {"s": 1e11, "ms": 1e14, "us": 1e17}
"""Upper bound (exclusive) of a Unix time in each unit; above the last one it is in nanoseconds.

Today is about 1e9 in seconds, 1e12 in milliseconds, 1e15 in microseconds, 1e18 in nanoseconds. Stream does not document
the unit of data points, and sends datetimes in nanoseconds on `/api/v2` and as RFC 3339 text on `/video`.
"""


@dataclass(frozen=True, slots=True)
class Field:
    """A field that we read.

    Attributes:
        type: DuckDB type to read it as; a value of another type becomes NULL.
        columns: columns of our tables that it fills; None for the column of the same name.
        is_address: whether it is an IP address, see `CALL_METRICS_CLIENT_IP`.
    """

    type: str
    columns: tuple[str, ...] | None = None
    is_address: bool = False


Fields = Mapping[str, "Node"]
Node = Field | Fields | list[Fields] | None
"""A field that we read, an object, a list of objects, or None: a known field that no SQL reads (`next` is read in
`extract.outcomes`)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of the API.

    Attributes:
        name: our name.
        operation: `operationId` in Stream's specification; quotas are listed by it.
        title: its name in Stream's documentation.
        method: HTTP method.
        path: URL path with the names of ids in braces.
        description: what its raw responses contain.
        tables: tables with a column that is read from its responses.
        fields: known fields of a response body.
        rows: key of the rows in a page; None if responses are not pages.
        row_ids: fields that every row must have, as text. A page with a row that lacks one is not usable: the call
            would be missing, and nothing else would show it.
        rows_can_be_null: whether an empty page may have null instead of a list.
        is_optional: whether an app may lack it. If such an endpoint refuses the credentials, others may still work.
        is_extra: whether it is requested only if a setting says so.
    """

    name: EndpointName
    operation: str
    title: str
    method: Literal["GET", "POST"]
    path: str
    description: str
    tables: tuple[str, ...]
    fields: Fields
    rows: str | None = None
    row_ids: tuple[str, ...] = ()
    rows_can_be_null: bool = False
    is_optional: bool = False
    is_extra: bool = False


def leaves(fields: Fields) -> Iterator[tuple[str, Field]]:
    """Yield the name and the description of each field that we read, at any depth."""
    for name, node in fields.items():
        if isinstance(node, Field):
            yield name, node
        elif isinstance(node, list):
            yield from leaves(node[0])
        elif node is not None:
            yield from leaves(node)


TEXT, INTEGER, NUMBER, FLAG = Field("VARCHAR"), Field("BIGINT"), Field("DOUBLE"), Field("BOOLEAN")
INSTANT = TEXT
"""A number of nanoseconds or RFC 3339 text; `instant(text)` in SQL reads both."""

SERIES = Field("DOUBLE[2][]", ("timestamp", "value"))
"""A list of `[timestamp, value]` pairs."""


def _text(column: str) -> Field:
    return Field("VARCHAR", (column,))


def _unread(names: str) -> dict[str, None]:
    """Return known fields that no SQL reads."""
    return dict.fromkeys(names.split())


_PAGE = _unread("duration next prev")
_CALL_IDS = "call_type call_id call_session_id"
_LOCATION: Fields = {
    "city": TEXT,
    "subdivision": TEXT,
    "country": TEXT,
    "country_iso_code": TEXT,
    "continent": TEXT,
    "latitude": NUMBER,
    "longitude": NUMBER,
    "accuracy_radius_meters": INTEGER,
}
_COUNTS: Fields = {
    "participants": INTEGER,
    "sessions": INTEGER,
    "publishers": INTEGER,
    "live_sessions": INTEGER,
    "peak_concurrent_users": INTEGER,
    "peak_concurrent_sessions": INTEGER,
    "sfus_used": INTEGER,
    "total_participant_duration": Field("BIGINT", ("total_participant_duration_seconds",)),
    "call_event_count": INTEGER,
    "cq_score": INTEGER,
    "average_jitter_ms": INTEGER,
    "average_latency_ms": INTEGER,
    "max_freezes_duration_ms": INTEGER,
    "avg_user_rating": NUMBER,
    "min_user_rating": INTEGER,
}
_SERIES: Fields = {"data_points": SERIES}

_METRICS = Field("MAP(VARCHAR, DOUBLE[][])", ("metric", "timestamp", "value"))
"""Series by the name of their metric. The names are the source's own, and not documented."""

_META = Field("MAP(VARCHAR, STRUCT(label VARCHAR, unit VARCHAR))", ("label", "unit"))
_THRESHOLDS = Field(
    "MAP(VARCHAR, STRUCT(level VARCHAR, operator VARCHAR, value DOUBLE, value_unit VARCHAR, window_seconds BIGINT)[])",
    ("thresholds",),
)
_WHOLE_CONNECTION: Fields = {
    "global": _METRICS,
    "global_meta": _META,
    "global_metrics_order": None,
    "global_thresholds": _THRESHOLDS,
}
_TRACKS = Field(
    "MAP(VARCHAR, STRUCT(track_id VARCHAR, track_type VARCHAR, codec VARCHAR, rid VARCHAR)[])",
    ("track_id", "track_type", "codec", "rid"),
)
"""Lists of tracks by their type. Each track also has its `metrics` with their `metrics_meta` and `thresholds`."""

ENDPOINTS: Mapping[EndpointName, Endpoint] = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint(
            name="call_stats",
            operation="QueryCallSessionStats",
            title="call_stats",
            method="POST",
            path="/api/v2/video/call_stats",
            description="Pages of call_stats as received: every call session that started on the day",
            tables=("call_sessions",),
            rows="call_stats",
            row_ids=tuple(_CALL_IDS.split()),
            fields={
                **_PAGE,
                "call_stats": [
                    {
                        "call_type": TEXT,
                        "call_id": TEXT,
                        "call_session_id": TEXT,
                        "call_started_at": Field("VARCHAR", ("started_at",)),
                        "call_ended_at": Field("VARCHAR", ("ended_at",)),
                        "generated_at": INSTANT,
                        "counts": _COUNTS,
                    }
                ],
            },
        ),
        Endpoint(
            name="participant_sessions",
            operation="QueryCallParticipantSessions",
            title="Call Attendance",
            method="GET",
            path="/api/v2/video/call/{call_type}/{call_id}/session/{call_session_id}/participant_sessions",
            description="Pages of Call Attendance as received: every stay in every call session of the day",
            tables=("participant_sessions", "windows"),
            rows="participants_sessions",
            fields={
                **_PAGE,
                **_unread(f"{_CALL_IDS} session total_participant_duration"),
                "total_participant_sessions": Field("BIGINT", ()),
                "participants_sessions": [
                    {
                        "user_id": TEXT,
                        "user_session_id": TEXT,
                        "joined_at": Field("VARCHAR", ("joined_at", "since")),
                        "left_at": Field("VARCHAR", ("left_at", "until")),
                        "duration_in_seconds": Field("BIGINT", ("duration_seconds",)),
                        "publisher_type": TEXT,
                        "roles": Field("VARCHAR[]"),
                        ERASED: Field("VARCHAR", ()),
                    }
                ],
            },
        ),
        Endpoint(
            name="participant_stats",
            operation="QueryCallSessionParticipantStats",
            title="participant statistics",
            method="GET",
            path="/api/v2/video/call_stats/{call_type}/{call_id}/{call_session_id}/participants",
            description="Pages of participant statistics as received: client, connection, kinds of tracks",
            tables=("participant_sessions",),
            rows="participants",
            rows_can_be_null=True,
            is_optional=True,
            fields={
                **_PAGE,
                **_unread(f"{_CALL_IDS} call_started_at call_ended_at call_events tmp_data_source"),
                "counts": dict.fromkeys(_COUNTS),
                "participants": [
                    {
                        **_unread(f"latest_activity_at name roles {ERASED}"),
                        "user_id": Field("VARCHAR", ()),
                        "sessions": [
                            {
                                **_unread("started_at ended_at ingress is_live publisher_type unified_session_id"),
                                "user_session_id": Field("VARCHAR", ()),
                                "sdk": TEXT,
                                "sdk_version": TEXT,
                                "browser": TEXT,
                                "browser_version": TEXT,
                                "os": TEXT,
                                "webrtc_version": TEXT,
                                "current_ip": Field("VARCHAR", ("client_ip",), is_address=True),
                                "latency_ms": INTEGER,
                                "jitter_ms": INTEGER,
                                "freezes_duration_ms": INTEGER,
                                "cq_score": INTEGER,
                                "current_sfu": TEXT,
                                "distance_to_sfu_kilometers": NUMBER,
                                "published_tracks": {
                                    "audio": Field("BOOLEAN", ("published_audio", "is_publisher")),
                                    "video": Field("BOOLEAN", ("published_video", "is_publisher")),
                                    "screenshare": Field("BOOLEAN", ("published_screenshare", "is_publisher")),
                                    "screenshare_audio": Field(
                                        "BOOLEAN", ("published_screenshare_audio", "is_publisher")
                                    ),
                                },
                                "location": _LOCATION,
                            }
                        ],
                    }
                ],
            },
        ),
        Endpoint(
            name="participant_metrics",
            operation="GetCallParticipantSessionMetrics",
            title="Participant Metrics",
            method="GET",
            path="/api/v2/video/call/{call_type}/{call_id}/session/{call_session_id}"
            "/participant/{user_id}/{user_session_id}/details/track",
            description="Participant Metrics as received: every stay in windows of at most 30 minutes",
            tables=("participant_sessions", "tracks", "metric_points", "track_warnings", "windows"),
            fields={
                **_unread("duration user_id user_session_id publisher_type joined_at"),
                "is_publisher": FLAG,
                "is_subscriber": FLAG,
                "client": {
                    "name": _text("client_name"),
                    "version": _text("client_version"),
                    "ip": Field("VARCHAR", ("client_ip",), is_address=True),
                    "network_type": TEXT,
                    "location": _LOCATION,
                },
                "published_tracks": [
                    {
                        "track_id": TEXT,
                        "track_type": TEXT,
                        "codec": TEXT,
                        "bitrate": _SERIES,
                        "framerate": _SERIES,
                        "resolution": {"width": _SERIES, "height": _SERIES},
                        "warnings": [{"time": INSTANT, "code": TEXT, "warning": TEXT}],
                    }
                ],
            },
        ),
        Endpoint(
            name="participant_details",
            operation="GetCallSessionParticipantStatsDetails",
            title="participant details",
            method="GET",
            path="/api/v2/video/call_stats/{call_type}/{call_id}/{call_session_id}"
            "/participant/{user_id}/{user_session_id}/details",
            description="Series of whole connections as received, both sides; only if CALL_METRICS_DETAILS is set",
            tables=("detail_points",),
            is_optional=True,
            is_extra=True,
            fields={
                **_unread(f"duration {_CALL_IDS} user_id user_session_id"),
                "timeframe": {"since": None, "until": None, "max_points": None, "step_seconds": INTEGER},
                "publisher": {**_WHOLE_CONNECTION, "tracks": _TRACKS},
                "subscriber": {
                    **_WHOLE_CONNECTION,
                    "subscriptions": [
                        {
                            "publisher_name": None,
                            "publisher_user_id": TEXT,
                            "publisher_user_session_id": TEXT,
                            "tracks": _TRACKS,
                        }
                    ],
                },
                "user": {
                    "metrics": _METRICS,
                    "metrics_meta": _META,
                    "metrics_order": None,
                    "thresholds": _THRESHOLDS,
                },
            },
        ),
        Endpoint(
            name="participant_timeline",
            operation="GetCallSessionParticipantStatsTimeline",
            title="participant timeline",
            method="GET",
            path="/api/v2/video/call_stats/{call_type}/{call_id}/{call_session_id}"
            "/participants/{user_id}/{user_session_id}/timeline",
            description="Timelines of stays as received: what happened to people; only if CALL_METRICS_DETAILS is set",
            tables=("timeline_events",),
            is_optional=True,
            is_extra=True,
            fields={
                **_unread(f"duration {_CALL_IDS} user_id user_session_id"),
                "events": [{"timestamp": INSTANT, "type": TEXT, "severity": TEXT, "data": Field("JSON")}],
            },
        ),
        Endpoint(
            name="user_feedback",
            operation="QueryUserFeedback",
            title="user feedback",
            method="POST",
            path="/api/v2/video/call/feedback",
            description="Pages of user feedback as received: every rating that was given to a call session of the day",
            tables=("user_ratings",),
            rows="user_feedback",
            rows_can_be_null=True,
            is_optional=True,
            fields={
                **_PAGE,
                "user_feedback": [
                    {
                        "cid": Field("VARCHAR", ()),
                        "session_id": Field("VARCHAR", ("call_session_id",)),
                        "user_id": TEXT,
                        "rating": INTEGER,
                        "reason": TEXT,
                        "sdk": TEXT,
                        "sdk_version": TEXT,
                        "platform": Field("JSON"),
                        "custom": Field("JSON"),
                        ERASED: Field("VARCHAR", ()),
                    }
                ],
            },
        ),
    )
}
"""Every endpoint by name, in the order in which a day is fetched."""

DAILY_ENDPOINTS: tuple[EndpointName, ...] = tuple(name for name, endpoint in ENDPOINTS.items() if not endpoint.is_extra)
"""Endpoints that every day needs; the others are requested if a setting says so."""

EXTRA_ENDPOINTS: tuple[EndpointName, ...] = tuple(name for name, endpoint in ENDPOINTS.items() if endpoint.is_extra)
"""Endpoints that are requested if a setting says so, once the day is loaded. Each response is about one stay."""

LISTINGS: tuple[EndpointName, ...] = tuple(name for name, endpoint in ENDPOINTS.items() if endpoint.rows is not None)
"""Endpoints with pages. They say everything that must be known before metrics are requested."""

PEOPLE: tuple[EndpointName, ...] = tuple(name for name in LISTINGS if name != "call_stats")
"""Endpoints that list people, one call session per listing."""
