"""The odd world: everything that the documentation allows and that an ingester is likely to get wrong.

The first day has one of each oddity. Later days repeat the small ones under other ids, and the last day also has the
calls that are still live. Realistic data is in `demo`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from .series import Episode, Level, Points, Signal
from .specs import CallSpec, ClientSpec, LocationSpec, StaySpec, TrackSpec, WarningSpec
from .timestamps import midnight
from .world import World

ODD_IDS: Final = (
    "a/b?c#d%25e",
    "../../x",
    "'; drop table participant_sessions; --",
    "zażółć gęślą jaźń",
    "会议室 🎥",
    "per%2Fcent",
    "plus+and space",
    'quo"te\\back',
)
"""Ids that break naive URLs, paths, SQL and JSON. `.` and `..` are missing: HTTP clients remove them from a path."""

AUDIO: Final = Signal((Level(32_000), Level(12_000)), step_seconds=20)
VIDEO: Final = Signal(
    (Level(1_200_000, 30, 1280, 720, weight=3), Level(450_000, 24, 640, 360), Level(90_000, 7, 320, 180)),
    step_seconds=20,
    hold_points=6,
)
SCREEN: Final = Signal((Level(900_000, 5, 1920, 1080), Level(2_500_000, 15, 1920, 1080)), step_seconds=30)
PLACE: Final = LocationSpec("Zürich", "Zurich", "Switzerland", "CH", "Europe", 47.37, 8.54, 5_000)
CLIENT: Final = ClientSpec("web", "1.8.0", "198.51.100.7", "wifi", PLACE)


@dataclass(frozen=True)
class _Day:
    """One day of calls: its number, its first instant, and its random numbers."""

    number: int
    started: datetime
    random: random.Random

    def at(self, hour: int, minute: int = 0, second: float = 0) -> datetime:
        """Return a time of this day in UTC."""
        return self.started + timedelta(hours=hour, minutes=minute, seconds=second)

    def call(
        self, name: str, started: datetime, ended: datetime | None, stays: tuple[StaySpec, ...], **more: Any
    ) -> CallSpec:
        """Return a call with the number of the day in its session id."""
        return CallSpec("default", name, f"{name}-day{self.number}"[:64], started, ended, stays, **more)


def odd_world(first_day: date, days: int = 2, seed: int = 0, scale: float = 1.0) -> World:
    """Return everything unusual that the documentation allows.

    Args:
        first_day: the first day in UTC.
        days: number of days.
        seed: another seed gives other values.
        scale: multiplies the large call and the number of small ones; from 1 on they need more than one page.
    """
    calls: list[CallSpec] = []
    for number in range(days):
        started = midnight(first_day + timedelta(days=number))
        day = _Day(number, started, random.Random(f"{seed}:{number}"))  # noqa: S311 - not for secrets
        for oddity in (_lengths, _people, _strange_ids, _strange_tracks, _missing_fields, _late):
            calls += oddity(day)
        if number == 0:
            calls += _long(day)
            calls += _many(day, scale)
        if number == days - 1:
            calls += _live(day)
    return World(tuple(calls), seed)


def _tracks(user: str) -> tuple[TrackSpec, ...]:
    return (TrackSpec(f"{user}-a", "audio", "opus", AUDIO), TrackSpec(f"{user}-v", "video", "vp8", VIDEO))


def _stay(user: str, joined: datetime | None, left: datetime | None, **more: Any) -> StaySpec:
    """Return a stay with a camera and a microphone, unless `more` has other tracks."""
    values: dict[str, Any] = {"client": CLIENT, "tracks": _tracks(user), "user_session_id": f"{user}-1"} | more
    return StaySpec(user_id=user, joined_at=joined, left_at=left, **values)


def _lengths(day: _Day) -> Iterator[CallSpec]:
    """Yield calls that are short, of exactly one window, one second longer, over midnight, or without participants."""
    for name, hour, seconds in (
        ("short", 8, 7),
        ("exact-30", 8, 1800),
        ("second-more", 9, 1801),
        ("two-windows", 9, 3600),
    ):
        start = day.at(hour, 10)
        end = start + timedelta(seconds=seconds)
        yield day.call(name, start, end, (_stay("ann", start, end), _stay("bob", start, end)))
    start, end = day.at(23, 40, 0.25), day.at(24, 25, 30.75)
    yield day.call("over-midnight", start, end, (_stay("ann", start, end), _stay("bob", day.at(24, 1), end)))
    start = day.at(10)
    nothing = _stay("blink", start, start, tracks=(), is_publisher=False)
    brief = _stay("brief", start, start + timedelta(milliseconds=400), tracks=())
    yield day.call("no-length", start, start + timedelta(minutes=2), (nothing, brief))
    yield day.call("nobody", day.at(10, 5), day.at(10, 6), ())


def _long(day: _Day) -> Iterator[CallSpec]:
    """Yield a call longer than a day, and one with points exactly on the edges of windows."""
    start, end = day.at(20, 0, 30), day.at(46, 3)
    slow = Signal((Level(600_000, 15, 640, 480), Level(50_000, 5, 320, 240)), step_seconds=120, gap_share=0.2)
    tracks = (TrackSpec("night-a", "audio", "opus", Signal((Level(24_000),), step_seconds=120)),)
    yield day.call(
        "over-a-day",
        start,
        end,
        (
            _stay("night", start, end, tracks=(*tracks, TrackSpec("night-v", "video", "h264", slow))),
            _stay("watch", day.at(21), day.at(44), tracks=()),
        ),
    )
    start = day.at(11)
    edges = tuple((start + timedelta(minutes=30 * half), 100 + half) for half in range(3))
    yield day.call(
        "on-the-edges",
        start,
        start + timedelta(hours=1),
        (_stay("edge", start, start + timedelta(hours=1), tracks=(TrackSpec("e", "audio", "opus", Points(edges)),)),),
    )


def _people(day: _Day) -> Iterator[CallSpec]:
    """Yield a call of viewers only, and one with users who come back or are on two devices at once."""
    start, end = day.at(12), day.at(12, 50)
    viewers = tuple(_stay(f"viewer-{n}", start + timedelta(seconds=n), end, tracks=(), roles=()) for n in range(4))
    yield day.call("viewers", start, end, viewers)
    stays = (
        _stay("cat", day.at(13), day.at(13, 9), user_session_id="cat-1"),
        _stay("cat", day.at(13, 11), day.at(13, 45), user_session_id="cat-2"),
        _stay("cat", day.at(13, 30), day.at(13, 31), user_session_id="cat-phone", publisher_type="ingress"),
        _stay("dan", day.at(13), day.at(13, 45), is_subscriber=False, roles=("host", "speaker")),
    )
    yield day.call("rejoins", day.at(13), day.at(13, 45), stays, call_event_count=4, cq_score=71)


def _strange_ids(day: _Day) -> Iterator[CallSpec]:
    """Yield calls with ids that need encoding, in every place that has an id."""
    for place, odd in enumerate(ODD_IDS):
        start = day.at(14, place)
        end = start + timedelta(minutes=3)
        track = TrackSpec(odd, odd, "opus", Points.every(60, start, bitrate=(place + 1, place + 2)))
        stay = _stay(odd, start, end, user_session_id=f"{odd}|{place}", tracks=(track,), client=ClientSpec(name=odd))
        yield CallSpec("def.ault_-1", odd, f"{odd}@{day.number}", start, end, (stay,))


def _strange_tracks(day: _Day) -> Iterator[CallSpec]:
    """Yield a call with screen shares, nulls, gaps, no codec, no points, all kinds of warnings, and unknown fields."""
    start, end = day.at(15), day.at(15, 40)
    warning = WarningSpec(day.at(15, 10), "high_packet_loss", "Packet loss above 5 %")
    nulls = Signal(VIDEO.levels, step_seconds=15, null_share=0.2)
    sparse = Signal(
        VIDEO.levels, step_seconds=15, gap_share=0.5, episodes=(Episode(600, 1200, None), Episode(60, 90, 2))
    )
    tracks = (
        TrackSpec("screen", "screensharing", "vp9", SCREEN, since=day.at(15, 5), until=day.at(15, 25)),
        TrackSpec("screen-audio", "screensharing_audio", "opus", AUDIO, since=day.at(15, 5), until=day.at(15, 25)),
        TrackSpec("nulls", "video", None, nulls, omit=frozenset({"codec"})),
        TrackSpec("gaps", "video", None, sparse),
        TrackSpec("silent", "audio", "opus", Points(bitrate=())),
        TrackSpec("bare", "video", "av1", Points()),
        # One id for two tracks: the track's type is part of its key.
        TrackSpec("shared-id", "audio", "opus", AUDIO),
        TrackSpec("shared-id", "video", "vp8", VIDEO),
        TrackSpec(
            "warned",
            "video",
            "vp8",
            VIDEO,
            warnings=(
                warning,
                warning,
                WarningSpec(day.at(15, 30), "low_bandwidth", "Bandwidth under 300 kbit/s"),
                WarningSpec(day.at(15, 12), "sticky", "Given with every window", sticky=True),
                WarningSpec(None, "timeless", 'It\'s "odd", has no time'),
            ),
            extra=(("simulcast_layers", [{"rid": "f", "on": True}]), ("qp", {"data_points": [[1, 2.5]]})),
        ),
    )
    odd_client = ClientSpec("ios", "2.0.0-beta.1+5", "2001:db8::7", "cellular", PLACE, (("battery", 0.5),))
    stays: tuple[StaySpec, ...] = (
        _stay("eve", start, end, tracks=tracks, client=odd_client, extra=(("device_tier", "low"),)),
        _stay("fay", start, end, tracks=(TrackSpec("fay-a", "audio", "opus", AUDIO),)),
    )
    zeros = Points.every(
        10, start, bitrate=(0, 0.5, 1e9, 3_000_000_000), framerate=(0, 59.94, 0.0, 1), resolution_width=(0, 3840, 1, 2)
    )
    stays += (_stay("gus", start, end, tracks=(TrackSpec("zeros", "video", "vp8", zeros),)),)
    yield day.call("tracks", start, end, stays, extra=(("recorded", True), ("egress", {"hls": None})), cq_score=0)


def _missing_fields(day: _Day) -> Iterator[CallSpec]:
    """Yield a call of participants who lack optional fields."""
    start, end = day.at(16), day.at(16, 35)
    bare = frozenset({"is_subscriber", "is_publisher", "joined_at", "publisher_type"})
    stays = (
        _stay("no-client", start, end, client=None),
        _stay("empty-client", start, end, client=ClientSpec()),
        _stay("no-place", start, end, client=ClientSpec("web", "1.0", location=LocationSpec(country_iso_code="DE"))),
        _stay("never-left", start + timedelta(seconds=90), None),
        _stay("never-joined", None, day.at(16, 20)),
        _stay("no-duration", start, end, omit=frozenset({"duration_in_seconds"})),
        _stay("says-no", start, end, is_publisher=False, tracks=()),
        _stay("says-yes", start, end, is_publisher=True, tracks=()),
        _stay("says-nothing", start, end, tracks=(), omit=bare - {"joined_at", "publisher_type"}),
    )
    yield day.call("missing", start, end, stays)


def _late(day: _Day) -> Iterator[CallSpec]:
    """Yield a call whose second report, ten hours after the end, adds a participant, a track and points."""
    start, end = day.at(17), day.at(17, 45)
    late_points = TrackSpec("late-points", "video", "vp8", VIDEO, late_from=day.at(17, 35))
    stays = (
        _stay("hal", start, end, tracks=(late_points, TrackSpec("late-track", "audio", "opus", AUDIO, report=1))),
        _stay("late-publisher", start, end, tracks=(TrackSpec("lp", "audio", "opus", AUDIO, report=1),)),
        _stay("late-person", day.at(17, 5), end, report=1),
    )
    yield day.call("late", start, end, stays, reports=(timedelta(minutes=3), timedelta(hours=10)))


def _live(day: _Day) -> Iterator[CallSpec]:
    """Yield calls that are still live at the end of the last day, the second from half an hour before it."""
    stays = (
        _stay("ivy", day.at(18), None),
        _stay("jon", day.at(18, 10), day.at(18, 55)),
        _stay("kim", day.at(19, 0, 10), None, tracks=()),
    )
    yield day.call("live", day.at(18), None, stays, live_lag=timedelta(seconds=40))
    yield day.call("live-late", day.at(23, 30), None, (_stay("lou", day.at(23, 30), None),))
    yield day.call("ends-tomorrow", day.at(23, 50), day.at(25, 10), (_stay("mia", day.at(23, 50), day.at(25, 10)),))


def _many(day: _Day, scale: float) -> Iterator[CallSpec]:
    """Yield a call with more participants than a page holds, and more calls than a page holds."""
    start, end = day.at(19), day.at(19, 45)
    hosts = (_stay("host", start, end, roles=("host",)),)
    crowd = tuple(
        _stay(f"fan-{n:04d}", start + timedelta(seconds=day.random.randrange(900)), end, tracks=(), sfu=f"sfu-{n % 3}")
        for n in range(round(120 * scale))
    )
    yield day.call("crowd", start, end, (*hosts, *crowd))
    for n in range(round(104 * scale)):
        start = day.at(1) + timedelta(seconds=30 * n)
        end = start + timedelta(seconds=20)
        # Many sessions of one call: call_cid alone does not identify a session.
        name = "standup" if n % 2 else f"tiny-{n:04d}"
        yield CallSpec("default", name, f"tiny-session-{n:04d}", start, end, (_stay("nan", start, end),))
