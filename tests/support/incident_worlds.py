"""Days of publishers for tests of incidents, drawn from a seed: minutes of cameras, with incidents planted into them.

A world is made in three steps: `World.draw` makes calls and people, `plant` makes some of them worse for some minutes,
`found` runs the search. Nothing here goes through HTTP: that is tested once, in `tests/integration/test_incidents.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.quality.incidents.camera_minutes import CameraMinutes, MetricMinutes
from pipeline.quality.incidents.describe import find_incidents
from tests.support import DAY, MIDNIGHT

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

FIRST_MINUTE = int(MIDNIGHT.timestamp()) // 60

SERVERS = ("sfu-ams-1", "sfu-ams-2", "sfu-iad-1", "sfu-bom-1")
COUNTRIES = ("Germany", "Germany", "Germany", "United States", "United States", "India", "India", "Kenya", "Portugal")
NETWORKS = ("wifi", "wifi", "wifi", "ethernet", "cellular")
CLIENTS = (("web", "6.3.0"), ("web", "6.3.0"), ("web", "6.2.4"), ("ios", "4.2.1"), ("android", "4.2.1"))

FALLS = ("framerate", "stalls", "bitrate")
"""What gets worse in a planted incident."""


@dataclass(frozen=True)
class Planted:
    """An incident that was planted: the value of its scope, its first minute, the first one after it, and the stays."""

    value: str
    since: int
    until: int
    stays: tuple[int, ...]


@dataclass
class IncidentWorld:
    """One day. Elements of `minute` and the arrays below it are minutes of stays, sorted by stay and minute.

    Attributes:
        stays: rows of `participant_sessions`, one per stay with one camera.
        stay: number of the stay.
        minute: minutes since midnight (UTC).
        framerate: mean frames per second.
        stalled: share of the points without a frame.
        bitrate: mean bits per second.
    """

    stays: list[dict[str, Any]]
    stay: Ints
    minute: Ints
    framerate: npt.NDArray[np.float64]
    stalled: npt.NDArray[np.float64]
    bitrate: npt.NDArray[np.float64]

    @classmethod
    def draw(
        cls,
        seed: int,
        *,
        publishers: int = 2000,
        per_call: Sequence[int] = (2, 3, 4, 5, 8),
        length: Sequence[int] = (20, 30, 45, 60),
        hours: tuple[float, float] = (8, 19),
        trouble: float = 1.0,
        call_trouble: float = 0.01,
        servers: Sequence[str] = SERVERS,
    ) -> IncidentWorld:
        """Return a day of calls with the bad connections that there always are.

        Each person has a rate of their own at which they get worse for one to twenty minutes: some never, one in ten
        twenty times as often as most. `trouble` multiplies it. A share of `call_trouble` of all calls goes wrong for
        everyone for five minutes.
        """
        random = np.random.default_rng(seed)
        stays: list[dict[str, Any]] = []
        parts: list[tuple[Ints, Ints]] = []
        bad: list[tuple[Flags, Flags]] = []
        call = 0
        while len(stays) < publishers:
            people, minutes = int(random.choice(per_call)), int(random.choice(length))
            # A few calls start at any minute, most on the hour or half hour.
            begin = random.uniform(*hours) * 60
            start = int(begin // 30 * 30 if random.random() < 0.6 else begin)
            together = random.random() < call_trouble
            shared = int(random.integers(5, max(6, minutes - 5)))
            server = str(random.choice(np.array(servers)))
            for number in range(people):
                joined = start + int(random.integers(0, 4))
                here = np.arange(joined, start + minutes - int(random.integers(0, 3)))
                stays.append(_person(random, len(stays), call, number, server))
                parts.append((np.full(len(here), len(stays) - 1), here))
                low, stall = _own_trouble(random, len(here), trouble)
                if together:
                    low |= (here >= start + shared) & (here < start + shared + 5)
                bad.append((low, stall))
            call += 1
        stay, minute = (np.concatenate(column) for column in zip(*parts, strict=True))
        low, stall = (np.concatenate(column) for column in zip(*bad, strict=True))
        world = cls(stays, stay, minute, *_steady(random, stay))
        world.worsen(low, "framerate", random)
        world.worsen(stall, "bitrate", random)
        return world

    def present(self, column: str, value: str, since: int, until: int) -> list[int]:
        """Return the stays with this value that are there all the time from a minute to another (excluded)."""
        of_value = np.array([row[column] == value for row in self.stays])
        inside = (self.minute >= since) & (self.minute < until)
        counts = np.bincount(self.stay[inside], minlength=len(self.stays))
        return np.flatnonzero(of_value & (counts >= until - since)).tolist()

    def plant(
        self,
        column: str,
        random: np.random.Generator,
        *,
        fall: str,
        of: int = 40,
        affected: int = 15,
        minutes: int = 10,
    ) -> Planted:
        """Make 15 of the 40 people with one value worse for ten minutes.

        The value and the time are drawn from those at which so many are there. They were there for five minutes, and
        stay for at least three; like anyone, they may leave before it is over.
        """
        values = sorted({row[column] for row in self.stays})
        for _ in range(10_000):
            value, since = str(random.choice(values)), int(random.integers(self.minute.min(), self.minute.max()))
            there = self.present(column, value, since - 5, since + 3)
            if abs(len(there) - of) <= of // 20:
                break
        else:
            raise AssertionError(f"so many people with one {column} are never there")
        chosen = random.choice(there, affected, replace=False).tolist()
        self.worsen(self.at(chosen, since, since + minutes), fall, random)
        return Planted(value, since, since + minutes, tuple(chosen))

    def at(self, stays: Sequence[int], since: int, until: int) -> Flags:
        """Return the minutes of these stays from a minute to another (excluded)."""
        return np.isin(self.stay, stays) & (self.minute >= since) & (self.minute < until)

    def worsen(self, chosen: Flags, fall: str, random: np.random.Generator) -> None:
        """Make some minutes worse: the frame rate falls, stalls, or the bitrate collapses."""
        count = np.count_nonzero(chosen)
        if fall == "framerate":
            self.framerate[chosen] = random.uniform(3, 10, count)
        elif fall == "stalls":
            self.stalled[chosen] = random.uniform(0.25, 0.8, count)
            self.framerate[chosen] *= 1 - self.stalled[chosen]
        else:
            self.bitrate[chosen] *= random.uniform(0.08, 0.3, count)

    def drop(self, chosen: Flags) -> None:
        """Remove the data of some minutes."""
        for name in ("stay", "minute", "framerate", "stalled", "bitrate"):
            setattr(self, name, getattr(self, name)[~chosen])

    def find(self, day: date = DAY) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the rows of `incidents` and of `incident_calls`."""
        camera, minute = self.stay.astype(np.int32), (self.minute + FIRST_MINUTE).astype(np.int32)
        floats = [values.astype(np.float32) for values in (self.framerate, self.stalled, self.bitrate)]
        minutes = CameraMinutes(
            np.arange(len(self.stays)),
            MetricMinutes(camera, minute, floats[0], floats[1]),
            MetricMinutes(camera, minute, floats[2], np.zeros_like(floats[1])),
        )
        incidents, calls = find_incidents(day, minutes, pa.Table.from_pylist(self.stays))
        return incidents.to_pylist(), calls.to_pylist()

    def office(self, random: np.random.Generator, *, people: int = 10, minutes: int = 10) -> None:
        """Let ten people of one media server share a network, each in whatever call they are in, which gets bad."""
        for _ in range(10_000):
            server, since = str(random.choice(SERVERS)), int(random.integers(self.minute.min(), self.minute.max()))
            there = self.present("current_sfu", server, since - 5, since + 3)
            if len(there) >= people:
                break
        else:
            raise AssertionError("so many people are never there")
        chosen = random.choice(there, people, replace=False).tolist()
        for place, number in enumerate(chosen):
            here = {"client_ip": f"203.0.113.{place + 1}", "country": COUNTRIES[0], "city": "Office"}
            self.stays[number] |= here | {"network_type": "ethernet"}
        self.worsen(self.at(chosen, since, since + minutes), FALLS[0], random)


