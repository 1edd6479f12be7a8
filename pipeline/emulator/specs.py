"""Specs: the frozen values a world is made of: calls, the stays in them, the tracks of a stay.

Here: what happened, as the author of a world wants it. Not here: when it can be seen (``visibility``), how it is
answered (``answers``), and ready-made worlds (``world_odd``, ``world_uniform``, ``world_demo``).

All instants carry a zone. ``extra`` adds fields the documentation does not know; ``omit`` names documented but optional
fields to leave out of the answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .series import Points, Series

Extra = tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class LocationSpec:
    """Where a participant was, as the source derives it from an address. Degrees, and metres for the radius."""

    city: str | None = None
    subdivision: str | None = None
    country: str | None = None
    country_iso_code: str | None = None
    continent: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    accuracy_radius_meters: int | None = None


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """What a participant joined with. A field that is None is left out of the answer."""

    name: str | None = None
    version: str | None = None
    ip: str | None = None
    network_type: str | None = None
    location: LocationSpec | None = None
    extra: Extra = ()


@dataclass(frozen=True, slots=True)
class WarningSpec:
    """A warning on a track.

    Attributes:
        at: when; None leaves the time out of the answer, and the warning is given with every window of the track.
        code: free text.
        warning: free text.
        sticky: given with every window of the track, not only with the one its time lies in.
    """

    at: datetime | None
    code: str
    warning: str
    sticky: bool = False


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """A published track.

    Attributes:
        track_id: free text.
        track_type: free text (``audio``, ``video``, ``screensharing``, ...).
        codec: free text, or None for null.
        points: what it measures.
        since: when it was published; None for the moment of joining.
        until: when it was unpublished; None for the moment of leaving.
        warnings: its warnings.
        report: number of the call's report (from 0) that first shows the track.
        late_from: points from here on are shown only with report ``late_report``.
        late_report: see ``late_from``.
        extra: unknown fields added to the track.
        omit: fields left out of the track.
    """

    track_id: str
    track_type: str = "video"
    codec: str | None = "vp8"
    points: Series = field(default_factory=Points)
    since: datetime | None = None
    until: datetime | None = None
    warnings: tuple[WarningSpec, ...] = ()
    report: int = 0
    late_from: datetime | None = None
    late_report: int = 1
    extra: Extra = ()
    omit: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StaySpec:
    """One user session: a user from joining to leaving. A user who comes back has another.

    Attributes:
        user_id: free text, at most 256 characters.
        user_session_id: free text, at most 256 characters.
        joined_at: None leaves it out of the answers; the stay then counts from the call's start.
        left_at: None while there, and on a call that has ended for a leave that was never recorded.
        publisher_type: free text.
        roles: free text each.
        is_publisher: None for "has a track that can be seen".
        is_subscriber: whether the participant received media.
        client: what they joined with; None leaves it out.
        tracks: what they published.
        name: display name (participant statistics only).
        latency_ms: milliseconds (participant statistics only), as jitter and freezes.
        jitter_ms: milliseconds.
        freezes_duration_ms: milliseconds.
        cq_score: the source's own score, 0 to 100.
        sfu: name of the media server.
        report: number of the call's report (from 0) that first shows the stay.
        extra: unknown fields added to the metrics answer and to the attendance row.
        omit: fields left out of the metrics answer and of the attendance row.
    """

    user_id: str
    user_session_id: str
    joined_at: datetime | None
    left_at: datetime | None = None
    publisher_type: str = "webrtc"
    roles: tuple[str, ...] = ("user",)
    is_publisher: bool | None = None
    is_subscriber: bool | None = True
    client: ClientSpec | None = None
    tracks: tuple[TrackSpec, ...] = ()
    name: str | None = None
    latency_ms: int | None = None
    jitter_ms: int | None = None
    freezes_duration_ms: int | None = None
    cq_score: int | None = None
    sfu: str | None = "sfu-1"
    report: int = 0
    extra: Extra = ()
    omit: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CallSpec:
    """One call session.

    Attributes:
        call_type: free text, at most 64 characters.
        call_id: free text, at most 64 characters.
        call_session_id: free text, at most 64 characters.
        started_at: when it started; it is there from then on.
        ended_at: None for a call that never ends.
        participants: the stays in it.
        reports: delays after the end at which a report is made; the first completes the call, later ones bring what
            their number is named in (``report``, ``late_report``).
        live_lag: while there is no report, how far behind the clock the newest visible point is.
        cq_score: the source's own score, 0 to 100; None leaves it out, as with the ratings.
        avg_user_rating: 1 to 5.
        min_user_rating: 1 to 5.
        call_event_count: events on the call.
        extra: unknown fields added to the call's row.
        omit: fields left out of the call's row.
    """

    call_type: str
    call_id: str
    call_session_id: str
    started_at: datetime
    ended_at: datetime | None = None
    participants: tuple[StaySpec, ...] = ()
    reports: tuple[timedelta, ...] = (timedelta(minutes=2),)
    live_lag: timedelta = timedelta(0)
    cq_score: int | None = None
    avg_user_rating: float | None = None
    min_user_rating: int | None = None
    call_event_count: int | None = None
    extra: Extra = ()
    omit: frozenset[str] = field(default_factory=frozenset)

    @property
    def cid(self) -> str:
        """The call's id with its type, as the API writes it."""
        return f"{self.call_type}:{self.call_id}"

    @property
    def ids(self) -> tuple[str, str, str]:
        """Type, id and session id: what names a call session."""
        return self.call_type, self.call_id, self.call_session_id
