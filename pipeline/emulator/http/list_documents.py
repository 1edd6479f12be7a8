"""The documents of the endpoints that list something: call sessions, their participants, statistics of these, ratings.

The shapes are those of the specification: `QueryCallSessionStatsResponse`, `QueryCallParticipantSessionsResponse`,
`QueryCallSessionParticipantStatsResponse` and `QueryUserFeedbackResponse`. Participant Metrics are in
`metrics_document`. What is visible at a given time is decided in `pipeline.emulator.world.visibility`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..world import visibility
from ..world.specs import CallSpec, ClientSpec, RatingSpec, StaySpec
from ..world.timestamps import to_micros
from .document_parts import Json, location_json, with_overrides, without_none
from .errors import bad_input
from .lookup import Lookup
from .paging import PageRequest, paginate, parse_page
from .parameters import (
    CALL_FILTERS,
    FEEDBACK_FILTERS,
    PARTICIPANT_FILTERS,
    Condition,
    parse_filter,
    parse_json,
    parse_sort,
)
from .request_log import ApiRequest
from .wire_format import WireFormat


class ListDocuments:
    """Builds the documents from a world.

    The public methods have the names of their endpoints. Each returns one page, and raises `ApiError` if a parameter is
    wrong or the call does not exist. In the private ones `now` is in microseconds since the epoch.
    """

    def __init__(self, lookup: Lookup, wire: WireFormat) -> None:
        self._lookup = lookup
        self._wire = wire

    def call_stats(self, request: ApiRequest) -> Json:
        """Return the call sessions that match a filter, sorted."""
        body = request.body
        if not isinstance(body, dict):
            raise bad_input("the body must be a JSON object")
        now = to_micros(request.at)
        page = parse_page(body)
        conditions = parse_filter(body.get("filter_conditions"), CALL_FILTERS)
        sort = parse_sort(body.get("sort"))
        rows: list[tuple[int, CallSpec]] = []
        for call in self._lookup.world.calls:
            if not visibility.has_started(call, now):
                continue
            values = self._call_filter_values(call, now, conditions)
            if _all_hold(conditions, values):
                # Calls without a value in the sort field come first: zero is before every time.
                rows.append((values[sort.field] or 0, call))
        rows.sort(key=lambda row: row[1].call_session_id)
        rows.sort(key=lambda row: row[1].cid, reverse=sort.cid_direction < 0)
        rows.sort(key=lambda row: row[0], reverse=sort.direction < 0)
        chosen, cursors = paginate(rows, lambda row: row[1].ids, sort.name, page)
        calls = [self._call_row(call, now) for _, call in chosen]
        return {"call_stats": calls, "duration": "1.00ms", **cursors}

    def participant_sessions(self, request: ApiRequest) -> Json:
        """Return Call Attendance: the stays of a call session. The totals are those of all stays."""
        now = to_micros(request.at)
        call, stays, page = self._listed(request, now)
        chosen, cursors = paginate(stays, lambda stay: stay.ids, "joined_at", page)
        totals = self._lookup.totals(call, now)
        return {
            "call_type": call.call_type,
            "call_id": call.call_id,
            "call_session_id": call.call_session_id,
            "session": self._session(call, now),
            "duration": 1,
            "total_participant_sessions": totals["sessions"],
            "total_participant_duration": totals["total_participant_duration"],
            "participants_sessions": [self._stay_row(stay, now) for stay in chosen],
            **cursors,
        }

    def participant_stats(self, request: ApiRequest) -> Json:
        """Return Participant Statistics: one row per user of a call session, with the user's stays."""
        now = to_micros(request.at)
        call, stays, page = self._listed(request, now)
        users: dict[str, list[StaySpec]] = {}
        for stay in stays:
            users.setdefault(stay.user_id, []).append(stay)
        chosen, cursors = paginate(list(users.items()), lambda row: (row[0],), "joined_at", page)
        document = self._call_row(call, now)
        document.pop("generated_at", None)
        return document | {
            "duration": "1.00ms",
            "call_events": [],
            "participants": [self._user_row(call, user, stays, now) for user, stays in chosen],
            **cursors,
        }

    def user_feedback(self, request: ApiRequest) -> Json:
        """Return the ratings that match a filter, in the order of the calls and of the ratings in them."""
        body = request.body
        if not isinstance(body, dict):
            raise bad_input("the body must be a JSON object")
        if body.get("sort"):
            raise bad_input("sorting of user feedback is not documented")
        now = to_micros(request.at)
        page = parse_page(body)
        conditions = parse_filter(body.get("filter_conditions"), FEEDBACK_FILTERS)
        rows: list[tuple[CallSpec, StaySpec, RatingSpec, int]] = []
        for call in self._lookup.world.calls:
            of_call = {"call_cid": call.cid, "session_id": call.call_session_id}
            if not _all_hold(tuple(one for one in conditions if one.field in of_call), of_call):
                continue
            for stay, rating, number in visibility.visible_ratings(call, now):
                if _all_hold(conditions, of_call | {"user_id": stay.user_id, "rating": rating.rating}):
                    rows.append((call, stay, rating, number))
        chosen, cursors = paginate(rows, lambda row: (*row[0].ids, *row[1].ids, str(row[3])), "given", page)
        return {
            "duration": "1.00ms",
            "user_feedback": [_rating_row(call, stay, rating) for call, stay, rating, _ in chosen],
            **cursors,
        }

    # -- selecting ----------------------------------------------------------------------------------------------------

    def _call_filter_values(self, call: CallSpec, now: int, conditions: tuple[Condition, ...]) -> Json:
        """Return the values of a call that filters and sorting compare, with totals only if a condition needs them."""
        ended = visibility.ended_at(call, now)
        generated = visibility.generated_at(call, now)
        values: Json = {
            "session_started_at": to_micros(call.started_at),
            "session_ended_at": ended,
            "generated_at": generated,
            "updated_at": generated,
            "call_cid": call.cid,
            "call_session_id": call.call_session_id,
            "is_active": ended is None,
        }
        if any(condition.field.startswith("counts.") for condition in conditions):
            values.update((f"counts.{name}", value) for name, value in self._lookup.totals(call, now).items())
        return values

    def _listed(self, request: ApiRequest, now: int) -> tuple[CallSpec, Sequence[StaySpec], PageRequest]:
        """Return the call of a request, its stays that match the filter (none after expiry), and the page wanted."""
        page = parse_page(request.query)
        given = parse_json("filter_conditions", request.query.get("filter_conditions"))
        call = self._lookup.call(request.ids, now)
        conditions = parse_filter(given, PARTICIPANT_FILTERS)
        stays = [] if visibility.has_expired(call, now) else visibility.visible_stays(call, now)
        if conditions:
            stays = [stay for stay in stays if _all_hold(conditions, _stay_filter_values(call, stay, now))]
        return call, stays, page

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _call_row(self, call: CallSpec, now: int) -> Json:
        row = without_none(
            {
                "call_type": call.call_type,
                "call_id": call.call_id,
                "call_session_id": call.call_session_id,
                "call_started_at": self._wire.format_datetime(call.started_at),
                "call_ended_at": self._wire.format_datetime(visibility.ended_at(call, now)),
                "generated_at": self._wire.format_datetime(visibility.generated_at(call, now)),
                "counts": self._lookup.totals(call, now),
            }
        )
        return with_overrides(row, call.extra, call.omit)

    def _session(self, call: CallSpec, now: int) -> Json:
        return without_none(
            {
                "id": call.call_session_id,
                "started_at": self._wire.format_datetime(call.started_at),
                "participants": [],
                "participants_count_by_role": {},
                "anonymous_participant_count": 0,
                "rejected_by": {},
                "accepted_by": {},
                "missed_by": {},
                "ended_at": self._wire.format_datetime(visibility.ended_at(call, now)),
            }
        )

    def _stay_row(self, stay: StaySpec, now: int) -> Json:
        row = without_none(
            {
                "user_id": stay.user_id,
                "user_session_id": stay.user_session_id,
                "joined_at": self._wire.format_datetime(stay.joined_at),
                "left_at": self._wire.format_datetime(visibility.left_at(stay, now)),
                "publisher_type": stay.publisher_type,
                "roles": list(stay.roles),
                "duration_in_seconds": visibility.duration_seconds(stay, now),
            }
        )
        return with_overrides(row, stay.extra, stay.omit)

    def _user_row(self, call: CallSpec, user: str, stays: list[StaySpec], now: int) -> Json:
        ends = [visibility.left_at(stay, now) for stay in stays]
        return without_none(
            {
                "user_id": user,
                "roles": list(stays[0].roles),
                "name": stays[0].name,
                "latest_activity_at": self._wire.format_datetime(max(now if end is None else end for end in ends)),
                "sessions": [self._user_session(call, stay, now) for stay in stays],
            }
        )

    def _user_session(self, call: CallSpec, stay: StaySpec, now: int) -> Json:
        client = stay.client or ClientSpec()
        return without_none(
            {
                "user_session_id": stay.user_session_id,
                "publisher_type": stay.publisher_type,
                "is_live": visibility.is_live(call, stay, now),
                "started_at": self._wire.format_datetime(visibility.joined_at(call, stay)),
                "published_tracks": visibility.published_flags(call, stay, now),
                "ended_at": self._wire.format_datetime(visibility.left_at(stay, now)),
                "sdk": client.name,
                "sdk_version": client.version,
                "current_ip": client.ip,
                "current_sfu": stay.sfu,
                "latency_ms": stay.latency_ms,
                "jitter_ms": stay.jitter_ms,
                "freezes_duration_ms": stay.freezes_duration_ms,
                "cq_score": stay.cq_score,
                "location": location_json(client.location) if client.location else None,
            }
        )


