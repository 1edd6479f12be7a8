"""Answers: the JSON documents the endpoints give, built from a world at an instant.

Here: the shapes of the specification (``QueryCallSessionStatsResponse``, ``QueryCallParticipantSessionsResponse``,
``GetCallParticipantSessionMetricsResponse``, ``QueryCallSessionParticipantStatsResponse``). Not here: HTTP, and what
may be seen when (``visibility``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from . import visibility as vis
from .counts import counts
from .dialect import UNITS, Dialect
from .errors import not_found
from .instants import SECOND_US, micros
from .queries import (
    CALL_FILTERS,
    PARTICIPANT_FILTERS,
    Condition,
    Page,
    read_filter,
    read_sort,
    read_window,
    turn,
)
from .specs import CallSpec, ClientSpec, LocationSpec, StaySpec, TrackSpec
from .worlds import World

Json = dict[str, Any]


class Answers:
    """Builds answers from a world; every method takes the emulator's time and raises ``ApiError`` to refuse."""

    def __init__(self, world: World, dialect: Dialect) -> None:
        self._world = world
        self._dialect = dialect
        self._calls = {call.ids: call for call in world.calls}
        self._stays: dict[tuple[str, str, str], dict[tuple[str, str], StaySpec]] = {}
        self._counted: dict[tuple[tuple[str, str, str], int], Json] = {}

    def call_stats(self, body: Mapping[str, Any], page: Page, now: datetime) -> Json:
        """Call sessions that fit a filter, sorted, one page of them."""
        operation = "QueryCallSessionStats"
        at = micros(now)
        conditions = read_filter(operation, body.get("filter_conditions"), CALL_FILTERS)
        sort = read_sort(operation, body.get("sort"))
        rows: list[tuple[Any, CallSpec]] = []
        for call in self._world.calls:
            if not vis.has_started(call, at):
                continue
            values = self._filter_values(call, at, conditions)
            if all(condition.holds(values) for condition in conditions):
                # Calls without the field sorted by come first, as nothing is smaller than any time.
                rows.append((values[sort.field] or 0, call))
        rows.sort(key=lambda row: row[1].call_session_id)
        rows.sort(key=lambda row: row[1].cid, reverse=sort.cid_direction < 0)
        rows.sort(key=lambda row: row[0], reverse=sort.direction < 0)
        chosen, following, preceding = turn(operation, rows, lambda row: list(row[1].ids), sort.name, page)
        answer: Json = {"call_stats": [self._call_row(call, at) for _, call in chosen], "duration": "1.00ms"}
        return answer | _cursors(following, preceding)

    def participant_sessions(self, ids: Sequence[str], filter_: object, page: Page, now: datetime) -> Json:
        """Call Attendance: the stays of a call session, one page of them; the totals are of all of them."""
        operation = "QueryCallParticipantSessions"
        at = micros(now)
        call = self._call(operation, ids, at)
        listed = self._listed(operation, call, filter_, at)
        totals = self._counts(call, at)
        chosen, following, preceding = turn(operation, listed, _stay_place, "joined_at", page)
        answer: Json = {
            "call_type": call.call_type,
            "call_id": call.call_id,
            "call_session_id": call.call_session_id,
            "session": self._session(call, at),
            "duration": 1,
            "total_participant_sessions": totals["sessions"],
            "total_participant_duration": totals["total_participant_duration"],
            "participants_sessions": [self._stay_row(stay, at) for stay in chosen],
        }
        return answer | _cursors(following, preceding)

    def participant_metrics(self, ids: Sequence[str], since: str | None, until: str | None, now: datetime) -> Json:
        """The series of one user session within a window."""
        operation = "GetCallParticipantSessionMetrics"
        at = micros(now)
        start, end = read_window(operation, since, until, now)
        if not self._dialect.until_inclusive:
            end -= 1
        call = self._call(operation, ids[:3], at)
        stay = self._stay(operation, call, ids[3], ids[4], at)
        answer: Json = {
            "user_id": stay.user_id,
            "user_session_id": stay.user_session_id,
            "publisher_type": stay.publisher_type,
            "is_publisher": vis.is_publisher(call, stay, at),
            "is_subscriber": stay.is_subscriber,
        }
        if stay.joined_at is not None:
            answer["joined_at"] = self._dialect.instant(micros(stay.joined_at))
        if stay.client is not None:
            answer["client"] = _client(stay.client)
        tracks = (self._track(call, stay, track, start, end, at) for track in vis.shown_tracks(call, stay, at))
        answer["published_tracks"] = [track for track in tracks if track is not None]
        answer["duration"] = "1.00ms"
        return _dressed(answer, stay.extra, stay.omit)

    def participant_stats(self, ids: Sequence[str], filter_: object, page: Page, now: datetime) -> Json:
        """One row per user of a call session, with their sessions; a page counts users."""
        operation = "QueryCallSessionParticipantStats"
        at = micros(now)
        call = self._call(operation, ids, at)
        users: dict[str, list[StaySpec]] = {}
        for stay in self._listed(operation, call, filter_, at):
            users.setdefault(stay.user_id, []).append(stay)
        rows = list(users.items())
        chosen, following, preceding = turn(operation, rows, lambda row: [row[0]], "joined_at", page)
        answer = self._call_row(call, at) | {
            "duration": "1.00ms",
            "call_events": [],
            "participants": [self._user_row(call, user, stays, at) for user, stays in chosen],
        }
        answer.pop("generated_at", None)
        return answer | _cursors(following, preceding)

    # -- looking up ---------------------------------------------------------------------------------------------------

    def _call(self, operation: str, ids: Sequence[str], at: int) -> CallSpec:
        call = self._calls.get((ids[0], ids[1], ids[2]))
        if call is None or not vis.has_started(call, at):
            raise not_found(operation, f"Can't find call session with id {ids[0]}:{ids[1]}:{ids[2]}")
        return call

    def _stay(self, operation: str, call: CallSpec, user_id: str, user_session_id: str, at: int) -> StaySpec:
        stays = self._stays.get(call.ids)
        if stays is None:
            stays = {(stay.user_id, stay.user_session_id): stay for stay in call.participants}
            self._stays[call.ids] = stays
        stay = stays.get((user_id, user_session_id))
        if stay is None or not vis.is_shown(call, stay, at):
            raise not_found(operation, f"Can't find participant {user_id} with session {user_session_id}")
        return stay

    def _listed(self, operation: str, call: CallSpec, filter_: object, at: int) -> Sequence[StaySpec]:
        """The stays a list may name: none once they are forgotten, else those that fit the filter."""
        conditions = read_filter(operation, filter_, PARTICIPANT_FILTERS)
        if vis.is_forgotten(call, at):
            return ()
        stays = vis.shown_stays(call, at)
        if not conditions:
            return stays
        kept = []
        for stay in stays:
            values = {
                "is_live": not vis.has_ended(call, at) and vis.left(stay, at) is None,
                "is_tech_user": False,
                "published_tracks": frozenset(track.track_type for track in vis.shown_tracks(call, stay, at)),
                "publisher_type": stay.publisher_type,
                "session_id": stay.user_session_id,
                "user_id": stay.user_id,
            }
            if all(condition.holds(values) for condition in conditions):
                kept.append(stay)
        return kept

    def _filter_values(self, call: CallSpec, at: int, conditions: tuple[Condition, ...]) -> Json:
        made = vis.generated_at(call, at)
        values: Json = {
            "session_started_at": micros(call.started_at),
            "session_ended_at": micros(call.ended_at) if call.ended_at and vis.has_ended(call, at) else None,
            "generated_at": made,
            "updated_at": made,
            "call_cid": call.cid,
            "call_session_id": call.call_session_id,
            "is_active": not vis.has_ended(call, at),
        }
        if any(condition.field.startswith("counts.") for condition in conditions):
            values.update((f"counts.{name}", value) for name, value in self._counts(call, at).items())
        return values

    def _counts(self, call: CallSpec, at: int) -> Json:
        """The counts; kept once the call has a report, since they change only with the next one."""
        out = vis.reports_out(call, at)
        if not out:
            return counts(call, at)
        kept = self._counted.get((call.ids, out))
        if kept is None:
            kept = self._counted[(call.ids, out)] = counts(call, at)
        return kept

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _call_row(self, call: CallSpec, at: int) -> Json:
        row: Json = {
            "call_type": call.call_type,
            "call_id": call.call_id,
            "call_session_id": call.call_session_id,
            "call_started_at": self._dialect.instant(micros(call.started_at)),
        }
        if call.ended_at is not None and vis.has_ended(call, at):
            row["call_ended_at"] = self._dialect.instant(micros(call.ended_at))
        row["generated_at"] = self._dialect.instant(vis.generated_at(call, at))
        row["counts"] = self._counts(call, at)
        return _dressed(row, call.extra, call.omit)

    def _session(self, call: CallSpec, at: int) -> Json:
        session: Json = {
            "id": call.call_session_id,
            "started_at": self._dialect.instant(micros(call.started_at)),
            "participants": [],
            "participants_count_by_role": {},
            "anonymous_participant_count": 0,
            "rejected_by": {},
            "accepted_by": {},
            "missed_by": {},
        }
        if call.ended_at is not None and vis.has_ended(call, at):
            session["ended_at"] = self._dialect.instant(micros(call.ended_at))
        return session

    def _stay_row(self, stay: StaySpec, at: int) -> Json:
        row: Json = {"user_id": stay.user_id, "user_session_id": stay.user_session_id}
        left, seconds = vis.left(stay, at), _seconds(stay, at)
        if stay.joined_at is not None:
            row["joined_at"] = self._dialect.instant(micros(stay.joined_at))
        if left is not None:
            row["left_at"] = self._dialect.instant(left)
        row["publisher_type"] = stay.publisher_type
        row["roles"] = list(stay.roles)
        if seconds is not None:
            row["duration_in_seconds"] = seconds
        return _dressed(row, stay.extra, stay.omit)

    def _track(self, call: CallSpec, stay: StaySpec, track: TrackSpec, start: int, end: int, at: int) -> Json | None:
        """A track within [start, end], both included; None where it was not published then."""
        since, until = vis.span(call, stay, track, at)
        first, last = max(start, since), min(end, until)
        if last < first:
            return None
        per_second = UNITS[self._dialect.unit]
        key = self._world.series_key(call, stay, track)
        answer: Json = {"track_id": track.track_id, "track_type": track.track_type, "codec": track.codec}
        for name, times, values in track.points.columns(key, since, first, last, per_second):
            ticks: Iterable[float] = map(float, times) if self._dialect.unit == "float_s" else times
            series = {"data_points": list(zip(ticks, values, strict=True))}
            if name.startswith("resolution_"):
                answer.setdefault("resolution", {})[name.removeprefix("resolution_")] = series
            else:
                answer[name] = series
        warnings: list[Json] = [
            {"code": warning.code, "warning": warning.warning}
            | ({"time": self._dialect.instant(micros(warning.at))} if warning.at else {})
            for warning in track.warnings
            if warning.sticky or warning.at is None or first <= micros(warning.at) <= last
        ]
        if warnings:
            answer["warnings"] = warnings
        return _dressed(answer, track.extra, track.omit)

    def _user_row(self, call: CallSpec, user: str, stays: list[StaySpec], at: int) -> Json:
        row: Json = {"user_id": user, "roles": list(stays[0].roles)}
        if stays[0].name is not None:
            row["name"] = stays[0].name
        ends = [vis.left(stay, at) for stay in stays]
        row["latest_activity_at"] = self._dialect.instant(max(end if end is not None else at for end in ends))
        row["sessions"] = [self._user_session(call, stay, at) for stay in stays]
        return row

    def _user_session(self, call: CallSpec, stay: StaySpec, at: int) -> Json:
        left, client = vis.left(stay, at), stay.client or ClientSpec()
        types = {track.track_type for track in vis.shown_tracks(call, stay, at)}
        row: Json = {
            "user_session_id": stay.user_session_id,
            "publisher_type": stay.publisher_type,
            "is_live": not vis.has_ended(call, at) and left is None,
            "started_at": self._dialect.instant(vis.joined(call, stay)),
            "published_tracks": {
                "audio": "audio" in types,
                "video": "video" in types,
                "screenshare": "screensharing" in types,
                "screenshare_audio": "screensharing_audio" in types,
            },
        }
        if left is not None:
            row["ended_at"] = self._dialect.instant(left)
        optional = {
            "sdk": client.name,
            "sdk_version": client.version,
            "current_ip": client.ip,
            "current_sfu": stay.sfu,
            "latency_ms": stay.latency_ms,
            "jitter_ms": stay.jitter_ms,
            "freezes_duration_ms": stay.freezes_duration_ms,
            "cq_score": stay.cq_score,
            "location": _location(client.location) if client.location else None,
        }
        return row | {name: value for name, value in optional.items() if value is not None}


