"""The uniform world: equal calls, for benchmarks whose figures must mean something.

Here: ``uniform_calls``. With the defaults a day has 80 calls of 10 people and 55 minutes, 1,600 windows of 1,650
points on average. Not here: anything unusual (``world_odd``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from .series import Level, Signal
from .specs import CallSpec, ClientSpec, LocationSpec, StaySpec, TrackSpec

CLIENT = ClientSpec(
    name="web",
    version="1.8.0",
    ip="192.0.2.10",
    network_type="wifi",
    location=LocationSpec("Amsterdam", "North Holland", "Netherlands", "NL", "Europe", 52.37, 4.89, 20_000),
)


def uniform_calls(day: date, calls: int, people: int, minutes: float, step_seconds: int) -> Iterator[CallSpec]:
    """The calls of one day, spread evenly over its first 22 hours so that all of them end on it."""
    midnight = datetime.combine(day, time(), UTC)
    audio = Signal((Level(32_000),), step_seconds)
    levels = (Level(1_500_000, 30, 1280, 720, weight=6), Level(700_000, 24, 640, 360, weight=2))
    video = Signal(levels, step_seconds)
    length = timedelta(minutes=minutes)
    for number in range(calls):
        started = midnight + timedelta(seconds=number * 22 * 3600 // calls)
        stays = tuple(
            StaySpec(
                user_id=f"user-{person:03d}",
                user_session_id=f"us-{number:04d}-{person:03d}",
                joined_at=started,
                left_at=started + length,
                client=CLIENT,
                tracks=(
                    TrackSpec(f"audio-{person:03d}", "audio", "opus", audio),
                    TrackSpec(f"video-{person:03d}", "video", "vp8", video),
                ),
            )
            for person in range(people)
        )
        yield CallSpec(
            call_type="default",
            call_id=f"call-{day:%Y%m%d}-{number:04d}",
            call_session_id=f"session-{day:%Y%m%d}-{number:04d}",
            started_at=started,
            ended_at=started + length,
            participants=stays,
            cq_score=90,
        )
