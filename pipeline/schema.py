"""The data contract: tables, columns, types, keys and comments, as pyarrow schemas.

Users rely on these names and types. Every module that writes or describes a table reads them from here. How rows are
made is in `tables`; how DuckDB stores them is in `warehouse`; the views are in `quality`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

__all__ = [
    "CALL_KEY",
    "INSTANT",
    "METRICS",
    "SIDES",
    "STAY_KEY",
    "TABLES",
    "TRACK_KEY",
    "WINDOW_STATES",
    "Table",
    "as_table",
]

CALL_KEY = ("call_type", "call_id", "call_session_id")
"""Columns that identify a call session."""

STAY_KEY = (*CALL_KEY, "user_id", "user_session_id")
"""Columns that identify a stay."""

TRACK_KEY = (*STAY_KEY, "track_id", "track_type")
"""Columns that identify a track."""

INSTANT = pa.timestamp("us", tz="UTC")
"""The type of every instant."""

METRICS = ("bitrate", "framerate", "resolution_height", "resolution_width")
"""Values of `metric_points.metric`, in the order that the table is sorted by."""

WINDOW_STATES = {
    "landed": "the response has data points",
    "empty": "the response has no data points",
    "gone": "HTTP 404: the source does not know this participant, or no longer does",
    "suspect": "timestamps are outside the window or unreadable: the raw response is kept, its points are not loaded",
    "failed": "no usable response after all retries; the next run requests it again",
    "missing": "not requested yet",
}


SIDES = {
    "publisher": "what the user sent",
    "subscriber": "what the user received",
    "user": "about the user's device",
}
"""Values of `detail_points.side`."""


@dataclass(frozen=True)
class Table:
    """One table of the contract.

    Attributes:
        name: name in DuckDB, in the lake and in Dagster.
        grain: what one row is.
        key: columns that are unique together, and that files are sorted by.
        schema: columns in their order, each with its comment as metadata.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    schema: pa.Schema

    @property
    def comment(self) -> str:
        """The table's comment in DuckDB."""
        return f"One row per {self.grain}"

    def comment_of(self, column: str) -> str:
        """Return the comment of a column. Raises `KeyError` for an unknown one."""
        metadata: dict[bytes, bytes] = self.schema.field(column).metadata
        return metadata[b"comment"].decode()


def _column(name: str, type_: pa.DataType, comment: str) -> pa.Field:
    return pa.field(name, type_, metadata={"comment": comment})


_CALL = (
    _column("session_date", pa.date32(), "UTC date on which the call session started; the partition key everywhere"),
    _column("call_type", pa.string(), "Call type, such as default or livestream"),
    _column("call_id", pa.string(), "Call id: free text, unique within its type; a call can have many sessions"),
    _column("call_session_id", pa.string(), "Id of one session of the call, from its start to its end"),
)
_PARTICIPANT = (
    *_CALL,
    _column("user_id", pa.string(), "User id that the app gave to Stream"),
    _column("user_session_id", pa.string(), "Id of one stay of the user; a user who rejoins has several"),
)
_TRACK = (
    *_PARTICIPANT,
    _column("track_id", pa.string(), "Id of the published track"),
    _column("track_type", pa.string(), "Kind of track, as received: audio, video, screensharing, …"),
)


_STATS = "; NULL if participant statistics do not report it"

_SCOPE = (
    _column("started_at", INSTANT, "When the incident started: the minute in which half of the affected had got worse"),
    _column(
        "scope",
        pa.string(),
        "Whom it is about: everything, or the people of one media server, country, network (its type) or client",
    ),
    _column(
        "scope_value",
        pa.string(),
        "Which one: current_sfu, country, network_type, or client name and version; everything if that is the scope",
    ),
)
_INCIDENT_KEY = tuple(column.name for column in _SCOPE)


