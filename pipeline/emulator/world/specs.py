"""The frozen values that a world is made of: call sessions, the stays in them, the tracks of a stay.

A spec holds what happened, as the author of a world wants it. When it becomes visible is decided in `visibility`, the
JSON is built in `pipeline.emulator.http`, and ready-made worlds are in `demo`, `odd` and `uniform`.

All datetimes carry a time zone. All ids are free text: at most 64 characters for those of a call session, 256 for those
of a stay. Three fields mean the same on every spec that has them:

- `extra`: fields that the documentation does not know, added to the JSON as (name, value) pairs.
- `omit`: names of documented but optional fields to leave out of the JSON.
- `report`: number of the call's report, from 0, that first shows the stay or the track.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .series import Points, Series

Extra = tuple[tuple[str, object], ...]
"""Additional JSON fields, as (name, value) pairs."""


@dataclass(frozen=True, slots=True)
class LocationSpec:
    """A participant's place, as the source derives it from the address. Degrees; metres for the radius."""

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
    """The app and the network of a participant. A field that is None is left out of the JSON."""

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
        at: its time; without one (None) the JSON has no time, and every window of the track carries the warning.
        code: free text.
        warning: free text.
        sticky: whether every window of the track carries the warning, and not only those that contain its time.
    """

    at: datetime | None
    code: str
    warning: str
    sticky: bool = False


@dataclass(frozen=True, slots=True)
class LossSpec:
    """A time in which part of a participant's media gets lost. Seen in participant details only.

    Attributes:
        since: its start, included.
        until: its end, excluded.
        where: `uplink` (what the participant sends), `server` (what the server forwards of it) or `downlink` (what the
            participant receives).
        share: share of the packets, 0 to 1.

    Raises:
        ValueError: there is no such place.
    """

    since: datetime
    until: datetime
    where: str
    share: float

    def __post_init__(self) -> None:
        if self.where not in ("uplink", "server", "downlink"):
            raise ValueError(f"where must be uplink, server or downlink, not {self.where!r}")


@dataclass(frozen=True, slots=True)
class EventSpec:
    """Something that happened to a participant. Seen in participant timelines only.

    Attributes:
        at: its time; without one (None) the JSON has no time.
        type: free text.
        severity: free text.
        data: what else it says, as (name, value) pairs.
        extra: see the module; added to the event.
    """

    at: datetime | None
    type: str
    severity: str = "info"
    data: Extra = ()
    extra: Extra = ()


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """A published track.

    Attributes:
        track_id: free text.
        track_type: free text (`audio`, `video`, `screensharing`, ...).
        codec: free text, or None for null.
        points: its data points.
        since: when it was published; None for the moment of joining.
        until: when it was unpublished; None for the moment of leaving.
        warnings: its warnings.
        report: see the module.
        late_from: points from this time on are visible only with report number `late_report`.
        late_report: see `late_from`.
        extra: see the module; added to the track.
        omit: see the module; left out of the track.
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

    @property
    def ids(self) -> tuple[str, str]:
        """The key of the track within a stay: its id and its type. Two types may share an id."""
        return self.track_id, self.track_type


@dataclass(frozen=True, slots=True)
class RatingSpec:
    """A rating that a user gave to the call session.

    Attributes:
        at: when it was given; it is listed from then on.
        rating: 1 to 5.
        reason: free text.
        custom: what the app added, as (name, value) pairs.
        extra: see the module; added to the row.
    """

    at: datetime
    rating: int
    reason: str = ""
    custom: Extra = ()
    extra: Extra = ()


@dataclass(frozen=True, slots=True)
class StaySpec:
    """One user's presence in a call session, from joining to leaving. A user who comes back has another stay.

    Attributes:
        user_id: free text.
        user_session_id: free text.
        joined_at: None leaves it out of the JSON; the stay then counts from the call's start.
        left_at: None while the user is there. On a call that has ended, None is a leave that was never recorded.
        publisher_type: free text.
        roles: free text each.
        is_publisher: None for "has a visible track".
        is_subscriber: whether the participant received media.
        client: the app and the network; None leaves it out.
        tracks: the published tracks.
        name: display name (Participant Statistics only).
        latency_ms: milliseconds (Participant Statistics only, like the three that follow).
        jitter_ms: milliseconds.
        freezes_duration_ms: milliseconds.
        cq_score: the source's own score, 0 to 100.
        sfu: name of the media server.
        losses: times in which media of the participant gets lost.
        ratings: the ratings that the user gave to the call session after this stay.
        events: events of the timeline, beside those that follow from the stay and its tracks.
        report: see the module.
        extra: see the module; added to the metrics document and to the attendance row.
        omit: see the module; left out of the metrics document and of the attendance row.
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
    losses: tuple[LossSpec, ...] = ()
    ratings: tuple[RatingSpec, ...] = ()
    events: tuple[EventSpec, ...] = ()
    report: int = 0
    extra: Extra = ()
    omit: frozenset[str] = frozenset()

    @property
    def ids(self) -> tuple[str, str]:
        """The key of the stay within a call session: its user and its user session."""
        return self.user_id, self.user_session_id


@dataclass(frozen=True, slots=True)
class CallSpec:
    """One call session.

    Attributes:
        call_type: free text.
        call_id: free text.
        call_session_id: free text.
        started_at: when it started; it is visible from then on.
        ended_at: None for a call that never ends.
        participants: the stays in it.
        reports: delays after the end at which a report is made. The first completes the call. Later ones show the
            stays, tracks and points that name their number (`report`, `late_report`).
        live_lag: how far the newest visible point is behind the clock while there is no report.
        cq_score: the source's own score, 0 to 100; None leaves it out.
        avg_user_rating: 1 to 5; None for that of the ratings given until the latest report, if there are any.
        min_user_rating: likewise.
        call_event_count: number of events of the call; None leaves it out.
        extra: see the module; added to the call's row.
        omit: see the module; left out of the call's row.
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
    omit: frozenset[str] = frozenset()

    @property
    def cid(self) -> str:
        """The call's type and id, as the API writes them: `type:id`."""
        return f"{self.call_type}:{self.call_id}"

    @property
    def ids(self) -> tuple[str, str, str]:
        """The key of the call session: type, id and session id."""
        return self.call_type, self.call_id, self.call_session_id
