"""Truth: the rows a faultless ingester holds, worked out from the specs and not from the answers.

Here: the five tables whose rows come from the source, under the names of the project's data contract, as plain dicts
with UTC datetimes. Not here: the table of windows, which says what an ingester did.

A row belongs to the truth if the source would give it at that moment to someone who asks for everything. Values the
source does not send are None. Points with a null value are no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from . import visibility as vis
from .counts import counts
from .instants import SECOND_US, from_micros, micros
from .specs import CallSpec, ClientSpec, LocationSpec, StaySpec, TrackSpec
from .worlds import World

Row = dict[str, Any]

TABLES: Final = ("call_sessions", "participant_sessions", "tracks", "metric_points", "track_warnings")

_COUNTS: Final = (
    "participants",
    "sessions",
    "publishers",
    "live_sessions",
    "peak_concurrent_users",
    "peak_concurrent_sessions",
    "sfus_used",
    "call_event_count",
    "cq_score",
    "average_jitter_ms",
    "average_latency_ms",
    "max_freezes_duration_ms",
    "avg_user_rating",
    "min_user_rating",
)


def truth(
    world: World, now: datetime, *, tables: Iterable[str] = TABLES, remembered: bool = False, tick_us: int = 1
) -> dict[str, list[Row]]:
    """The rows of each table at ``now``.

    Args:
        world: what happened.
        now: an instant with a zone.
        tables: which tables to work out; ``metric_points`` of a large world are many.
        remembered: True for one who has read all along, and so kept what the source has forgotten since.
        tick_us: microseconds that the times of points are cut to, as the source's unit for them does (a second: 10**6).
    """
    at = micros(now)
    makers: dict[str, Callable[[CallSpec], Iterator[Row]]] = {
        "call_sessions": lambda call: iter([_call_row(call, at)]),
        "participant_sessions": lambda call: (_stay_row(call, stay, at) for stay in _stays(call, at, remembered)),
        "tracks": lambda call: _track_rows(world, call, at, remembered, tick_us),
        "metric_points": lambda call: _point_rows(world, call, at, remembered, tick_us),
        "track_warnings": lambda call: _warning_rows(call, at, remembered),
    }
    calls = [call for call in world.calls if vis.has_started(call, at)]
    return {table: [row for call in calls for row in makers[table](call)] for table in tables}


def _stays(call: CallSpec, at: int, remembered: bool) -> list[StaySpec]:
    return [] if vis.is_forgotten(call, at) and not remembered else vis.shown_stays(call, at)


def _tracks(call: CallSpec, at: int, remembered: bool) -> Iterator[tuple[StaySpec, TrackSpec, int, int]]:
    """Every track with the span, in microseconds, both ends included, in which it has data."""
    for stay in _stays(call, at, remembered):
        for track in vis.shown_tracks(call, stay, at):
            since, until = vis.span(call, stay, track, at)
            if since <= until:
                yield stay, track, since, until


def _call_key(call: CallSpec) -> Row:
    return {
        "session_date": from_micros(micros(call.started_at)).date(),
        "call_type": call.call_type,
        "call_id": call.call_id,
        "call_session_id": call.call_session_id,
    }


def _stay_key(call: CallSpec, stay: StaySpec) -> Row:
    return _call_key(call) | {"user_id": stay.user_id, "user_session_id": stay.user_session_id}


def _track_key(call: CallSpec, stay: StaySpec, track: TrackSpec) -> Row:
    return _stay_key(call, stay) | {"track_id": track.track_id, "track_type": track.track_type}


def _call_row(call: CallSpec, at: int) -> Row:
    ended = vis.has_ended(call, at)
    counted = counts(call, at)
    sent: Row = {
        "call_started_at": from_micros(micros(call.started_at)),
        "call_ended_at": from_micros(micros(call.ended_at)) if call.ended_at is not None and ended else None,
    }
    sent = {name: None if name in call.omit else value for name, value in sent.items()}
    return _call_key(call) | {
        "call_cid": call.cid,
        "started_at": sent["call_started_at"],
        "ended_at": sent["call_ended_at"],
        "generated_at": from_micros(vis.generated_at(call, at)),
        "is_live": not ended,
        **{name: counted.get(name) for name in _COUNTS},
        "total_participant_duration_seconds": counted["total_participant_duration"],
    }


def _stay_row(call: CallSpec, stay: StaySpec, at: int) -> Row:
    left, client = vis.left(stay, at), stay.client or ClientSpec()
    place = client.location or LocationSpec()
    joined = micros(stay.joined_at) if stay.joined_at is not None else None
    sent: Row = {
        "joined_at": from_micros(joined) if joined is not None else None,
        "left_at": from_micros(left) if left is not None else None,
        "duration_in_seconds": None if joined is None or left is None else (left - joined) // SECOND_US,
        "publisher_type": stay.publisher_type,
        "roles": list(stay.roles),
        "is_publisher": vis.is_publisher(call, stay, at),
        "is_subscriber": stay.is_subscriber,
    }
    sent = {name: None if name in stay.omit else value for name, value in sent.items()}
    sent["duration_seconds"] = sent.pop("duration_in_seconds")
    return (
        _stay_key(call, stay)
        | sent
        | {
            "client_name": client.name,
            "client_version": client.version,
            "client_ip": client.ip,
            "network_type": client.network_type,
            **{name: getattr(place, name) for name in LocationSpec.__slots__},
        }
        | _statistics(call, stay, at)
    )


def _statistics(call: CallSpec, stay: StaySpec, at: int) -> Row:
    client = stay.client or ClientSpec()
    types = {track.track_type for track in vis.shown_tracks(call, stay, at)}
    return {
        "sdk": client.name,
        "sdk_version": client.version,
        **dict.fromkeys(("browser", "browser_version", "os", "webrtc_version", "distance_to_sfu_kilometers")),
        **{name: getattr(stay, name) for name in ("latency_ms", "jitter_ms", "freezes_duration_ms", "cq_score")},
        "current_sfu": stay.sfu,
        "published_audio": "audio" in types,
        "published_video": "video" in types,
        "published_screenshare": "screensharing" in types,
        "published_screenshare_audio": "screensharing_audio" in types,
    }


def _track_rows(world: World, call: CallSpec, at: int, remembered: bool, tick_us: int) -> Iterator[Row]:
    for stay, track, since, until in _tracks(call, at, remembered):
        points = list(_points(world, call, stay, track, since, until, tick_us))
        times = [time for _, time, _ in points]
        yield _track_key(call, stay, track) | {
            "codec": _codec(track),
            "first_point_at": from_micros(min(times)) if times else None,
            "last_point_at": from_micros(max(times)) if times else None,
            "points": len(points),
        }


def _point_rows(world: World, call: CallSpec, at: int, remembered: bool, tick_us: int) -> Iterator[Row]:
    for stay, track, since, until in _tracks(call, at, remembered):
        key = _track_key(call, stay, track) | {"codec": _codec(track)}
        for metric, time, value in _points(world, call, stay, track, since, until, tick_us):
            yield key | {"metric": metric, "timestamp": from_micros(time), "value": value}


def _points(
    world: World, call: CallSpec, stay: StaySpec, track: TrackSpec, since: int, until: int, tick_us: int
) -> Iterator[tuple[str, int, float]]:
    """(metric, microseconds, value); of points that fall on the same tick the last one."""
    key = world.series_key(call, stay, track)
    for metric, times, values in track.points.columns(key, since, since, until, SECOND_US):
        cut = {time // tick_us * tick_us: value for time, value in zip(times, values, strict=True)}
        yield from ((metric, time, float(value)) for time, value in cut.items() if value is not None)


def _warning_rows(call: CallSpec, at: int, remembered: bool) -> Iterator[Row]:
    for stay, track, since, until in _tracks(call, at, remembered):
        if "warnings" in track.omit:
            continue
        given = {
            (warning.at, warning.code, warning.warning)
            for warning in track.warnings
            if warning.sticky or warning.at is None or since <= micros(warning.at) <= until
        }
        for time, code, text in sorted(given, key=repr):
            instant = from_micros(micros(time)) if time is not None else None
            yield _track_key(call, stay, track) | {"time": instant, "code": code, "warning": text}


def _codec(track: TrackSpec) -> str | None:
    return None if "codec" in track.omit else track.codec
