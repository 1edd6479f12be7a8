"""What a page shows of one call session, as frozen values: the call, its stays, their tracks.

How they are read from the database is in `content`. How they are drawn is in `timeline` and `stay_chart`, how they are
written in `facts` and `sentences`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.serving.report.sides import Way

__all__ = [
    "EVERYWHERE",
    "Around",
    "CallContent",
    "CallSession",
    "LostTime",
    "MetricArrays",
    "Row",
    "Span",
    "StayContent",
    "TrackContent",
]

Row = Mapping[str, Any]
EVERYWHERE = ("everywhere", "all")
"""The dimension and value of all stays."""

Span = tuple[datetime, datetime]
"""A stretch of time, [since, until)."""


@dataclass(frozen=True)
class CallSession:
    """The ids of one call session: the four columns that every table starts with."""

    session_date: date
    call_type: str
    call_id: str
    call_session_id: str


@dataclass(frozen=True)
class MetricArrays:
    """The metrics of a track as arrays.

    Attributes:
        instants: microseconds since 1970 (UTC), in order.
        values: by metric (bitrate, framerate, height) a value at each instant, NaN if the metric has none.
    """

    instants: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class TrackContent:
    """A published track.

    Attributes:
        label: its name on the page, such as "T1 camera".
        quality: its row of `track_quality`, with `first_point_at` and `last_point_at`.
        metrics: its points; None if it has none.
    """

    label: str
    quality: Row
    metrics: MetricArrays | None


@dataclass(frozen=True)
class LostTime:
    """A stretch of a stay without a response that could be loaded: windows of one state that follow one another."""

    state: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class StayContent:
    """One stay, with what the page shows of it.

    Attributes:
        number: its number on the page, from 1; the worst stay comes first.
        quality: its row of `participant_quality`.
        facts: its row of `participant_sessions`.
        stay_number: which stay of its user this is, from 1.
        stays: how many stays its user has.
        tracks: its tracks, worst first. Empty if the stay has no charts.
        spans: stretches with data by kind of track. Empty, as is what follows, if the stay is only in the table.
        warnings: warnings on all tracks, oldest first.
        windows: windows without a response that could be loaded, oldest first.
        ways: what it sent and received, with both sides, as far as participant details exist; most lossy first.
        events: its participant timeline, oldest first; events without an instant come last.
    """

    number: int
    quality: Row
    facts: Row
    stay_number: int
    stays: int
    tracks: tuple[TrackContent, ...] = ()
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    warnings: tuple[Row, ...] = ()
    windows: tuple[Row, ...] = ()
    ways: tuple[Way, ...] = ()
    events: tuple[Row, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """The ids of the stay within the call session."""
        return self.facts["user_id"], self.facts["user_session_id"]

    @property
    def name(self) -> str:
        """The user, and which of their stays it is if they have several."""
        return f"{self.facts['user_id']}{self.ordinal}"

    @property
    def ordinal(self) -> str:
        """Which stay of its user it is, such as " (1 of 2)"; empty if it is the only one."""
        return f" ({self.stay_number} of {self.stays})" if self.stays > 1 else ""

    @property
    def is_poor(self) -> bool:
        """Whether its worst track is poor."""
        return bool(self.quality["class"] == "poor")

    @property
    def lost_time(self) -> list[LostTime]:
        """The stretches without a response that could be loaded, oldest first."""
        merged: list[LostTime] = []
        for window in self.windows:
            lost = LostTime(window["state"], window["since"], window["until"])
            if merged and merged[-1].state == lost.state and merged[-1].until == lost.since:
                lost = replace(lost, since=merged.pop().since)
            merged.append(lost)
        return merged

    @property
    def all_spans(self) -> Iterator[Span]:
        """The spans of all kinds of tracks."""
        for spans in self.spans.values():
            yield from spans


@dataclass(frozen=True)
class Around:
    """What is known of the time, the day, the people and the clients of a call session.

    Attributes:
        day: the row of `around_day.sql`.
        incidents: rows of `around_incidents.sql`.
        values: dimensions and values that the poor stays have, with `EVERYWHERE` first; empty if none is poor.
        shares: by dimension and value the row of `around_shares.sql`; None if the day has too many stays to count, and
            no row if there is no other judged stay.
        earlier: by poor user the row of `around_earlier.sql`; no row if there is no earlier judged stay.
        releases: by client name and version the row of `around_releases.sql`; None if the database has too many stays
            to compare, and no row if there is no lower version.
    """

    day: Row
    incidents: Sequence[Row] = ()
    values: Sequence[tuple[str, str]] = ()
    shares: Mapping[tuple[str, str], Row] | None = field(default_factory=dict)
    earlier: Mapping[str, Row] = field(default_factory=dict)
    releases: Mapping[str, Row] | None = field(default_factory=dict)


@dataclass(frozen=True)
class CallContent:
    """What a page shows of one call session.

    Attributes:
        session: its row of `call_sessions`.
        quality: its row of `call_quality`.
        completeness: its row of `ingest_completeness_by_call`; all values are None if it has none.
        participant: the user that the page is about; None if it is about all.
        stays: all stays, or those of the participant, worst first.
        shown: how many of them are on the timeline.
        charted: how many of them have charts.
        low_framerates: by kind of track, the frame rate under which it is low.
        min_bitrates: by kind of track, the mean bitrate under which it is poor, in the unit of the source.
        around: what is known around the call.
    """

    session: Row
    quality: Row
    completeness: Row
    participant: str | None
    stays: tuple[StayContent, ...]
    shown: int
    charted: int
    low_framerates: Mapping[str, float]
    min_bitrates: Mapping[str, float]
    around: Around

    @property
    def session_ids(self) -> CallSession:
        """The ids of the call session."""
        return CallSession(**{name: self.session[name] for name in CallSession.__annotations__})
