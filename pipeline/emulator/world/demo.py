"""The demo world: the calls of a made-up product, with stories in them that a person can find by SQL.

The product is a video platform with four kinds of calls: `meeting` (teams), `lesson` (a teacher and a learner),
`livestream` (two hosts and an audience) and `workshop` (see `workshops`). Oddities are in `odd`.

The stories, which tests check:

- Phones on mobile networks send low resolutions, and some stall; the same phones on Wi-Fi do not.
- Version 4.2.0 of the Android app freezes its camera for half a minute; 4.2.1 does not.
- Participants from Brazil have a third of the bitrate in the evening (UTC).
- Some meetings go wrong for everyone at once for five minutes.
- Screen shares are sharp and slow: a low frame rate is normal for them.
- One user a day loses the connection and comes back twice.
- Some people rate their call, and those whose video froze give fewer stars (`opinions`).
- Participant details show where media got lost: phones on mobile networks lose packets on their uplink for two minutes,
  and participants from Brazil on their downlink in the evening.
- A release of the web app is worse than the one before, and a media server has an incident (`workshops`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from .opinions import with_ratings
from .series import Episode, Level, Signal
from .specs import CallSpec, ClientSpec, LocationSpec, LossSpec, StaySpec, TrackSpec, WarningSpec
from .timestamps import midnight
from .workshops import workshops
from .world import World

STEP_SECONDS: Final = 5
"""Seconds between points."""

PLACES: Final = (
    LocationSpec("Amsterdam", "North Holland", "Netherlands", "NL", "Europe", 52.37, 4.89, 20_000),
    LocationSpec("Berlin", "Berlin", "Germany", "DE", "Europe", 52.52, 13.4, 10_000),
    LocationSpec("Lisbon", "Lisbon", "Portugal", "PT", "Europe", 38.72, -9.14, 20_000),
    LocationSpec("Denver", "Colorado", "United States", "US", "North America", 39.74, -104.98, 50_000),
    LocationSpec("São Paulo", "São Paulo", "Brazil", "BR", "South America", -23.55, -46.63, 50_000),
    LocationSpec("Pune", "Maharashtra", "India", "IN", "Asia", 18.52, 73.86, 100_000),
    LocationSpec("Osaka", "Osaka", "Japan", "JP", "Asia", 34.69, 135.5, 20_000),
)
MEMBERS: Final = 48
"""Users who publish; the audience of a livestream comes on top."""

GOOD: Final = (Level(1_700_000, 30, 1280, 720, weight=12), Level(850_000, 30, 960, 540))
PHONE: Final = (Level(900_000, 30, 720, 1280, weight=8), Level(900_000, 30, 1280, 720), Level(450_000, 24, 360, 640))
MOBILE: Final = (
    Level(420_000, 19, 360, 640, weight=16),
    Level(150_000, 11, 180, 320, weight=8),
    Level(40_000, 4, 180, 320, weight=2),
)
EVENING: Final = 17
"""The hour (UTC) from which the network in Brazil is busy."""

STARVED: Final = Level(60_000, 5, 320, 180, weight=0)
VOICE: Final = Signal((Level(36_000, weight=5), Level(9_000)), STEP_SECONDS, hold_points=6)
SCREEN: Final = Signal(
    (Level(250_000, 3, 1920, 1080, weight=3), Level(2_200_000, 12, 1920, 1080)), STEP_SECONDS, hold_points=12
)


@dataclass(frozen=True)
class _Person:
    """A user of the product, the same from day to day."""

    user_id: str
    name: str
    client: ClientSpec
    evening_dip: bool


def demo_world(today: date, days: int = 3, seed: int = 0) -> World:
    """Return realistic calls on the `days` days before `today` and on `today` itself.

    Each day has 35 to 50 calls, about 500 windows and at most 400,000 points. Another seed gives other calls.
    """
    people = [_person(number, _random(f"{seed}:person:{number}")) for number in range(MEMBERS)]
    first_day = today - timedelta(days=days)
    dates = [first_day + timedelta(days=number) for number in range(days + 1)]
    calls = [
        call
        for day in dates
        for call in (
            *_day(day, people, _random(f"{seed}:{day}")),
            *workshops(day, dates[-2] if days else today, PLACES, _random(f"{seed}:{day}:workshops")),
        )
    ]
    return World(tuple(with_ratings(call, f"{seed}:ratings") for call in calls), seed)


def _random(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - not for secrets


def _person(number: int, draw: random.Random) -> _Person:
    place = draw.choice(PLACES)
    app, version = draw.choice(
        (
            ("web", "6.3.0"),
            ("web", "6.3.0"),
            ("web", "6.2.4"),
            ("ios", "4.2.1"),
            ("android", "4.2.0"),
            ("android", "4.2.1"),
        )
    )
    network = (
        "cellular" if app in ("ios", "android") and draw.random() < 0.5 else draw.choice(("wifi", "wifi", "ethernet"))
    )
    if app != "web" and network == "ethernet":
        network = "wifi"
    address = f"203.0.113.{number + 1}"
    return _Person(
        f"member-{number:02d}",
        f"Member {number}",
        ClientSpec(app, version, address, network, place),
        place.country_iso_code == "BR",
    )


def _day(day: date, people: list[_Person], draw: random.Random) -> Iterator[CallSpec]:
    weekend = day.weekday() >= 5
    for number in range(8 if weekend else 13):
        started = midnight(day) + timedelta(hours=7, minutes=50 * number + draw.randrange(20))
        yield _meeting(day, number, started, draw.sample(people, draw.randint(3, 7)), draw)
    for number in range(11 if weekend else 16):
        started = midnight(day) + timedelta(hours=8, minutes=45 * number + draw.randrange(20))
        yield _lesson(day, number, started, draw.sample(people, 2), draw)
    yield _livestream(day, midnight(day) + timedelta(hours=18), draw.sample(people, 2), draw)


def _meeting(day: date, number: int, started: datetime, people: list[_Person], draw: random.Random) -> CallSpec:
    minutes = draw.choice((15, 30, 30, 45, 60))
    ended = started + timedelta(minutes=minutes, seconds=draw.randrange(240))
    trouble = started + timedelta(minutes=5) if number % 5 == 4 else None
    stays: list[StaySpec] = []
    for place, person in enumerate(people):
        joined = started + timedelta(seconds=0 if place == 0 else draw.randrange(5, 150))
        left = ended - timedelta(seconds=draw.randrange(1, 60))
        if number == 1 and place == 1:
            stays.extend(_comes_back(day, number, person, joined, left, trouble))
            continue
        screen = place == 0 and number % 2 == 0
        stays.append(_stay(f"{day:%m%d}-m{number}-{place}", person, joined, left, trouble, screen=screen))
    name = ("standup", "design-review", "all-hands", "customer-call", "retro")[number % 5]
    score = 55 if trouble else draw.randint(78, 97)
    return CallSpec(
        "meeting",
        f"{name}-{number:02d}",
        f"meeting-{day:%Y%m%d}-{number:02d}",
        started,
        ended,
        tuple(stays),
        cq_score=score,
        call_event_count=len(stays) * 2,
    )


def _comes_back(
    day: date, number: int, person: _Person, joined: datetime, left: datetime, trouble: datetime | None
) -> Iterator[StaySpec]:
    """Three stays with half a minute between them."""
    third = (left - joined) / 3
    for turn in range(3):
        begins = joined + third * turn + timedelta(seconds=30 if turn else 0)
        yield _stay(f"{day:%m%d}-m{number}-back{turn}", person, begins, joined + third * (turn + 1), trouble)


def _lesson(day: date, number: int, started: datetime, people: list[_Person], draw: random.Random) -> CallSpec:
    ended = started + timedelta(minutes=draw.choice((25, 50)), seconds=draw.randrange(60))
    stays = tuple(
        _stay(f"{day:%m%d}-l{number}-{place}", person, started + timedelta(seconds=40 * place), ended, None, role=role)
        for place, (person, role) in enumerate(zip(people, ("teacher", "learner"), strict=True))
    )
    session = f"lesson-{day:%Y%m%d}-{number:02d}"
    return CallSpec("lesson", f"course-{number:02d}", session, started, ended, stays, cq_score=draw.randint(70, 98))


def _livestream(day: date, started: datetime, hosts: list[_Person], draw: random.Random) -> CallSpec:
    ended = started + timedelta(minutes=70)
    stays = [
        _stay(f"{day:%m%d}-live-{place}", host, started, ended, None, role="host", screen=place == 0)
        for place, host in enumerate(hosts)
    ]
    for number in range(150):
        joined = started + timedelta(seconds=draw.randrange(3600))
        left = min(ended, joined + timedelta(seconds=draw.randrange(20, 2400)))
        app = draw.choice(("web", "ios", "android"))
        network = "wifi" if app == "web" else draw.choice(("wifi", "cellular"))
        client = ClientSpec(
            app, "6.3.0" if app == "web" else "4.2.1", f"198.51.100.{number}", network, draw.choice(PLACES)
        )
        stays.append(
            StaySpec(
                f"viewer-{number:03d}",
                f"us-{day:%m%d}-viewer-{number:03d}",
                joined,
                left,
                roles=("viewer",),
                client=client,
                latency_ms=draw.randint(25, 180),
                sfu=f"sfu-{number % 3 + 1}",
            )
        )
    return CallSpec("livestream", "evening-show", f"livestream-{day:%Y%m%d}", started, ended, tuple(stays), cq_score=88)


def _stay(
    name: str,
    person: _Person,
    joined: datetime,
    left: datetime,
    trouble: datetime | None,
    *,
    role: str = "user",
    screen: bool = False,
) -> StaySpec:
    mobile = person.client.network_type == "cellular"
    tracks = [
        TrackSpec(f"{name}-audio", "audio", "opus", VOICE),
        _camera(name, person, joined, left, trouble),
    ]
    length = left - joined
    if screen:
        shared = (joined + length / 4, joined + length * 3 / 4)
        tracks.append(TrackSpec(f"{name}-screen", "screensharing", "vp9", SCREEN, since=shared[0], until=shared[1]))
    return StaySpec(
        person.user_id,
        f"us-{name}",
        joined,
        left,
        roles=(role,),
        client=person.client,
        tracks=tuple(tracks),
        name=person.name,
        latency_ms=140 if mobile else 45,
        jitter_ms=38 if mobile else 8,
        freezes_duration_ms=4_200 if mobile else 0,
        cq_score=58 if mobile else 91,
        sfu="sfu-1" if person.client.location in PLACES[:3] else "sfu-2",
        losses=tuple(_losses(person, joined, left)),
    )


def _losses(person: _Person, joined: datetime, left: datetime) -> Iterator[LossSpec]:
    if person.client.network_type == "cellular":
        since = joined + timedelta(seconds=60)
        yield LossSpec(since, since + timedelta(minutes=2), "uplink", 0.07)
    if person.evening_dip and joined.hour >= EVENING:
        yield LossSpec(joined, left, "downlink", 0.05)


def _camera(name: str, person: _Person, joined: datetime, left: datetime, trouble: datetime | None) -> TrackSpec:
    client = person.client
    mobile, seconds = client.network_type == "cellular", int((left - joined).total_seconds())
    levels: tuple[Level, ...] = MOBILE if mobile else PHONE if client.name in ("ios", "android") else GOOD
    if person.evening_dip and joined.hour >= EVENING:
        levels = tuple(
            Level(level.bitrate // 3, level.framerate, level.width, level.height, level.weight) for level in levels
        )
    episodes: list[Episode] = []
    warnings: list[WarningSpec] = []
    if (client.name, client.version) == ("android", "4.2.0") and seconds > 400:
        episodes.append(Episode(240, 270, len(levels)))
        warnings.append(WarningSpec(joined + timedelta(seconds=245), "video_frozen", "No new frame for 5 seconds"))
    if trouble is not None and joined < trouble:
        begins = int((trouble - joined).total_seconds())
        episodes.append(Episode(begins, begins + 300, len(levels) + 1))
        warnings.append(
            WarningSpec(trouble + timedelta(seconds=20), "low_bandwidth", "Available bandwidth under 100 kbit/s")
        )
    if mobile:
        warnings.append(WarningSpec(joined + timedelta(seconds=65), "high_packet_loss", "Packet loss above 5 %"))
    stalled = Level(0, 0, levels[0].width, levels[0].height, weight=0)
    signal = Signal((*levels, stalled, STARVED), STEP_SECONDS, hold_points=12, spread=0.25, episodes=tuple(episodes))
    codec = {"web": "vp8", "ios": "h264", "android": "vp8"}[client.name or "web"]
    return TrackSpec(f"{name}-video", "video", codec, signal, warnings=tuple(warnings))
