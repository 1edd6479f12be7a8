"""Whether the ledger is right: backfills that start before and after the instant that it names, against real quotas.

    python -m tests.bench.ledger [CALLS [LIMIT]]

Four days, of CALLS calls each (12), are about to be dropped by an emulator that accepts LIMIT metrics requests per
second (10). Nothing but the calls themselves is known of them. The ledger says when a backfill must start; one starts a
little before, others some time after. Printed is how many stays each loses, and how many the ledger said.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from pipeline.emulator import KEY, SECRET, CallSpec, Emulator, Points, Quota, StaySpec, TrackSpec, World
from pipeline.flow import Flow
from pipeline.settings import Secret, Settings

DAYS = 4
STAYS = 12
RETENTION = timedelta(days=90)
LEDGER = "FROM ledger_calls WHERE session_date < current_date - 80 AND NOT is_estimate"
PREPARATION = 40
"""Seconds until the first call expires: enough to list the calls and ask the ledger."""

LATE = (-0.1, 0.1, 0.25)
"""When a backfill starts: after the latest start that the ledger names, in shares of the time that it takes."""


def main(calls: int = 12, limit: int = 10) -> None:
    for share in LATE:
        try_start(calls, limit, share)


def try_start(calls: int, limit: int, share: float) -> None:
    """Make a world that expires soon, list its calls, ask the ledger, and start a backfill."""
    chance = random.Random(7)
    now = datetime.now(UTC).replace(microsecond=0)
    world, days = dying_world(now, calls, limit, chance)
    with (
        tempfile.TemporaryDirectory() as folder,
        Emulator(world, quotas={"participant_metrics": Quota(limit, 1.0)}) as emulator,
    ):
        settings = Settings(
            api_key=KEY,
            api_secret=Secret(SECRET),
            base_url=emulator.url,
            data=Path(folder) / "data",
            start=days[0] - timedelta(days=1),
        )
        with Flow(settings) as flow:
            flow.run(days[-1] + timedelta(days=1))  # finds the quotas
            for day in days:
                flow.extract.call_stats(day)
                flow.build_tables(day)
            flow.load(days)
            ledger = rows(settings, LEDGER)
            before = dict(flow.requests_sent)
            late = share * max(row["seconds_before"] for row in ledger)
            start = min(row["start_by"] for row in ledger if row["stays_missing"]) + timedelta(seconds=late)
            wait = (start - datetime.now(UTC)).total_seconds()
            assert wait > 0, f"the machine is too slow for this world by {-wait:.1f} s"
            time.sleep(wait)
            missing = sum(row["stays_missing"] for row in ledger)
            ledger = rows(settings, LEDGER)
            gone = missing - sum(row["stays_missing"] for row in ledger)  # while we waited
            for day in days:
                flow.run(day)
            took = (datetime.now(UTC) - start).total_seconds()
            asked = flow.requests_sent["participant_metrics"] - before["participant_metrics"]
            held = rows(settings, "FROM participant_sessions WHERE NOT starts_with(user_id, 'known')")
    lost = DAYS * calls * STAYS - len(held)
    said = gone + sum(row["stays_lost_now"] for row in ledger)
    expected = sum(row["metrics_requests"] for row in ledger if not row["stays_lost_now"])
    print(
        f"started {late:+.0f} s from the latest start: {said} stays said to be lost, {lost} lost "
        f"(of {DAYS * calls * STAYS}); {expected} metrics requests said, {asked} sent; {took:.0f} s"
    )


def dying_world(now: datetime, calls: int, limit: int, chance: random.Random) -> tuple[World, list[Any]]:
    """Return calls on four days that the source drops one after the other, a little later than they can be listed."""
    days = [now.date() - timedelta(days=93 - number) for number in range(DAYS)]
    made = []
    requests = 0
    for day in days:
        for number in range(calls):
            slack = chance.uniform(0, 0.2) * DAYS * calls * STAYS * 2.33 / limit
            until = now + timedelta(seconds=PREPARATION + requests / limit + slack) - RETENTION
            started = datetime(day.year, day.month, day.day, 20, tzinfo=UTC)
            stays = tuple(stay(f"{day}-{number}-{person}", until, chance) for person in range(STAYS))
            made.append(CallSpec("default", f"call-{number}", f"{day}-{number}", started, until, stays))
        requests += sum(
            -(-int((person.left_at - person.joined_at).total_seconds()) // 1800)
            for call in made[-calls:]
            for person in call.participants
            if person.left_at and person.joined_at
        )
    known = datetime(days[-1].year, days[-1].month, days[-1].day, 1, tzinfo=UTC) + timedelta(days=1)
    until = now - RETENTION + timedelta(days=1)
    stays = tuple(stay(f"known-{person}", until, chance) for person in range(3 * limit))
    made.append(CallSpec("default", "known", "known", known, until, stays))
    return World(tuple(made)), days


def stay(name: str, until: datetime, chance: random.Random) -> StaySpec:
    """Return a stay of 10 to 100 minutes, to the end of its call."""
    since = until - timedelta(minutes=chance.uniform(10, 100))
    track = TrackSpec("mic", "audio", "opus", Points.every(600, since, bitrate=(32_000,)))
    return StaySpec(name, f"{name}-stay", since, until, tracks=(track,))


def rows(settings: Settings, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query on the published database."""
    with duckdb.connect(str(settings.warehouse), read_only=True) as database:
        return database.execute(query).to_arrow_table().to_pylist()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
