"""The uniform world: equal calls of equal people, for benchmarks with comparable figures.

With the defaults a day has 80 calls of 10 people and 55 minutes: 1,600 windows of 1,650 points on average. Anything
unusual is in `odd`.
"""

from __future__ import annotations

from datetime import date, timedelta

from .series import Level, Signal
from .specs import CallSpec, ClientSpec, LocationSpec, StaySpec, TrackSpec
from .timestamps import midnight
from .world import World

CLIENT = ClientSpec(
    name="web",
    version="1.8.0",
    ip="192.0.2.10",
    network_type="wifi",
    location=LocationSpec("Amsterdam", "North Holland", "Netherlands", "NL", "Europe", 52.37, 4.89, 20_000),
)


def uniform_world(
    day: date, calls: int = 80, people: int = 10, minutes: float = 55, step_seconds: int = 5, seed: int = 0
) -> World:
    """Return equal calls on one day, each participant with a camera and a microphone.

    The calls start evenly over the first 22 hours of the day, so that they all end on it.

    Args:
        day: the day in UTC.
        calls: number of calls.
        people: participants of each call.
        minutes: length of each call.
        step_seconds: seconds between two points of a track.
        seed: another seed gives other values.
    """
    audio = Signal((Level(32_000),), step_seconds)
    levels = (Level(1_500_000, 30, 1280, 720, weight=6), Level(700_000, 24, 640, 360, weight=2))
    video = Signal(levels, step_seconds)
    specs = []
    for number in range(calls):
        started = midnight(day) + timedelta(seconds=number * 22 * 3600 // calls)
        ended = started + timedelta(minutes=minutes)
        stays = tuple(
            StaySpec(
                user_id=f"user-{person:03d}",
                user_session_id=f"us-{number:04d}-{person:03d}",
                joined_at=started,
                left_at=ended,
                client=CLIENT,
                tracks=(
                    TrackSpec(f"audio-{person:03d}", "audio", "opus", audio),
                    TrackSpec(f"video-{person:03d}", "video", "vp8", video),
                ),
            )
            for person in range(people)
        )
        specs.append(
            CallSpec(
                call_type="default",
                call_id=f"call-{day:%Y%m%d}-{number:04d}",
                call_session_id=f"session-{day:%Y%m%d}-{number:04d}",
                started_at=started,
                ended_at=ended,
                participants=stays,
                cq_score=90,
            )
        )
    return World(tuple(specs), seed)
