"""The workshops of the demo's product: many people who are there once, a release that is worse, and an incident.

- Version 6.4.0 of the web app, which more people have every day, stalls the camera of one in five. Before it, in 6.3.0,
  one in 25 had a bad connection.
- On the newest whole day, from 14:05 to 14:15 UTC, the media server `sfu-2` is overloaded: six in ten of its publishers
  drop to a few frames per second. People on the other servers, in the same workshops, do not. What the affected still
  send gets lost in the server by a third, which participant details show.

What else happens in the demo is in `demo`, which also says where everyone is.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator
from datetime import date, datetime, timedelta
from typing import Final

from .series import Episode, Level, Signal
from .specs import CallSpec, ClientSpec, LocationSpec, LossSpec, StaySpec, TrackSpec, WarningSpec
from .timestamps import midnight

PEOPLE: Final = 20
"""People in a workshop. All of them publish."""

MINUTES: Final = 25
STEP_SECONDS: Final = 15
"""Seconds between points."""

STARTS: Final = (
    *((hour, minute) for hour in (8, 9, 10, 11) for minute in (0, 10)),
    *[(13, 50)] * 5,
    *((hour, 30) for hour in (15, 16, 17)),
)
"""Hours and minutes (UTC) at which workshops start. Five of them are there during the incident."""

INCIDENT: Final = (timedelta(hours=14, minutes=5), timedelta(minutes=10))
"""When the incident begins, after midnight, and how long it takes."""

SERVERS: Final = ("sfu-1", "sfu-2", "sfu-3")

NETWORKS: Final = (("wifi", 0, 0.45), ("wifi", 3, 0.3), ("ethernet", 3, 0.25))
"""Network, place (see `demo.PLACES`), and share of the people."""

ADOPTION: Final = 0.75
"""Share of the people with version 6.4.0 on the newest whole day; on the day before it was 0.5 less."""

BAD: Final = {"6.3.0": 0.04, "6.4.0": 0.2}
"""Share of the people whose camera stalls, by version."""

LEVELS: Final = (
    Level(1_600_000, 30, 1280, 720, weight=12),
    Level(800_000, 30, 960, 540),
    Level(0, 0, 1280, 720, weight=0),  # stalled
    Level(70_000, 6, 320, 180, weight=0),  # the server is overloaded
)
STALLED, OVERLOADED = 2, 3
VOICE: Final = Signal((Level(36_000, weight=5), Level(9_000)), 2 * STEP_SECONDS, hold_points=6)


class _Turns:
    """Chooses a share of the people of a kind evenly, so that a small world has the shares that it is told to have."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._sums: dict[Hashable, float] = {}

    def is_one(self, kind: Hashable, share: float) -> bool:
        """Whether the next person of a kind is one of the share."""
        total = self._sums.get(kind, self._draw.random()) + share
        self._sums[kind] = total % 1
        return total >= 1


def workshops(day: date, newest: date, places: tuple[LocationSpec, ...], draw: random.Random) -> Iterator[CallSpec]:
    """Yield the workshops of a day. `newest` is the newest whole day, on which the incident is."""
    version_share = min(0.9, max(0.0, ADOPTION + 0.5 * (day - newest).days))
    turns = _Turns(draw)
    for number, (hour, minute) in enumerate(STARTS):
        started = midnight(day) + timedelta(hours=hour, minutes=minute, seconds=draw.randrange(60))
        ended = started + timedelta(minutes=MINUTES, seconds=draw.randrange(60))
        stays = tuple(
            _stay(
                day, f"{number}-{person}", started, ended, places, version_share, draw, turns, in_incident=day == newest
            )
            for person in range(PEOPLE)
        )
        session = f"workshop-{day:%Y%m%d}-{number:02d}"
        yield CallSpec("workshop", f"room-{number:02d}", session, started, ended, stays, cq_score=draw.randint(80, 95))


def _stay(
    day: date,
    name: str,
    started: datetime,
    ended: datetime,
    places: tuple[LocationSpec, ...],
    version_share: float,
    draw: random.Random,
    turns: _Turns,
    *,
    in_incident: bool,
) -> StaySpec:
    joined = started + timedelta(seconds=draw.randrange(90))
    left = ended - timedelta(seconds=draw.randrange(30))
    version = "6.4.0" if draw.random() < version_share else "6.3.0"
    (chosen,) = draw.choices(NETWORKS, [share for *_, share in NETWORKS])
    network, place, _ = chosen
    server = draw.choice(SERVERS)
    episodes: list[Episode] = []
    warnings: list[WarningSpec] = []
    losses: tuple[LossSpec, ...] = ()
    if turns.is_one((version, chosen), BAD[version]):
        begins = draw.randrange(120, 1100)
        episodes.append(Episode(begins, begins + 240, STALLED))
        warnings.append(
            WarningSpec(joined + timedelta(seconds=begins + 5), "video_frozen", "No new frame for 5 seconds")
        )
    overload = midnight(day) + INCIDENT[0]
    is_there = in_incident and server == "sfu-2" and joined < overload < left
    if is_there and turns.is_one(("incident", version, chosen), 0.6):
        begins = int((overload - joined).total_seconds()) + draw.randrange(45)
        episodes.insert(0, Episode(begins, begins + int(INCIDENT[1].total_seconds()), OVERLOADED))
        losses = (LossSpec(overload, overload + INCIDENT[1], "server", 0.33),)
        warnings.append(
            WarningSpec(overload + timedelta(seconds=70), "low_bandwidth", "Available bandwidth under 100 kbit/s")
        )
    camera = Signal(LEVELS, STEP_SECONDS, hold_points=8, spread=0.25, episodes=tuple(episodes))
    stay = f"{day:%m%d}-w{name}"
    address = f"198.{18 + draw.randrange(2)}.{draw.randrange(256)}.{draw.randrange(1, 255)}"
    return StaySpec(
        f"guest-{stay}",
        f"us-{stay}",
        joined,
        left,
        client=ClientSpec("web", version, address, network, places[place]),
        tracks=(
            TrackSpec(f"{stay}-audio", "audio", "opus", VOICE),
            TrackSpec(f"{stay}-video", "video", "vp8", camera, warnings=tuple(warnings)),
        ),
        latency_ms=draw.randint(25, 70),
        jitter_ms=draw.randint(3, 15),
        freezes_duration_ms=0,
        cq_score=draw.randint(80, 97),
        sfu=server,
        losses=losses,
    )