_TABLES = (
    Table(
        "call_sessions",
        "call session",
        ("session_date", *CALL_KEY),
        pa.schema(
            [
                *_CALL,
                _column("call_cid", pa.string(), "Call type and id, as Stream joins them: type:id"),
                _column("started_at", INSTANT, "When the session started"),
                _column("ended_at", INSTANT, "When the session ended; NULL while it is live"),
                _column("generated_at", INSTANT, "When the source made the report behind this row"),
                _column("is_live", pa.bool_(), "Whether the session was still live when last fetched"),
                _column("participants", pa.int64(), "Distinct users, counted by the source"),
                _column("sessions", pa.int64(), "User sessions, counted by the source"),
                _column("publishers", pa.int64(), "Users who published a track, counted by the source"),
                _column("live_sessions", pa.int64(), "User sessions that were still live at generated_at"),
                _column("peak_concurrent_users", pa.int64(), "Most users at the same time"),
                _column("peak_concurrent_sessions", pa.int64(), "Most user sessions at the same time"),
                _column("sfus_used", pa.int64(), "Media servers (SFUs) that carried the call"),
                _column("total_participant_duration_seconds", pa.int64(), "Sum of all stays, in seconds"),
                _column("call_event_count", pa.int64(), "Events that the source recorded for the call"),
                _column("cq_score", pa.int64(), "The source's own call-quality score, 0 to 100"),
                _column("average_jitter_ms", pa.int64(), "Mean jitter over the call, in milliseconds"),
                _column("average_latency_ms", pa.int64(), "Mean latency over the call, in milliseconds"),
                _column("max_freezes_duration_ms", pa.int64(), "Longest time a participant's video froze, in ms"),
                _column("avg_user_rating", pa.float64(), "Mean of the users' ratings"),
                _column("min_user_rating", pa.int64(), "Lowest of the users' ratings"),
            ]
        ),
    ),
    Table(
        "participant_sessions",
        "user session: one stay of one user in a call session",
        ("session_date", *STAY_KEY),
        pa.schema(
            [
                *_PARTICIPANT,
                _column("joined_at", INSTANT, "When the user joined"),
                _column(
                    "left_at", INSTANT, "When the user left; NULL while still there, or if the source has no leave"
                ),
                _column("duration_seconds", pa.int64(), "Length of the stay in seconds, as received"),
                _column("publisher_type", pa.string(), "Kind of publisher, as received"),
                _column("roles", pa.list_(pa.string()), "The user's roles in the call"),
                _column("is_publisher", pa.bool_(), "Whether the user published a track; NULL if unknown"),
                _column(
                    "is_subscriber",
                    pa.bool_(),
                    "Whether the user received a track; NULL if no participant metrics have landed",
                ),
                _column("client_name", pa.string(), "The client: SDK or browser, as received"),
                _column("client_version", pa.string(), "Version of the client"),
                _column(
                    "client_ip",
                    pa.string(),
                    "IP address of the client; kept, truncated or dropped by CALL_METRICS_CLIENT_IP",
                ),
                _column("network_type", pa.string(), "Network of the client: wifi, ethernet, cellular, …"),
                _column("city", pa.string(), "City, from the client's IP address"),
                _column("subdivision", pa.string(), "State or region, from the client's IP address"),
                _column("country", pa.string(), "Country, from the client's IP address"),
                _column("country_iso_code", pa.string(), "ISO 3166-1 alpha-2 code of the country"),
                _column("continent", pa.string(), "Continent, from the client's IP address"),
                _column("latitude", pa.float64(), "Latitude in degrees, within accuracy_radius_meters"),
                _column("longitude", pa.float64(), "Longitude in degrees, within accuracy_radius_meters"),
                _column("accuracy_radius_meters", pa.int64(), "Radius around latitude and longitude, in metres"),
                _column("sdk", pa.string(), f"Stream SDK of the client{_STATS}"),
                _column("sdk_version", pa.string(), f"Version of the SDK{_STATS}"),
                _column("browser", pa.string(), f"Browser, if the client runs in one{_STATS}"),
                _column("browser_version", pa.string(), f"Version of the browser{_STATS}"),
                _column("os", pa.string(), f"Operating system{_STATS}"),
                _column("webrtc_version", pa.string(), f"Version of WebRTC{_STATS}"),
                _column("latency_ms", pa.int64(), f"Latency of the connection in milliseconds{_STATS}"),
                _column("jitter_ms", pa.int64(), f"Jitter of the connection in milliseconds{_STATS}"),
                _column("freezes_duration_ms", pa.int64(), f"Time that video froze for the user, in ms{_STATS}"),
                _column("cq_score", pa.int64(), f"The source's own call-quality score, 0 to 100{_STATS}"),
                _column("current_sfu", pa.string(), f"Media server (SFU) that carried the end of the stay{_STATS}"),
                _column("distance_to_sfu_kilometers", pa.float64(), f"Distance to that media server in km{_STATS}"),
                _column("published_audio", pa.bool_(), f"Whether the user published a microphone{_STATS}"),
                _column("published_video", pa.bool_(), f"Whether the user published a camera{_STATS}"),
                _column("published_screenshare", pa.bool_(), f"Whether the user shared a screen{_STATS}"),
                _column(
                    "published_screenshare_audio", pa.bool_(), f"Whether the user shared the screen's sound{_STATS}"
                ),
            ]
        ),
    ),
    Table(
        "tracks",
        "published track",
        ("session_date", *TRACK_KEY),
        pa.schema(
            [
                *_TRACK,
                _column("codec", pa.string(), "Codec, from the latest response that names one"),
                _column("first_point_at", INSTANT, "Earliest data point of any metric; NULL if there is none"),
                _column("last_point_at", INSTANT, "Latest data point of any metric; NULL if there is none"),
                _column("points", pa.int64(), "Rows of metric_points for this track"),
            ]
        ),
    ),
    Table(
        "metric_points",
        "data point: one metric of one track at one instant",
        ("session_date", *TRACK_KEY, "metric", "timestamp"),
        pa.schema(
            [
                *_TRACK,
                _column("codec", pa.string(), "Codec of the track, in the response with the point"),
                _column("metric", pa.string(), f"One of {', '.join(METRICS)}"),
                _column("timestamp", INSTANT, "Instant of the point"),
                _column(
                    "value",
                    pa.float64(),
                    "As received: framerate in frames per second, resolution in pixels, bitrate most likely in bits "
                    "per second (the source does not document the unit)",
                ),
            ]
        ),
    ),
    Table(
        "track_warnings",
        "warning on a published track",
        ("session_date", *TRACK_KEY, "time", "code", "warning"),
        pa.schema(
            [
                *_TRACK,
                _column("time", INSTANT, "When the source raised the warning"),
                _column("code", pa.string(), "Warning code, free text as received"),
                _column("warning", pa.string(), "Warning text, as received"),
            ]
        ),
    ),
    Table(
        "windows",
        "window of at most 30 minutes that should exist for a user session",
        ("session_date", *STAY_KEY, "since"),
        pa.schema(
            [
                *_PARTICIPANT,
                _column("since", INSTANT, "Start of the window, inclusive"),
                _column("until", INSTANT, "End of the window, exclusive"),
                _column("state", pa.string(), "; ".join(f"{name}: {text}" for name, text in WINDOW_STATES.items())),
                _column("http_status", pa.int64(), "HTTP status of the response behind the state"),
                _column("attempts", pa.int64(), "Requests sent for that response, not counting waits for the quota"),
                _column("points", pa.int64(), "Distinct data points in the responses for this window"),
                _column("timestamp_unit", pa.string(), "Unit of the source's timestamps: s, ms, us or ns"),
                _column("fetched_at", INSTANT, "When that response came, by the source's clock"),
                _column("error", pa.string(), "What went wrong with the latest request for the window"),
            ]
        ),
    ),
    Table(
        "ingest_completeness_by_call",
        "call session: what the source promised, and what is stored",
        ("session_date", *CALL_KEY),
        pa.schema(
            [
                *_CALL,
                _column(
                    "stays_promised",
                    pa.int64(),
                    "User sessions that the source counts, without erased people: the total of Call Attendance, or of "
                    "call_stats if that has none",
                ),
                _column("stays_held", pa.int64(), "User sessions stored"),
                _column("stays_forgotten", pa.int64(), "User sessions of people erased with `call-metrics forget`"),
                _column("windows_expected", pa.int64(), "Windows that should exist"),
                _column("windows_landed", pa.int64(), "Windows with data points"),
                _column("windows_empty", pa.int64(), "Windows without data points"),
                _column("windows_gone", pa.int64(), "Windows that the source does not know (404)"),
                _column("windows_suspect", pa.int64(), "Windows whose timestamps cannot be right"),
                _column("windows_failed", pa.int64(), "Windows without a usable response after all retries"),
                _column("windows_missing", pa.int64(), "Windows not requested yet"),
                _column("windows_due", pa.int64(), "Windows without a final response"),
                _column(
                    "points", pa.int64(), "Distinct data points; a point on the edge of two windows counts in both"
                ),
                _column("timestamp_units", pa.string(), "Units of the source's timestamps: s, ms, us, ns"),
                _column("newest_fetch_at", INSTANT, "When the newest response came"),
                _column(
                    "forgotten_at", INSTANT, "When the source drops the list of participants: 90 days after the end"
                ),
                _column("raw_sha256", pa.string(), "SHA-256 over the raw responses behind the rows of the call"),
                _column(
                    "is_complete",
                    pa.bool_(),
                    "Whether the call has ended, its participants were listed in full since its report, all promised "
                    "stays are stored, every window has a final response, and none is suspect",
                ),
            ]
        ),
    ),
    Table(
        "detail_points",
        "data point of participant details: one metric of one side of a connection at one instant; none unless "
        "CALL_METRICS_DETAILS is set",
        (
            "session_date",
            *STAY_KEY,
            "side",
            "publisher_user_id",
            "publisher_user_session_id",
            "track_id",
            "track_type",
            "rid",
            "metric",
            "timestamp",
        ),
        pa.schema(
            [
                *_PARTICIPANT,
                _column("side", pa.string(), "; ".join(f"{name}: {text}" for name, text in SIDES.items())),
                _column("metric", pa.string(), "Name of the metric, as received; the source does not document them"),
                _column("unit", pa.string(), "Unit of the values, as received; NULL if the source names none"),
                _column("timestamp", INSTANT, "Instant of the point"),
                _column("value", pa.float64(), "As received"),
                _column("step_seconds", pa.int64(), "Seconds between points, as the response says"),
                _column("track_id", pa.string(), "Id of the track; NULL for series of the whole connection"),
                _column("track_type", pa.string(), "Kind of the track, as received"),
                _column("codec", pa.string(), "Codec of the track, in the response with the point"),
                _column("rid", pa.string(), "Which of the encodings of a track that is sent in several (simulcast)"),
                _column(
                    "publisher_user_id",
                    pa.string(),
                    "Whose track it is, if the user received it; NULL on the other sides",
                ),
                _column("publisher_user_session_id", pa.string(), "Stay of that publisher; NULL if not named"),
                _column("label", pa.string(), "Name of the metric for people, as received"),
                _column("thresholds", pa.string(), "The source's thresholds of the metric, JSON text as received"),
            ]
        ),
    ),
    Table(
        "timeline_events",
        "event of a participant timeline: something that happened to the user in the call session, as Stream tells it; "
        "none unless CALL_METRICS_DETAILS is set",
        ("session_date", *STAY_KEY, "timestamp", "type", "severity", "data"),
        pa.schema(
            [
                *_PARTICIPANT,
                _column(
                    "timestamp",
                    INSTANT,
                    "When it happened; NULL if the response has no readable instant. It can be outside the stay",
                ),
                _column("type", pa.string(), "Kind of event, as received; the source does not document the kinds"),
                _column("severity", pa.string(), "As received; the source does not document the values"),
                _column(
                    "data",
                    pa.string(),
                    "What else the event says, as received: JSON; NULL if nothing. Not documented; it may name people",
                ),
            ]
        ),
    ),
    Table(
        "incidents",
        "incident: many people getting worse at the same time, more than usual there",
        ("session_date", *_INCIDENT_KEY),
        pa.schema(
            [
                _CALL[0],
                _SCOPE[0],
                _column(
                    "ended_at",
                    INSTANT,
                    "When it ended: the minute in which half of those who stayed to its end had recovered",
                ),
                *_SCOPE[1:],
                _column("publishers", pa.int64(), "Users in the scope whose camera has data during the incident"),
                _column("affected", pa.int64(), "Those of them who got worse, compared with themselves"),
                _column("expected", pa.float64(), "How many of them get worse in as many minutes as usual"),
                _column("excess", pa.float64(), "affected less expected"),
                _column("calls", pa.int64(), "Call sessions with affected users"),
            ]
        ),
    ),
    Table(
        "incident_calls",
        "call session with users whom an incident affected",
        ("session_date", *CALL_KEY, *_INCIDENT_KEY),
        pa.schema(
            [
                *_CALL,
                *_SCOPE,
                _column(
                    "publishers", pa.int64(), "Users of the call in the scope, with camera data during the incident"
                ),
                _column("affected", pa.int64(), "Those of them who got worse"),
                _column("affected_minutes", pa.int64(), "Minutes in which they were worse than usual, their sum"),
            ]
        ),
    ),
    Table(
        "user_ratings",
        "rating that a user gave to a call session",
        ("session_date", *CALL_KEY, "user_id", "rating_number"),
        pa.schema(
            [
                *_CALL,
                _PARTICIPANT[4],
                _column(
                    "rating_number",
                    pa.int64(),
                    "1 for the user's first rating of the call session that we saw, 2 for the next; ratings that are "
                    "equal in everything are one",
                ),
                _column(
                    "user_session_id",
                    pa.string(),
                    "The stay that it is about, if the user has just one in the call session; else NULL: the source "
                    "does not say",
                ),
                _column("rating", pa.int64(), "1 (worst) to 5 (best), as received"),
                _column("reason", pa.string(), "What the user wrote, as received"),
                _column("sdk", pa.string(), "SDK that sent the rating"),
                _column("sdk_version", pa.string(), "Version of that SDK"),
                _column("platform", pa.string(), "Browser, device and operating system, as received: JSON"),
                _column("custom", pa.string(), "What the app added, as received: JSON; it may name people"),
                _column(
                    "first_listed_at",
                    INSTANT,
                    "When a response first had it, by the source's clock; the source does not say when it was given",
                ),
            ]
        ),
    ),
)

TABLES = {table.name: table for table in _TABLES}
"""Every table of the contract by name, in the order in which they are documented."""


def as_table(name: str, rows: pa.Table) -> pa.Table:
    """Return `rows` with the columns of a table, in its order and with its types."""
    schema = TABLES[name].schema
    return rows.select(schema.names).cast(schema)
