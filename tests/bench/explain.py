"""How often `explain_change` finds a planted cause, how often it finds one where there is none, and how long it takes.

    python -m tests.bench.explain [--worlds N] [--points MILLIONS] [--folder DIR]

Worlds are made as stays in tables, see `tests/support/changed_worlds.py`: two spans of stays with six dimensions, whose
levels differ. A planted cause is a value that got worse, or that got more frequent, together with a value of another
dimension that did nothing. The time is measured on a database as in `tests/bench/views.py`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb

from tests.bench.views import FIRST_DAY, POINTS_PER_DAY, build, fastest
from tests.support.changed_worlds import World, explain, opened, stays_of

Cause = tuple[str, str, str]

PLANTED: dict[str, tuple[World, Cause, Cause]] = {
    "version": (
        World(0, worse={"2.0": 0.12}, follows=[("client_version", "2.0", "country", "Chile", 0.6)]),
        ("client_version", "2.0", "rate"),
        ("country", "Chile", "rate"),
    ),
    "version, few stays": (
        World(
            0, stays=400, people=80, worse={"2.0": 0.3}, follows=[("client_version", "2.0", "country", "Japan", 0.6)]
        ),
        ("client_version", "2.0", "rate"),
        ("country", "Japan", "rate"),
    ),
    "new version": (
        World(
            0, worse={"2.0": 0.12}, missing=frozenset({"2.0"}), follows=[("client_version", "2.0", "codec", "av1", 0.5)]
        ),
        ("client_version", "2.0", "mix"),
        ("codec", "av1", "mix"),
    ),
    "network": (
        World(0, worse={"wifi": 0.05}, follows=[("network_type", "wifi", "client_name", "web", 0.6)]),
        ("network_type", "wifi", "rate"),
        ("client_name", "web", "rate"),
    ),
    "media server": (
        World(0, worse={"sfu-3": 0.1}, follows=[("current_sfu", "sfu-3", "country", "Norway", 0.7)]),
        ("current_sfu", "sfu-3", "rate"),
        ("country", "Norway", "rate"),
    ),
    "mix of networks": (
        World(0, moved={"cellular": 3}, follows=[("network_type", "cellular", "country", "Japan", 0.6)]),
        ("network_type", "cellular", "mix"),
        ("country", "Japan", "mix"),
    ),
}
"""Worlds with a cause, and what is innocent and comes with it."""

NOTHING: dict[str, World] = {
    "nothing": World(0),
    "nothing, few stays": World(0, stays=400, people=80),
    "nothing, few people": World(0, stays=3000, people=40),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=100, help="worlds of each kind (default: 100)")
    parser.add_argument("--points", type=float, default=20, help="millions of points (default: 20)")
    parser.add_argument("--folder", type=Path, help="where to make the database (default: a temporary folder)")
    given = parser.parse_args()
    for name, (world, cause, innocent) in PLANTED.items():
        planted(name, world, cause, innocent, given.worlds)
    for name, world in NOTHING.items():
        nothing(name, world, given.worlds)
    with tempfile.TemporaryDirectory() as temporary:
        timed(given.folder or Path(temporary), max(2, round(given.points * 1e6 / POINTS_PER_DAY)))


def planted(name: str, world: World, cause: Cause, innocent: Cause, worlds: int) -> None:
    first = below = certain = off = 0
    found = []
    for seed in range(worlds):
        with opened(stays_of(replace(world, seed=seed))) as database:
            rows = explain(database)
        ranks = {(row["dimension"], row["value"], row["kind"]): row["rank"] for row in rows}
        first += ranks[cause] == 1
        below += ranks[cause] < ranks[innocent]
        top = rows[0]
        certain += not top["low"] <= 0 <= top["high"]
        off = max(off, abs(sum(row["contribution"] for row in rows) - top["change"]))
        found += [row["contribution"] for row in rows if (row["dimension"], row["value"], row["kind"]) == cause]
    print(
        f"{name:22} cause first in {first} of {worlds}, innocent below in {below}, top certain in {certain}, "
        f"mean contribution {100 * sum(found) / len(found):.2f} points, sums off by at most {off:.0e}",
        flush=True,
    )


def nothing(name: str, world: World, worlds: int) -> None:
    covered = whole = 0
    for seed in range(worlds):
        with opened(stays_of(replace(world, seed=seed))) as database:
            rows = explain(database)
        covered += rows[0]["low"] <= 0 <= rows[0]["high"]
        whole += rows[0]["change_low"] <= 0 <= rows[0]["change_high"]
    print(
        f"{name:22} top interval covers 0 in {covered} of {worlds}; that of the change in {whole}",
        flush=True,
    )


def timed(folder: Path, days: int) -> None:
    path = folder / "published.duckdb"
    if not path.exists():
        build(folder, path, days=days)
    middle = FIRST_DAY + timedelta(days=days // 2)
    spans = (middle, FIRST_DAY + timedelta(days=days - 1), FIRST_DAY, middle - timedelta(days=1))
    ends = ", ".join(f"DATE '{day}'" for day in spans)
    with duckdb.connect(str(path), read_only=True, config={"threads": 2}) as database:
        database.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        print(f"time: {fastest(database, f'FROM explain_change({ends})'):.2f} s on all {days} days")


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"{time.perf_counter() - began:.0f} s in all")
