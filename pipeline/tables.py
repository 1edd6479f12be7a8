"""The data contract: the tables, their columns, types, keys and comments, as pyarrow schemas.

Names and types here are relied on from outside; everything that writes or describes a table reads them from this
module. How rows come about is `flatten.py`, where files lie `lake.py`, what DuckDB makes of them `warehouse.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

__all__ = ["METRICS", "TABLES", "WINDOW_STATES", "Table"]

INSTANT = pa.timestamp("us", tz="UTC")

METRICS = ("bitrate", "framerate", "resolution_height", "resolution_width")
"""Values of `metric_points.metric`, in the order that the table is sorted by."""

WINDOW_STATES = {
    "landed": "answered with points",
    "empty": "answered, without points",
    "gone": "the source answers 404: it does not know this participant, or no longer does",
    "suspect": "timestamps lie outside the window or cannot be read: the raw answer is kept, its points are not loaded",
    "failed": "no usable answer after all retries; the next run asks again",
    "missing": "should exist, was not asked for yet",
}


@dataclass(frozen=True)
class Table:
    """One table of the contract. `key` names the columns that are unique together and that the file is sorted by."""

    name: str
    grain: str
    key: tuple[str, ...]
    schema: pa.Schema

    @property
    def comment(self) -> str:
        return f"One row per {self.grain}"

    def comment_of(self, column: str) -> str:
        metadata: dict[bytes, bytes] = self.schema.field(column).metadata
        return metadata[b"comment"].decode()


def _column(name: str, type_: pa.DataType, comment: str) -> pa.Field:
    return pa.field(name, type_, metadata={"comment": comment})


_CALL = (
    _column("session_date", pa.date32(), "UTC date on which the call session started; the partition key everywhere"),
    _column("call_type", pa.string(), "Call type, such as default or livestream"),
    _column("call_id", pa.string(), "Call id: free text, unique within its type; a call may be held many times"),
    _column("call_session_id", pa.string(), "Id of one session of the call: from its start to its end"),
)
_PARTICIPANT = (
    *_CALL,
    _column("user_id", pa.string(), "User id, as the app gave it to Stream"),
    _column("user_session_id", pa.string(), "Id of one stay of the user: a person who rejoins has several"),
)
_TRACK = (
    *_PARTICIPANT,
    _column("track_id", pa.string(), "Id of the published track"),
    _column("track_type", pa.string(), "Kind of track as the source spells it: audio, video, screensharing, …"),
)


_STATS = "; NULL where participant statistics do not tell"


def _names(columns: tuple[pa.Field, ...]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


_TABLES = (
    Table(
        "call_sessions",
        "call session",
        _names(_CALL),
        pa.schema(
            [
                *_CALL,
                _column("call_cid", pa.string(), "Call type and id as Stream joins them: type:id"),
                _column("started_at", INSTANT, "When the session started"),
                _column("ended_at", INSTANT, "When the session ended; NULL while it is live"),
                _column("generated_at", INSTANT, "When the source made the report that this row is from"),
                _column("is_live", pa.bool_(), "Whether the session had not ended when it was last looked at"),
                _column("participants", pa.int64(), "Distinct users, as the source counts them"),
                _column("sessions", pa.int64(), "User sessions, as the source counts them"),
                _column("publishers", pa.int64(), "Users who published a track, as the source counts them"),
                _column("live_sessions", pa.int64(), "User sessions still going on at generated_at"),
                _column("peak_concurrent_users", pa.int64(), "Most users at the same time"),
                _column("peak_concurrent_sessions", pa.int64(), "Most user sessions at the same time"),
                _column("sfus_used", pa.int64(), "Media servers (SFUs) that carried the call"),
                _column("total_participant_duration_seconds", pa.int64(), "Sum of all stays, in seconds"),
                _column("call_event_count", pa.int64(), "Events that the source recorded for the call"),
                _column("cq_score", pa.int64(), "The source's own call-quality score, 0 to 100"),
                _column("average_jitter_ms", pa.int64(), "Mean jitter over the call, in milliseconds"),
                _column("average_latency_ms", pa.int64(), "Mean latency over the call, in milliseconds"),
                _column("max_freezes_duration_ms", pa.int64(), "Longest time a participant's video froze, in ms"),
                _column("avg_user_rating", pa.float64(), "Mean of the ratings that users gave"),
                _column("min_user_rating", pa.int64(), "Lowest of the ratings that users gave"),
            ]
        ),
    ),
    Table(
        "participant_sessions",
        "user session: one stay of one user in a call session",
        _names(_PARTICIPANT),
        pa.schema(
            [
                *_PARTICIPANT,
                _column("joined_at", INSTANT, "When the user joined"),
                _column("left_at", INSTANT, "When the user left; NULL while still there, or where the source lacks it"),
                _column("duration_seconds", pa.int64(), "Length of the stay in seconds, as the source gives it"),
                _column("publisher_type", pa.string(), "Kind of publisher, as the source spells it"),
                _column("roles", pa.list_(pa.string()), "The user's roles in the call"),
                _column("is_publisher", pa.bool_(), "Whether the user published a track; NULL while unknown"),
                _column("is_subscriber", pa.bool_(), "Whether the user received a track; NULL until metrics landed"),
                _column("client_name", pa.string(), "The client: SDK or browser, as the source names it"),
                _column("client_version", pa.string(), "Version of the client"),
                _column("client_ip", pa.string(), "IP address of the client, as CALL_METRICS_CLIENT_IP keeps it"),
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
                _column("browser", pa.string(), f"Browser, where the client runs in one{_STATS}"),
                _column("browser_version", pa.string(), f"Version of the browser{_STATS}"),
                _column("os", pa.string(), f"Operating system{_STATS}"),
                _column("webrtc_version", pa.string(), f"Version of WebRTC{_STATS}"),
                _column("latency_ms", pa.int64(), f"Latency of the connection in milliseconds{_STATS}"),
                _column("jitter_ms", pa.int64(), f"Jitter of the connection in milliseconds{_STATS}"),
                _column("freezes_duration_ms", pa.int64(), f"Time that video froze for the user, in ms{_STATS}"),
                _column("cq_score", pa.int64(), f"The source's own call-quality score, 0 to 100{_STATS}"),
                _column("current_sfu", pa.string(), f"Media server (SFU) that carried the stay last{_STATS}"),
                _column("distance_to_sfu_kilometers", pa.float64(), f"Distance to that media server in km{_STATS}"),
                _column("published_audio", pa.bool_(), f"Whether the user published a microphone{_STATS}"),
                _column("published_video", pa.bool_(), f"Whether the user published a camera{_STATS}"),
                _column("published_screenshare", pa.bool_(), f"Whether the user shared a screen{_STATS}"),
                _column("published_screenshare_audio", pa.bool_(), f"Whether the user shared its sound{_STATS}"),
            ]
        ),
    ),
    Table(
        "tracks",
        "published track",
        _names(_TRACK),
        pa.schema(
            [
                *_TRACK,
                _column("codec", pa.string(), "Codec, from the latest answer that names one"),
                _column("first_point_at", INSTANT, "Earliest data point of any metric; NULL without points"),
                _column("last_point_at", INSTANT, "Latest data point of any metric; NULL without points"),
                _column("points", pa.int64(), "Rows of metric_points for this track"),
            ]
        ),
    ),
    Table(
        "metric_points",
        "data point: one metric of one track at one instant",
        (*_names(_TRACK), "metric", "timestamp"),
        pa.schema(
            [
                *_TRACK,
                _column("codec", pa.string(), "Codec of the track, in the answer that gave the point"),
                _column("metric", pa.string(), f"One of {', '.join(METRICS)}"),
                _column("timestamp", INSTANT, "Instant of the point"),
                _column(
                    "value",
                    pa.float64(),
                    "As received: framerate in frames per second, resolution in pixels; bitrate most likely in bits "
                    "per second (the source does not document the unit)",
                ),
            ]
        ),
    ),
    Table(
        "track_warnings",
        "warning on a published track",
        (*_names(_TRACK), "time", "code", "warning"),
        pa.schema(
            [
                *_TRACK,
                _column("time", INSTANT, "When the source raised the warning"),
                _column("code", pa.string(), "Warning code: free text of the source"),
                _column("warning", pa.string(), "Warning in words: free text of the source"),
            ]
        ),
    ),
    Table(
        "windows",
        "window of at most 30 minutes that should exist for a user session",
        (*_names(_PARTICIPANT), "since"),
        pa.schema(
            [
                *_PARTICIPANT,
                _column("since", INSTANT, "Start of the window, inclusive"),
                _column("until", INSTANT, "End of the window, exclusive"),
                _column("state", pa.string(), "; ".join(f"{name}: {text}" for name, text in WINDOW_STATES.items())),
                _column("http_status", pa.int64(), "HTTP status of the answer that decided the state"),
                _column("attempts", pa.int64(), "Requests sent for that answer; waits for the quota are none"),
                _column("points", pa.int64(), "Distinct data points in this window's answers"),
                _column("timestamp_unit", pa.string(), "Unit of the source's timestamps: s, ms, us or ns"),
                _column("fetched_at", INSTANT, "When that answer came, by the source's clock"),
                _column("error", pa.string(), "What went wrong with the window or with asking for it again"),
            ]
        ),
    ),
    Table(
        "ingest_completeness_by_call",
        "call session: what the source promised of it, and what is held",
        _names(_CALL),
        pa.schema(
            [
                *_CALL,
                _column(
                    "stays_promised", pa.int64(), "User sessions of which Call Attendance speaks; NULL: not asked yet"
                ),
                _column("stays_held", pa.int64(), "User sessions held"),
                _column("stays_forgotten", pa.int64(), "User sessions left out: of people who may not be kept"),
                _column("windows_expected", pa.int64(), "Windows that should exist"),
                _column("windows_landed", pa.int64(), "Windows answered with points"),
                _column("windows_empty", pa.int64(), "Windows answered without points"),
                _column("windows_gone", pa.int64(), "Windows of which the source knows nothing (404)"),
                _column("windows_suspect", pa.int64(), "Windows whose timestamps cannot be right"),
                _column("windows_failed", pa.int64(), "Windows without a usable answer after all retries"),
                _column("windows_missing", pa.int64(), "Windows not asked for yet"),
                _column("windows_due", pa.int64(), "Windows of which the source still owes the final answer"),
                _column("points", pa.int64(), "Distinct data points, those on a seam of two windows counted in both"),
                _column("timestamp_units", pa.string(), "Units of the source's timestamps: s, ms, us, ns"),
                _column("newest_fetch_at", INSTANT, "When the newest of the answers came"),
                _column("forgotten_at", INSTANT, "When the source forgets who took part: 90 days after the end"),
                _column(
                    "raw_sha256", pa.string(), "SHA-256 over the raw answers about the call that its rows are from"
                ),
                _column(
                    "is_complete",
                    pa.bool_(),
                    "Whether the call is over, everyone promised is held, every window has its final answer and none "
                    "is suspect",
                ),
            ]
        ),
    ),
)

TABLES = {table.name: table for table in _TABLES}
"""Every table of the contract by name, in the order in which they are documented."""
