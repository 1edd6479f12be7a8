"""What is asked of the source and what came back: the values that go from `api.py` to `landing.py` and on.

Only values. How a request is sent is `api.py`'s business, how an answer is kept `landing.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, get_args

from pipeline.windows import Window

__all__ = ["ENDPOINTS", "LISTINGS", "PEOPLE", "Answer", "Call", "Endpoint", "Request", "Stay"]

Endpoint = Literal["call_stats", "participant_sessions", "participant_stats", "participant_metrics"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
"""Named after what they answer; the names of the folders under `raw/` too. In the order in which a day is fetched."""


PEOPLE: tuple[Endpoint, ...] = ("participant_sessions", "participant_stats")
"""Those that list people, call by call."""

LISTINGS: tuple[Endpoint, ...] = ("call_stats", *PEOPLE)
"""Those that answer in pages: all that is known before metrics are asked for."""


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One call session."""

    call_type: str
    call_id: str
    call_session_id: str


@dataclass(frozen=True, slots=True, order=True)
class Stay:
    """One stay of one user in a call session."""

    call: Call
    user_id: str
    user_session_id: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request, by what it is about.

    `session_date` is the UTC date on which the call session started. A listing of several pages has one `listing` id;
    `page` counts from 0, and `cursor` is the source's word for where the page starts. With `updated`, call_stats lists
    what was updated from the one instant to the other, both included (None: to now), of whatever day.
    """

    endpoint: Endpoint
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
            parts.append(f"{call.call_type}:{call.call_id} (session {call.call_session_id})")
        if self.window:  # of whom, is nobody's business who reads logs; `windows` has it
            parts.append(f"{self.window.since:%Y-%m-%d %H:%M:%S} to {self.window.until:%H:%M:%S}")
        if self.page:
            parts.append(f"page {self.page + 1}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request in the end.

    `body` is the body as received, decompressed; "" where none came. `status` is the HTTP status, None without an
    answer. `attempts` counts the requests sent, waits for the quota not among them. `fetched_at` is UTC by the source's
    clock. `error` is None for a usable answer, else a sentence. `next_cursor` is set where a listing goes on,
    and `publishes` tells of Participant Metrics whether the user published anything.
    """

    request: Request
    status: int | None
    body: str = field(repr=False)
    attempts: int
    fetched_at: datetime
    error: str | None = None
    next_cursor: str | None = None
    publishes: bool | None = None
