"""Worlds of releases that a job judges every night, many at once: each world is a client of its own in one database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.support.release_worlds import add, opened, rows_of

__all__ = ["NIGHTS", "SCENARIOS", "Called", "judge"]

NIGHTS = 60
BEFORE = 28  # days of the baseline before the first night

World = dict[str, np.ndarray[Any, Any]]
"""Stays as columns, see `release_worlds`."""


@dataclass(frozen=True)
class Called:
    """In how many worlds a release was called something on any night; `plain` is by a test without correction."""

    worlds: int
    worse: int
    better: int
    plain: int


def judge(scenario: str, worlds: int, *, looks: Collection[int] = range(NIGHTS), seed: int = 0) -> Called:
    """Judge worlds of a scenario after each of the nights in `looks`."""
    made = [SCENARIOS[scenario](np.random.default_rng([seed, number])) for number in range(worlds)]
    client = np.repeat([f"client {number}" for number in range(worlds)], [len(world["day"]) for world in made])
    stays = {name: np.concatenate([world[name] for world in made]) for name in made[0]} | {"client": client}
    called: dict[str, set[str]] = {"worse": set(), "better": set(), "plain": set()}
    seen = -1
    with opened() as database:
        for night in sorted(looks):
            day = BEFORE + night
            new = (stays["day"] > seen) & (stays["day"] <= day)
            add(database, {name: values[new] for name, values in stays.items()})
            seen = day
            for row in rows_of(database, "FROM release_comparison"):
                if row["verdict"] in called:
                    called[row["verdict"]].add(row["client_name"])
                if _is_plainly_worse(row):
                    called["plain"].add(row["client_name"])
    return Called(worlds, **{verdict: len(clients) for verdict, clients in called.items()})


def _is_plainly_worse(row: Mapping[str, Any]) -> bool:
    """Return whether a test that is meant for one look, on stays and without standardization, finds a release worse."""
    n, m = row["publishers"], row["baseline_publishers"]
    if min(n, m) < 20:
        return False
    p, q = row["poor_share"], row["baseline_poor_share"]
    error = (p * (1 - p) / n + q * (1 - q) / m) ** 0.5
    return bool(p - q > 1.96 * error)


def _version(
    random: np.random.Generator,
    version: str,
    share: float | Mapping[str, float],
    *,
    people: int = 3000,
    stays: int = 1,
    likeness: float = 0.0,
    networks: Mapping[str, float] = {"wifi": 0.6, "cellular": 0.3, "ethernet": 0.1},
    is_baseline: bool = False,
    first_person: int = 0,
) -> World:
    """Return the stays of a version: `share` of them are poor, of all or by network.

    With `likeness`, so many of a person's stays are as the person is; the others are by chance. A baseline
    has been there for 28 days before the first night. A new version is taken up over all nights.
    """
    n = people * stays
    person = np.repeat(np.arange(people), stays)
    network = np.repeat(random.choice([*networks], people, p=[*networks.values()]), stays)
    if stays > 1:  # a third of the stays are on another network than the person's usual one
        network = np.where(random.random(n) < 1 / 3, random.choice([*networks], n, p=[*networks.values()]), network)
    rate = np.array([share[name] for name in network]) if isinstance(share, Mapping) else np.full(n, share)
    own = np.repeat(random.random(people), stays)
    first = 0 if is_baseline else BEFORE
    joined = np.repeat(random.integers(first, BEFORE + NIGHTS, people), stays)
    day = random.integers(joined, BEFORE + NIGHTS)
    return {
        "user": person + first_person,
        "version": np.full(n, version),
        "network": network,
        "country": np.repeat(random.choice(["Norway", "Chile"], people, p=[0.7, 0.3]), stays),
        "poor": np.where(random.random(n) < likeness, own, random.random(n)) < rate,
        "day": day,
    }


def _together(*versions: World) -> World:
    return {name: np.concatenate([version[name] for version in versions]) for name in versions[0]}


def _pair(random: np.random.Generator, share: float, new_share: float, **given: Any) -> World:
    return _together(
        _version(random, "2.0.3", share, is_baseline=True, **given),
        _version(random, "2.1.0", new_share, first_person=10**6, **given),
    )


def _simpson(random: np.random.Generator) -> World:
    share = {"wifi": 0.02, "cellular": 0.12}
    return _together(
        _version(random, "2.0.3", share, is_baseline=True, people=1500, networks={"wifi": 0.8, "cellular": 0.2}),
        _version(random, "2.1.0", share, first_person=10**6, people=1500, networks={"cellular": 1.0}),
    )


def _several(random: np.random.Generator) -> World:
    new = [
        _version(random, version, 0.04, first_person=place * 10**6, people=1000)
        for place, version in enumerate(("2.1.0", "2.2.0", "2.10.0"), start=1)
    ]
    return _together(_version(random, "2.0.3", 0.04, is_baseline=True, people=1500), *new)


SCENARIOS: dict[str, Callable[[np.random.Generator], World]] = {
    "from 4 % to 7 %": lambda random: _pair(random, 0.04, 0.07),
    "no difference": lambda random: _pair(random, 0.04, 0.04, people=1500),
    "only on bad networks": _simpson,
    "five stays a person": lambda random: _pair(random, 0.04, 0.04, people=400, stays=5, likeness=0.9),
    "the same people": lambda random: _together(
        _version(random, "2.0.3", 0.04, is_baseline=True, people=400, stays=5, likeness=0.9),
        _version(random, "2.1.0", 0.04, people=400, stays=5, likeness=0.9),
    ),
    "three new versions": _several,
    "rarely poor": lambda random: _pair(random, 0.01, 0.01, people=800),
    "often poor": lambda random: _pair(random, 0.3, 0.3, people=800),
}
"""Worlds by name. Only the first has a release that is worse."""
