"""Both sides of a connection: what a publisher sent, what a viewer received, and where it got lost.

A place is named only if both sides are there and say so; everything else is `UNKNOWN`. The rules are in `place_of`, in
this order of evidence. Packets that one side reports as lost were lost on that side's link. If neither reports a loss,
and yet much less of the one encoding arrived than was sent, the server did not forward it.

The minutes come from `sql/sides.sql`. How they are drawn is in `sides_chart`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from pipeline.planning.problems import counted
from pipeline.serving.formatting import clock

__all__ = ["FINE", "LOSS_PERCENT", "RECEIVED_SHARE", "UNKNOWN", "Way", "place_of", "sentences_of", "ways_of"]

Row = Mapping[str, Any]

LOSS_PERCENT = 2.0
"""Percent of packets, on average over a minute, from which on a link loses. Video copes with less by sending again."""

RECEIVED_SHARE = 0.8
"""Share of the bitrate sent under which too little arrived. Both sides are averages, and begin and end apart."""

FINE = "nothing"
UNKNOWN = "unknown"

UPLINK, SERVER, DOWNLINK = "publisher's uplink", "server", "subscriber's downlink"


@dataclass(frozen=True)
class Way:
    """The way of one kind of track from a publisher to a viewer.

    Attributes:
        publisher: user who sent it.
        publisher_session: their stay; None if not known.
        viewer: user who received it; None if no viewer's details are there.
        viewer_session: their stay.
        track_type: kind of track, as received.
        minutes: rows of `sides.sql`, oldest first.
    """

    publisher: str
    publisher_session: str | None
    viewer: str | None
    viewer_session: str | None
    track_type: str
    minutes: Sequence[Row]

    @property
    def name(self) -> str:
        """Who sent what to whom, in words."""
        return f"{self.track_type} from {self.publisher} to {self.viewer or 'viewers without details'}"

    @property
    def places(self) -> list[tuple[datetime, tuple[str, ...]]]:
        """The minutes, and where media got lost in each."""
        return [(row["minute"], place_of(row)) for row in self.minutes]

    @property
    def bad_minutes(self) -> int:
        """Minutes in which something got lost."""
        return sum(places not in ((FINE,), (UNKNOWN,)) for _, places in self.places)

    def concerns(self, session: str) -> bool:
        """Whether a stay is on one of its ends."""
        return session in (self.publisher_session, self.viewer_session)


def ways_of(found: Iterable[Row]) -> list[Way]:
    """Return the ways in rows of `sides.sql`, those with the most bad minutes first."""

    def ids(row: Row) -> tuple[Any, ...]:
        names = ("publisher_user_id", "publisher_user_session_id", "user_id", "user_session_id", "track_type")
        return tuple(row[name] for name in names)

    ways = []
    for (publisher, publisher_session, viewer, viewer_session, track_type), rows in groupby(found, ids):
        ways.append(Way(publisher, publisher_session, viewer, viewer_session, track_type, tuple(rows)))
    return sorted(ways, key=lambda way: -way.bad_minutes)


def place_of(row: Row) -> tuple[str, ...]:
    """Return where media got lost in one minute: `FINE`, `UNKNOWN`, or one place or more."""
    if row["sent"] is None or row["received"] is None:
        return (UNKNOWN,)
    links = [
        place
        for place, loss in ((UPLINK, row["sent_loss"]), (DOWNLINK, row["received_loss"]))
        if loss is not None and loss >= LOSS_PERCENT
    ]
    if links:
        return tuple(links)
    is_comparable = row["encodings"] == 1 and row["sent_unit"] == row["received_unit"]
    knows_losses = row["sent_loss"] is not None and row["received_loss"] is not None
    if is_comparable and row["received"] < RECEIVED_SHARE * row["sent"]:
        return (SERVER,) if knows_losses else (UNKNOWN,)
    return (FINE,) if is_comparable or knows_losses else (UNKNOWN,)


def sentences_of(ways: Sequence[Way], started_at: datetime) -> list[str]:
    """Return one sentence per way: where it got lost, for how long, and since when."""
    return [f"{way.name[0].upper()}{way.name[1:]}: {_verdict(way, started_at)}." for way in ways]


def _verdict(way: Way, started_at: datetime) -> str:
    minutes = Counter(place for _, places in way.places for place in places)
    first: dict[str, datetime] = {}
    for minute, places in way.places:
        for place in places:
            first.setdefault(place, minute)
    total = counted(len(way.minutes), "minute")
    parts = [
        f"lost on the {place} in {minutes[place]} of {total}, first at {clock(first[place], started_at)} UTC"
        for place in (UPLINK, SERVER, DOWNLINK)
        if minutes[place]
    ]
    if unknown := minutes[UNKNOWN]:
        parts.append(f"unknown in {unknown} of {total} ({_missing(way)})")
    return "; ".join(parts) or f"nothing got lost in {total}"


def _missing(way: Way) -> str:
    if all(row["sent"] is None for row in way.minutes):
        return "the publisher's side is missing"
    if all(row["received"] is None for row in way.minutes):
        return "the subscriber's side is missing"
    if any(row["sent"] is None or row["received"] is None for row in way.minutes):
        return "one side is missing"
    return "the sides do not say enough"
