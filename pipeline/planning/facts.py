"""What is known of call sessions, stays and listings: frozen values, in UTC. The rules over them are in `due`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.model import RETENTION, Call, Stay, Window

__all__ = ["Attendance", "CallFacts", "Listing", "StayFacts", "WindowRequest", "is_refusal", "is_unavailable"]


@dataclass(frozen=True, slots=True)
class CallFacts:
    """A call session.

    Attributes:
        call: its ids.
        started_at: None if the source does not say.
        ended_at: None while it is live.
        generated_at: when the source made its report.
        rated_at: when call_stats first reported the ratings that it reports now, by the source's clock; None if it
            reports none.
    """

    call: Call
    started_at: datetime | None
    ended_at: datetime | None
    generated_at: datetime | None
    rated_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether the call session had not ended when it was last fetched."""
        return self.ended_at is None

    @property
    def settled_at(self) -> datetime | None:
        """When the call session was settled: it has ended and its report is made. Responses fetched from then on are
        final. None while it is live.
        """
        if self.ended_at is None:
            return None
        return max(self.ended_at, self.generated_at or self.ended_at)

    @property
    def expires_at(self) -> datetime | None:
        """When the source drops the list of participants; None while the call session is live."""
        return self.ended_at + RETENTION if self.ended_at else None

    @property
    def urgency(self) -> tuple[datetime, Call]:
        """Sort key: call sessions that expire first come first, live ones last."""
        return self.ended_at or datetime.max.replace(tzinfo=UTC), self.call


@dataclass(frozen=True, slots=True)
class StayFacts:
    """A stay.

    Attributes:
        stay: its ids.
        call: its call session.
        joined_at: None if the source does not say.
        left_at: None if the user is still there, or if the source does not say.
        seen_at: when Call Attendance last listed the call session, by the source's clock.
        published: what participant statistics of the whole call say about the user; None if they cannot be trusted.
    """

    stay: Stay
    call: CallFacts
    joined_at: datetime | None
    left_at: datetime | None
    seen_at: datetime
    published: bool | None = None


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """One request for a window and its outcome.

    Attributes:
        window: the window that was requested.
        fetched_at: when the response came, by the source's clock.
        status: HTTP status; None if no response came.
        usable: whether the response can be read.
        publishes: whether it says that the user published anything; None if it is not usable.
    """

    window: Window
    fetched_at: datetime
    status: int | None
    usable: bool
    publishes: bool | None


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing, as far as its pages have landed.

    Attributes:
        id: the id that its pages share.
        began_at: when its first page was fetched, by the source's clock.
        pages: usable pages so far.
        next_cursor: where the next page starts; None after the last one.
        failed: whether the latest request of it failed.
        status: HTTP status of the latest response; None if none came.
    """

    id: str
    began_at: datetime
    pages: int = 0
    next_cursor: str | None = None
    failed: bool = False
    status: int | None = None

    @property
    def complete(self) -> bool:
        """Whether all pages have landed."""
        return self.pages > 0 and self.next_cursor is None and not self.failed

    @property
    def interrupted(self) -> bool:
        """Whether some pages have landed, and the next one can be requested."""
        return self.pages > 0 and self.next_cursor is not None and not self.failed

    @property
    def gone(self) -> bool:
        """Whether the source does not know the call session."""
        return self.status == 404

    @property
    def unavailable(self) -> bool:
        """Whether the source has no such list, for this app or this call session (403, 404)."""
        return is_unavailable(self.status)

    @property
    def refused(self) -> bool:
        """Whether the source refuses the request, now and later."""
        return is_refusal(self.status)


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who took part in one call session, in numbers, and the listings so far.

    Attributes:
        promised: stays that the source counts, without erased people.
        held: stays that have landed.
        listings: listings of Call Attendance, oldest first.
        stats_listings: listings of participant statistics, oldest first.
        ratings_listings: listings of user feedback, oldest first.
    """

    promised: int = 0
    held: int = 0
    listings: Sequence[Listing] = field(default=())
    stats_listings: Sequence[Listing] = field(default=())
    ratings_listings: Sequence[Listing] = field(default=())


def is_refusal(status: int | None) -> bool:
    """Return whether the source refused a request (4xx, such as 403 or 404), and will refuse it again."""
    return status is not None and 400 <= status < 500


def is_unavailable(status: int | None) -> bool:
    """Return whether the source has no such list, for this app or this call session (403, 404)."""
    return status in (403, 404)
