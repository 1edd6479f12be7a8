"""The document of a participant timeline: what happened to one stay.

Its shape is that of `QueryCallSessionParticipantStatsTimelineResponse` in Stream's own client. Types, severities and
data of events are not documented; those here are ours. Joining, leaving, publishing, warnings and the loss of packets
follow from the world. Other events are scripted with `EventSpec`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..world import visibility
from ..world.specs import CallSpec, EventSpec, StaySpec
from ..world.timestamps import from_micros, to_micros
from .document_parts import Json, with_overrides
from .lookup import Lookup
from .parameters import parse_timeline_span
from .request_log import ApiRequest
from .wire_format import WireFormat

CRITICAL_SHARE: Final = 0.5
"""Share of lost packets from which on their loss is critical."""


class TimelineDocument:
    """Builds the document from a world."""

    def __init__(self, lookup: Lookup, wire: WireFormat) -> None:
        self._lookup = lookup
        self._wire = wire

    def participant_timeline(self, request: ApiRequest) -> Json:
        """Return the document; raise `ApiError` if a parameter is wrong or the stay does not exist.

        Events come in the order of time, those without one last.
        """
        now = to_micros(request.at)
        call = self._lookup.call(request.ids, now)
        stay = self._lookup.stay(call, request.ids, now)
        since, until = parse_timeline_span(request.query)
        severities = set(filter(None, request.query.get("severity", "").split(",")))
        events = [
            event
            for event in _events(call, stay, now)
            if (not severities or event.severity in severities) and _is_within(event, since, min(until, now))
        ]
        return {
            "duration": "1.00ms",
            **{name: request.ids[name] for name in ("call_type", "call_id", "call_session_id")},
            "user_id": stay.user_id,
            "user_session_id": stay.user_session_id,
            "events": [self._event(event) for event in sorted(events, key=_order)],
        }

    def _event(self, event: EventSpec) -> Json:
        fields: Json = {"type": event.type, "severity": event.severity, "data": dict(event.data)}
        if event.at is not None:
            fields["timestamp"] = self._wire.format_datetime(event.at)
        return with_overrides(fields, event.extra)


def _events(call: CallSpec, stay: StaySpec, now: int) -> Iterator[EventSpec]:
    """Yield the events of a stay up to now."""
    yield from stay.events
    yield EventSpec(from_micros(visibility.joined_at(call, stay)), "participant_joined")
    if (left := visibility.left_at(stay, now)) is not None:
        yield EventSpec(from_micros(left), "participant_left")
    for track in visibility.visible_tracks(call, stay, now):
        named = (("track_id", track.track_id), ("track_type", track.track_type))
        published, _ = visibility.visible_span(call, stay, track, now)
        yield EventSpec(from_micros(published), "track_published", data=named)
        for warning in track.warnings:
            data = (*named, ("code", warning.code), ("warning", warning.warning))
            yield EventSpec(warning.at, "track_warning", "warning", data)
    for loss in stay.losses:
        severity = "critical" if loss.share >= CRITICAL_SHARE else "warning"
        lost = (("where", loss.where), ("packet_loss_percent", 100 * loss.share))
        yield EventSpec(loss.since, "packet_loss", severity, lost)


def _is_within(event: EventSpec, since: int, until: int) -> bool:
    return event.at is None or since <= to_micros(event.at) <= until


def _order(event: EventSpec) -> tuple[bool, int, str]:
    return event.at is None, 0 if event.at is None else to_micros(event.at), event.type
