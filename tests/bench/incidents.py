"""How well incidents are found, and how often there is a false one.

    python -m tests.bench.incidents [--worlds NUMBER] [--weeks NUMBER]

Days of 2,000 publishers are drawn from seeds. Into some of them an incident is planted: of 40 publishers of one media
server or one country, 15 get worse for ten minutes. It counts as found if its start and its end are right within two
minutes. In other days, ten people of one media server are on one bad office network, or nothing happens at all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.support.incident_worlds import FALLS, IncidentWorld, Planted, minute_of

TOLERANCE = 2

PLACES = {"media server": "current_sfu", "country": "country"}

DAYS = {
    "usual": {},
    "four times the trouble": {"trouble": 4},
    "every 20th call goes wrong": {"call_trouble": 0.05},
    "calls of ten": {"per_call": (10,)},
}
"""Kinds of days without an incident: a name, and what differs."""


@dataclass
class Score:
    """What was found in some worlds with an incident each."""

    worlds: int = 0
    found: int = 0
    named: int = 0
    others: int = 0

    def add(self, world: IncidentWorld, planted: Planted, scope: str) -> None:
        rows, _ = world.find()
        found = [row for row in rows if is_found(row, planted)]
        self.worlds += 1
        self.found += bool(found)
        self.named += any((row["scope"], row["scope_value"]) == (scope, planted.value) for row in found)
        self.others += len(rows) - bool(found)

    def __str__(self) -> str:
        return f"{self.found} of {self.worlds} found, {self.named} with the right scope, {self.others} other incidents"


def is_found(row: dict[str, object], planted: Planted) -> bool:
    """Return whether an incident is the planted one, with its start and end."""
    return (
        abs(minute_of(row, "started_at") - planted.since) <= TOLERANCE
        and abs(minute_of(row, "ended_at") - planted.until) <= TOLERANCE
    )


def planted_worlds(worlds: int) -> Iterator[tuple[str, str, Score]]:
    """Yield the score of each kind of incident."""
    for scope, column in PLACES.items():
        for fall in FALLS:
            score = Score()
            for seed in range(worlds):
                world = IncidentWorld.draw(seed)
                score.add(world, world.plant(column, np.random.default_rng(10_000 + seed), fall=fall), scope)
            yield scope, fall, score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=100, help="worlds of each kind (default: 100)")
    parser.add_argument("--weeks", type=int, default=8, help="weeks of days of each kind without any (default: 8)")
    given = parser.parse_args()
    for scope, fall, score in planted_worlds(given.worlds):
        print(f"15 of 40 of one {scope}, {fall:9}  {score}", flush=True)
    false = 0
    for seed in range(given.worlds):
        world = IncidentWorld.draw(seed)
        world.office(np.random.default_rng(20_000 + seed))
        false += len(world.find()[0])
    print(f"ten people on one bad office network: {false} incidents in {given.worlds} worlds", flush=True)
    for name, columns in DAYS.items():
        false, seconds = 0, 0.0
        for seed in range(7 * given.weeks):
            world = IncidentWorld.draw(30_000 + seed, **columns)  # type: ignore[arg-type]
            began = time.process_time()
            false += len(world.find()[0])
            seconds += time.process_time() - began
        print(
            f"nothing planted, {name}: {false} false in {given.weeks} weeks, "
            f"{1000 * seconds / (7 * given.weeks):.0f} ms of CPU a day",
            flush=True,
        )


if __name__ == "__main__":
    main()