def minute_of(row: dict[str, Any], column: str) -> int:
    """Return an instant of a row in minutes after midnight."""
    return int((row[column] - MIDNIGHT) / timedelta(minutes=1))


def crowd(
    people: int,
    minutes: int,
    *,
    start: int = 600,
    of: Callable[[int], dict[str, Any]] = lambda _: {},
    seed: int = 0,
) -> IncidentWorld:
    """Return people without any trouble, in calls of two, on networks of their own. `of` overrides their columns."""
    random = np.random.default_rng(seed)
    stays = [_person(random, number, number // 2, number % 2, "sfu-1") | of(number) for number in range(people)]
    stay, minute = np.repeat(np.arange(people), minutes), np.tile(np.arange(start, start + minutes), people)
    count = len(stay)
    return IncidentWorld(stays, stay, minute, np.full(count, 30.0), np.zeros(count), np.full(count, 1.5e6))


def _person(random: np.random.Generator, number: int, call: int, place: int, server: str) -> dict[str, Any]:
    client, version = CLIENTS[random.integers(len(CLIENTS))]
    country = COUNTRIES[random.integers(len(COUNTRIES))]
    return {
        "call_type": "default",
        "call_id": f"call-{call}",
        "call_session_id": f"session-{call}",
        "user_id": f"user-{number}",
        "user_session_id": f"stay-{number}",
        "client_ip": f"10.{number // 250 % 250}.{number % 250}.{place + 1}",
        "city": f"{country} city {random.integers(6)}",
        "country": country,
        "country_iso_code": None,
        "network_type": str(random.choice(NETWORKS)),
        "client_name": client,
        "client_version": version,
        "current_sfu": server,
    }


def _steady(random: np.random.Generator, stay: Ints) -> tuple[Any, Any, Any]:
    """Return frame rates, stalls and bitrates of cameras that work, each with a usual of its own."""
    people = int(stay.max()) + 1
    usual = random.choice([1.7e6, 8.5e5, 4e5], people)
    layer = np.where(random.random(len(stay)) < 0.08, 0.5, 1)  # a switch to a lower layer of simulcast
    return (
        random.choice([30.0, 24.0, 15.0], people)[stay] * random.uniform(0.9, 1.02, len(stay)),
        np.zeros(len(stay)),
        usual[stay] * layer * random.uniform(0.85, 1.1, len(stay)),
    )


def _own_trouble(random: np.random.Generator, minutes: int, trouble: float) -> tuple[Flags, Flags]:
    """Return the minutes in which a person's own connection is bad: for the frame rate, and for the bitrate."""
    rate = trouble * float(random.choice([0, 0.002, 0.004, 0.04], p=[0.3, 0.3, 0.3, 0.1]))
    flags = (np.zeros(minutes, dtype=bool), np.zeros(minutes, dtype=bool))
    for begin in np.flatnonzero(random.random(minutes) < rate).tolist():
        flags[random.integers(2)][begin : begin + int(random.geometric(0.25))] = True
    return flags