def _seconds(stay: StaySpec, at: int) -> int | None:
    """Whole seconds from joining to leaving; None while either is unknown."""
    left = vis.left(stay, at)
    return None if left is None or stay.joined_at is None else (left - micros(stay.joined_at)) // SECOND_US


def _stay_place(stay: StaySpec) -> list[Any]:
    return [stay.user_id, stay.user_session_id]


def _client(client: ClientSpec) -> Json:
    fields = ("name", "version", "ip", "network_type")
    answer: Json = {name: getattr(client, name) for name in fields if getattr(client, name) is not None}
    if client.location is not None:
        answer["location"] = _location(client.location)
    return _dressed(answer, client.extra, frozenset())


def _location(location: LocationSpec) -> Json:
    values = ((name, getattr(location, name)) for name in LocationSpec.__slots__)
    return {name: value for name, value in values if value is not None}


def _cursors(following: str | None, preceding: str | None) -> Json:
    return {name: cursor for name, cursor in (("next", following), ("prev", preceding)) if cursor is not None}


def _dressed(answer: Json, extra: tuple[tuple[str, object], ...], omit: frozenset[str]) -> Json:
    """The answer with unknown fields added and unwanted ones left out."""
    if not extra and not omit:
        return answer
    return {name: value for name, value in (answer | dict(extra)).items() if name not in omit}
