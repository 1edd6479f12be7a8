"""A day of calls for tests of details and timelines: a host whose video gets lost on the way, and people who watch."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pipeline.emulator import CallSpec, EventSpec, LossSpec, Points, StaySpec, TrackSpec, World

DAY = date(2026, 3, 1)
START = datetime(2026, 3, 1, 10, tzinfo=UTC)
AFTERWARDS = START + timedelta(days=2)
SENT = 1_000_000
"""Bits per second of every camera."""


def person(user: str, minutes: int, *, publishes: bool = False, framerate: float = 30, **given: Any) -> StaySpec:
    """Return someone who stays to the end, and has a camera if they publish."""
    points = Points.every(10, START, bitrate=[SENT] * (6 * minutes), framerate=[framerate] * (6 * minutes))
    tracks = (TrackSpec("cam", "video", "vp8", points),) if publishes else ()
    end = START + timedelta(minutes=minutes)
    return StaySpec(user, f"{user}-1", joined_at=START, left_at=end, tracks=tracks, **given)


def call(
    name: str,
    *,
    minutes: int = 20,
    framerate: float = 30,
    losses: dict[str, LossSpec] | None = None,
    events: dict[str, tuple[EventSpec, ...]] | None = None,
    watching: int = 2,
    **given: Any,
) -> CallSpec:
    """Return a call of a host and people who watch; `losses` and `events` by user."""
    people = [person("host", minutes, publishes=True, framerate=framerate)]
    people += [person(f"viewer-{number}", minutes) for number in range(watching)]
    people = [
        replace(
            one,
            losses=(losses[one.user_id],) if losses and one.user_id in losses else (),
            events=(events or {}).get(one.user_id, ()),
        )
        for one in people
    ]
    return CallSpec(
        "default",
        name,
        f"{name}-1",
        started_at=START,
        ended_at=START + timedelta(minutes=minutes),
        participants=tuple(people),
        **given,
    )


def loss(where: str, share: float = 0.5, *, since: int = 5, until: int = 10) -> LossSpec:
    """Return a loss from one minute of the calls to another."""
    return LossSpec(START + timedelta(minutes=since), START + timedelta(minutes=until), where, share)


def event(minute: float, kind: str, *, severity: str = "info", **data: Any) -> EventSpec:
    """Return an event so many minutes after the start of the calls."""
    return EventSpec(START + timedelta(minutes=minute), kind, severity, tuple(data.items()))


def world(*calls: CallSpec) -> World:
    """Return a world of these calls."""
    return World(calls)