def _all_hold(conditions: tuple[Condition, ...], values: Json) -> bool:
    return all(condition.holds(values) for condition in conditions)


def _rating_row(call: CallSpec, stay: StaySpec, rating: RatingSpec) -> Json:
    client = stay.client or ClientSpec()
    row = without_none(
        {
            "cid": call.cid,
            "session_id": call.call_session_id,
            "user_id": stay.user_id,
            "rating": rating.rating,
            "reason": rating.reason,
            "sdk": client.name or "",
            "sdk_version": client.version or "",
            "platform": {
                "browser": {"name": "", "version": ""},
                "device": {"name": "", "version": ""},
                "os": {"architecture": "", "name": "", "version": ""},
            },
            "custom": dict(rating.custom) if rating.custom else None,
        }
    )
    return with_overrides(row, rating.extra, frozenset())


def _stay_filter_values(call: CallSpec, stay: StaySpec, now: int) -> Json:
    """Return the values of a stay that filters compare."""
    return {
        "is_live": visibility.is_live(call, stay, now),
        "is_tech_user": False,
        "published_tracks": frozenset(track.track_type for track in visibility.visible_tracks(call, stay, now)),
        "publisher_type": stay.publisher_type,
        "session_id": stay.user_session_id,
        "user_id": stay.user_id,
    }
