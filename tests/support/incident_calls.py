"""An incident served over HTTP: calls on the emulator, and people of one media server who get worse for ten minutes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pipeline.emulator import CallSpec, ClientSpec, LocationSpec, Points, StaySpec, TrackSpec, World

DAY = date(2026, 3, 1)
START = datetime(2026, 3, 1, 10, tzinfo=UTC)
SINCE, UNTIL = START + timedelta(minutes=15), START + timedelta(minutes=25)
AFTERWARDS = datetime(2026, 3, 4, 12, tzinfo=UTC)

CALLS, PEOPLE, MINUTES, STEP = 20, 2, 30, 20
"""Calls, people in each, their length in minutes, and the seconds between two points."""

SERVER = "sfu-2"
"""The media server with the incident. Every second call is on it, and one person of each of these calls is affected."""


def incident_world() -> World:
    """Return the calls. Everyone has a network of their own."""
    return World(tuple(_call(number) for number in range(CALLS)))


def _call(number: int) -> CallSpec:
    ends = START + timedelta(minutes=MINUTES)
    server = SERVER if number % 2 else "sfu-1"
    stays = tuple(
        StaySpec(
            f"user-{number}-{place}",
            f"stay-{number}-{place}",
            START,
            ends,
            client=ClientSpec("web", "6.3.0", f"10.0.{number}.{place}", "wifi", LocationSpec("Oslo", country="Norway")),
            tracks=(_camera(is_affected=server == SERVER and place == 0),),
            sfu=server,
        )
        for place in range(PEOPLE)
    )
    return CallSpec("default", f"call-{number}", f"session-{number}", START, ends, stays)


def _camera(*, is_affected: bool) -> TrackSpec:
    instants = [START + timedelta(seconds=after) for after in range(0, 60 * MINUTES, STEP)]
    rates = [5 if is_affected and SINCE <= instant < UNTIL else 30 for instant in instants]
    points = Points.every(STEP, START, bitrate=[1_500_000] * len(rates), framerate=rates)
    return TrackSpec("cam", "video", "vp8", points)
