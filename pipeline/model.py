"""The values that pass between the rooms: call sessions, stays, windows, requests and responses.

Values only. What the endpoints are is in `endpoints`; how a request is sent is in `extract`, how a response is kept in
`landing`, which windows should exist in `planning`. Instants are aware datetimes in UTC, exact to the microsecond.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from pipeline.endpoints import EndpointName

__all__ = ["RETENTION", "Call", "Request", "Response", "Stay", "Window"]

RETENTION = timedelta(days=90)
"""How long after a call session's end Stream still lists who took part (Stream's documentation of Call Attendance)."""


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One call session."""

    call_type: str
    call_id: str
    call_session_id: str

    @property
    def key(self) -> tuple[str, str, str]:
        """The ids, in the order of `schema.CALL_KEY`."""
        return self.call_type, self.call_id, self.call_session_id

    def __str__(self) -> str:
        return f"{self.call_type}:{self.call_id} (session {self.call_session_id})"


@dataclass(frozen=True, slots=True, order=True)
class Stay:
    """One user in a call session, from joining to leaving. A user who rejoins has another stay."""

    call: Call
    user_id: str
    user_session_id: str

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """The ids, in the order of `schema.STAY_KEY`."""
        return *self.call.key, self.user_id, self.user_session_id


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span of time, [since, until), in UTC. `since == until` for a stay of no length."""

    since: datetime
    until: datetime

    def covers(self, other: Window) -> bool:
        """Return whether every instant of `other` is in this window."""
        return self.since <= other.since and other.until <= self.until


@dataclass(frozen=True, slots=True)
class Request:
    """One request, described by its subject.

    Attributes:
        endpoint: the endpoint to request.
        session_date: UTC date on which the call session started.
        call: the call session, for the endpoints that list people.
        stay: the stay, for Participant Metrics, participant details and participant timelines.
        window: the window, for these three; of a timeline the whole stay.
        listing: id that all pages of one listing share.
        page: number of the page, from 0.
        cursor: where the page starts, as the source gave it with the page before.
        updated: for call_stats: list call sessions updated from the first to the second instant (None: until now),
            both included, of any day.
    """

    endpoint: EndpointName
    session_date: date
    call: Call | None = None
    stay: Stay | None = None
    window: Window | None = None
    listing: str | None = None
    page: int = 0
    cursor: str | None = None
    updated: tuple[datetime, datetime | None] | None = None

    def __str__(self) -> str:
        call = self.stay.call if self.stay else self.call
        parts = [self.endpoint, str(self.session_date)]
        if call:
            parts.append(str(call))
        if self.window:  # without the user: logs are personal data too. The table `windows` has it.
            parts.append(f"{self.window.since:%Y-%m-%d %H:%M:%S} to {self.window.until:%H:%M:%S}")
        if self.page:
            parts.append(f"page {self.page + 1}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Response:
    """The outcome of a request, after all retries.

    Attributes:
        request: the request.
        status: HTTP status of the last attempt; None if no response came.
        body: body as received, decompressed; "" if none came.
        attempts: requests sent, not counting waits for the quota.
        fetched_at: when it came, in UTC by the source's clock.
        error: None if the response is usable, else a sentence.
        next_cursor: where the next page starts; None on the last page.
        publishes: of Participant Metrics: whether the user published anything.
    """

    request: Request
    status: int | None
    body: str = field(repr=False)
    attempts: int
    fetched_at: datetime
    error: str | None = None
    next_cursor: str | None = None
    publishes: bool | None = None
