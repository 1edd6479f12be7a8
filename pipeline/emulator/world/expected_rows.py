"""The rows that a faultless ingester has, computed from the specs and not from the JSON that the emulator serves.

Here are the five tables whose rows come from the source, under the names of the project's data contract, as plain dicts
with datetimes in UTC. The table of windows stays out: it describes what an ingester did, and not the source.

A row is expected if the source would give it at that time to someone who requests everything. Values that the source
does not send are None. Points with a null value are not rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from . import visibility
from .call_totals import call_totals
from .specs import CallSpec, ClientSpec, LocationSpec, StaySpec, TrackSpec
from .timestamps import SECOND_US, from_micros, to_micros
from .world import World

Row = dict[str, Any]

TABLES: Final = ("call_sessions", "participant_sessions", "tracks", "metric_points", "track_warnings")

_TOTALS: Final = (
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
"""Totals that are columns of `call_sessions` under the same name."""

_NEVER_SENT: Final = ("browser", "browser_version", "os", "webrtc_version", "distance_to_sfu_kilometers")
"""Columns of `participant_sessions` that this emulator has no values for."""


def expected_rows(
    world: World,
    now: datetime,
    *,
    tables: Iterable[str] = TABLES,
    include_expired: bool = False,
    tick_us: int = 1,
) -> dict[str, list[Row]]:
    """Return the expected rows of each table at `now`.

    Args:
        world: what happened.
        now: a datetime with a time zone.
        tables: the tables to compute. A large world has many `metric_points`.
        include_expired: True for an ingester that has read all along, and so kept what has expired at the source since.
        tick_us: microseconds to which the times of points are truncated, as the source's unit for them does
            (10**6 for whole seconds).
    """
    rows = _Rows(world, to_micros(now), include_expired, tick_us)
    makers: dict[str, Callable[[CallSpec], Iterator[Row]]] = {
        "call_sessions": rows.call_sessions,
        "participant_sessions": rows.participant_sessions,
        "tracks": rows.tracks,
        "metric_points": rows.metric_points,
        "track_warnings": rows.track_warnings,
    }
    calls = [call for call in world.calls if visibility.has_started(call, rows.now)]
    return {table: [row for call in calls for row in makers[table](call)] for table in tables}


@dataclass(frozen=True)
class _Rows:
    """Makes the rows of one call at a time; each public method makes those of the table of its name.

    The attributes are the arguments of `expected_rows`, with `now` in microseconds since the epoch.
    """

    world: World
    now: int
    include_expired: bool
    tick_us: int

    def call_sessions(self, call: CallSpec) -> Iterator[Row]:
        """Yield the one row of the call session."""
        ended = visibility.ended_at(call, self.now)
        totals = call_totals(call, self.now)
        started = None if "call_started_at" in call.omit else call.started_at.astimezone(UTC)
        yield _call_key(call) | {
            "call_cid": call.cid,
            "started_at": started,
            "ended_at": None if "call_ended_at" in call.omit else _datetime(ended),
            "generated_at": from_micros(visibility.generated_at(call, self.now)),
            "is_live": ended is None,
            **{name: totals.get(name) for name in _TOTALS},
            "total_participant_duration_seconds": totals["total_participant_duration"],
        }

    def participant_sessions(self, call: CallSpec) -> Iterator[Row]:
        """Yield a row per stay that the ingester has."""
        for stay in self._stays(call):
            yield _stay_key(call, stay) | self._attendance(call, stay) | self._statistics(call, stay)

    def tracks(self, call: CallSpec) -> Iterator[Row]:
        """Yield a row per track with visible data, with the number and the range of its points."""
        for stay, track, since, until in self._tracks(call):
            times = [time for _, time, _ in self._points(call, stay, track, since, until)]
            yield _track_key(call, stay, track) | {
                "codec": _codec(track),
                "first_point_at": _datetime(min(times, default=None)),
                "last_point_at": _datetime(max(times, default=None)),
                "points": len(times),
            }

    def metric_points(self, call: CallSpec) -> Iterator[Row]:
        """Yield a row per visible point that is not null."""
        for stay, track, since, until in self._tracks(call):
            key = _track_key(call, stay, track) | {"codec": _codec(track)}
            for metric, time, value in self._points(call, stay, track, since, until):
                yield key | {"metric": metric, "timestamp": from_micros(time), "value": value}

    def track_warnings(self, call: CallSpec) -> Iterator[Row]:
        """Yield a row per visible warning of a track; equal warnings have one row."""
        for stay, track, since, until in self._tracks(call):
            if "warnings" in track.omit:
                continue
            given = {
                (warning.at, warning.code, warning.warning)
                for warning in visibility.warnings_within(track, since, until)
            }
            for time, code, text in sorted(given, key=repr):
                utc = time.astimezone(UTC) if time is not None else None
                yield _track_key(call, stay, track) | {"time": utc, "code": code, "warning": text}

    def _attendance(self, call: CallSpec, stay: StaySpec) -> Row:
        """The columns from Call Attendance and from the head of Participant Metrics."""
        client = stay.client or ClientSpec()
        place = client.location or LocationSpec()
        sent: Row = {
            "joined_at": stay.joined_at.astimezone(UTC) if stay.joined_at is not None else None,
            "left_at": _datetime(visibility.left_at(stay, self.now)),
            "duration_in_seconds": visibility.duration_seconds(stay, self.now),
            "publisher_type": stay.publisher_type,
            "roles": list(stay.roles),
            "is_publisher": visibility.is_publisher(call, stay, self.now),
            "is_subscriber": stay.is_subscriber,
        }
        sent = {name: None if name in stay.omit else value for name, value in sent.items()}
        sent["duration_seconds"] = sent.pop("duration_in_seconds")
        return sent | {
            "client_name": client.name,
            "client_version": client.version,
            "client_ip": client.ip,
            "network_type": client.network_type,
            **{name: getattr(place, name) for name in LocationSpec.__slots__},
        }

    def _statistics(self, call: CallSpec, stay: StaySpec) -> Row:
        """The columns from Participant Statistics."""
        client = stay.client or ClientSpec()
        flags = visibility.published_flags(call, stay, self.now)
        return {
            "sdk": client.name,
            "sdk_version": client.version,
            **dict.fromkeys(_NEVER_SENT),
            **{name: getattr(stay, name) for name in ("latency_ms", "jitter_ms", "freezes_duration_ms", "cq_score")},
            "current_sfu": stay.sfu,
            **{f"published_{flag}": is_published for flag, is_published in flags.items()},
        }

    def _stays(self, call: CallSpec) -> list[StaySpec]:
        """Return the stays that the ingester has."""
        if visibility.has_expired(call, self.now) and not self.include_expired:
            return []
        return visibility.visible_stays(call, self.now)

    def _tracks(self, call: CallSpec) -> Iterator[tuple[StaySpec, TrackSpec, int, int]]:
        """Yield every track with visible data: (stay, track, first instant, last instant), both in microseconds."""
        for stay in self._stays(call):
            for track in visibility.visible_tracks(call, stay, self.now):
                since, until = visibility.visible_span(call, stay, track, self.now)
                if since <= until:
                    yield stay, track, since, until

    def _points(
        self, call: CallSpec, stay: StaySpec, track: TrackSpec, since: int, until: int
    ) -> Iterator[tuple[str, int, float]]:
        """Yield (metric, microseconds, value); of points on the same tick the last one."""
        key = self.world.series_key(call, stay, track)
        for metric, times, values in track.points.columns(key, since, since, until, SECOND_US):
            by_tick = {time // self.tick_us * self.tick_us: value for time, value in zip(times, values, strict=True)}
            yield from ((metric, time, float(value)) for time, value in by_tick.items() if value is not None)


def _call_key(call: CallSpec) -> Row:
    return {
        "session_date": call.started_at.astimezone(UTC).date(),
        "call_type": call.call_type,
        "call_id": call.call_id,
        "call_session_id": call.call_session_id,
    }


def _stay_key(call: CallSpec, stay: StaySpec) -> Row:
    return _call_key(call) | {"user_id": stay.user_id, "user_session_id": stay.user_session_id}


def _track_key(call: CallSpec, stay: StaySpec, track: TrackSpec) -> Row:
    return _stay_key(call, stay) | {"track_id": track.track_id, "track_type": track.track_type}


def _codec(track: TrackSpec) -> str | None:
    return None if "codec" in track.omit else track.codec


def _datetime(value_us: int | None) -> datetime | None:
    return None if value_us is None else from_micros(value_us)
