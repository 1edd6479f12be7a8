"""Time, memory and bytes of a livestream of 50,000, a day of 5,000 calls, and a year; what grows faster than its input.

    python -m tests.bench.large [livestream | calls | year]

Each is run at a quarter of its size first (a year by fifths, one after the other into the same folder). A ratio above
1 says that a unit of input costs more in the large one, beyond what an empty day costs. The rows of the database are
compared with the source: one by one, for a year by their numbers. Exits with 1 if anything is missing.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pipeline.emulator import (
    CallSpec,
    ClientSpec,
    Emulator,
    ManualClock,
    Points,
    StaySpec,
    TrackSpec,
    World,
    uniform_world,
)
from pipeline.landing.landing import Landing
from pipeline.warehouse.published import open_published
from tests.bench.measuring import Cost, cost_of, environment
from tests.support import differences

DAY = date(2026, 11, 1)
COMMAND = [sys.executable, "-m", "pipeline"]
PARTS = 5
DAYS = 365 // PARTS
SERIES = 5
"""Series of a person of `uniform_world`: four of a camera, the bitrate of a microphone."""


@dataclass(frozen=True)
class Run:
    """What a backfill cost, and what it left behind.

    Attributes:
        name: what was run.
        units: how much input it had: people, calls or days.
        cost: of its process.
        requests: that it sent.
        bytes: of the folder afterwards, by part.
    """

    name: str
    units: int
    cost: Cost
    requests: int
    bytes: dict[str, int]

    def __str__(self) -> str:
        sizes = ", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in self.bytes.items())
        return (
            f"{self.name}: {self.cost.cpu:.1f} CPU s, {self.cost.wall:.0f} s, {self.cost.megabytes:.0f} MB of memory, "
            f"{self.requests} requests; {sizes}"
        )


def main() -> int:
    wanted = sys.argv[1:] or ["livestream", "calls", "year"]
    trials = {"livestream": livestream, "calls": calls, "year": year}
    with tempfile.TemporaryDirectory() as folder:
        return max(trials[name](Path(folder) / name) for name in wanted)


def livestream(folder: Path) -> int:
    """Two hosts of one hour, and viewers who come and go."""
    return _by_size(folder, "viewers", (12_500, 50_000), lambda size: World((_stream(size),)))


def calls(folder: Path) -> int:
    """Calls of two people and ten minutes."""
    return _by_size(folder, "calls", (1_250, 5_000), lambda size: uniform_world(DAY, size, 2, 10, 10))


def year(folder: Path) -> int:
    """A year of ten calls a day, five people each, half an hour; then what there is to do every day."""
    data = folder / "data"
    folder.mkdir(parents=True)
    first = DAY - timedelta(days=PARTS * DAYS)
    runs: list[Run] = []
    expected = 0
    for part in range(PARTS):
        days = [first + timedelta(days=part * DAYS + number) for number in range(DAYS)]
        world = World(tuple(call for day in days for call in uniform_world(day, 10, 5, 30, 5).calls))
        expected += DAYS * 10 * 5 * SERIES * 30 * 12
        runs.append(_backfill(f"days {part * DAYS + 1} to {(part + 1) * DAYS}", DAYS, world, days, data))
        print(runs[-1], flush=True)
    _print_ratios(runs[0], runs[-1], "day", folder)
    variables = environment("http://127.0.0.1:9", data)
    for arguments in (["status"], ["sql", "SELECT count(*) FROM metric_points"], ["rebuild", "--from", f"{days[-1]}"]):
        cost = cost_of([*COMMAND, *arguments], variables, folder)
        print(f"then `{' '.join(arguments)}`: {cost.cpu:.1f} CPU s, {cost.megabytes:.0f} MB, exit code {cost.code}")
    with open_published(data / "warehouse.duckdb") as database:
        found = database.execute(
            "SELECT (SELECT count(*) FROM metric_points), (SELECT count(*) FROM windows WHERE state = 'landed'), "
            "(SELECT count(DISTINCT session_date) FROM call_sessions)"
        ).fetchone()
    print(f"points, windows, days: {found}, expected {(expected, PARTS * DAYS * 50, PARTS * DAYS)}")
    return int(found != (expected, PARTS * DAYS * 50, PARTS * DAYS) or any(run.cost.code for run in runs))


def _stream(viewers: int) -> CallSpec:
    start = datetime.combine(DAY, time(10), UTC)
    end = start + timedelta(hours=1)
    talk = Points.every(5, start, bitrate=(31_000, 32_000, 33_000) * 240)
    hosts = [
        StaySpec(
            f"host-{n}", f"host-{n}-1", joined_at=start, left_at=end, tracks=(TrackSpec("mic", "audio", "opus", talk),)
        )
        for n in range(2)
    ]
    client = ClientSpec(name="web", version="1.8.0", network_type="wifi")
    guests = [
        StaySpec(
            f"viewer-{n}",
            f"viewer-{n}-1",
            joined_at=start + timedelta(seconds=n % 1_800),
            left_at=end - timedelta(seconds=n % 900),
            client=client,
            latency_ms=40,
            jitter_ms=3,
            cq_score=91,
        )
        for n in range(viewers)
    ]
    return CallSpec("livestream", "stream", "stream-1", started_at=start, ended_at=end, participants=(*hosts, *guests))


def _by_size(folder: Path, unit: str, sizes: Sequence[int], world_of: Callable[[int], World]) -> int:
    runs, wrong = [], 0
    for size in sizes:
        data = folder / f"{size}" / "data"
        data.parent.mkdir(parents=True)
        world = world_of(size)
        runs.append(_backfill(f"{size} {unit}", size, world, [DAY], data))
        with Emulator(world, clock=_after(DAY)) as emulator:
            expected = emulator.expected_rows()
        missing = list(differences(data / "warehouse.duckdb", Landing(data / "raw"), expected))
        print(f"{runs[-1]}; {'; '.join(missing) or 'every row is there, none twice'}", flush=True)
        wrong |= bool(missing) or runs[-1].cost.code != 0
    print(_backfill("the same again", size, world, [DAY], data))
    _print_ratios(*runs, unit, folder)
    return int(wrong)


def _backfill(name: str, units: int, world: World, days: Sequence[date], data: Path) -> Run:
    with Emulator(world, clock=_after(days[-1]), max_logged_requests=0) as emulator:
        variables = environment(emulator.url, data) | {"CALL_METRICS_START": "2025-01-01"}
        span = ["--from", f"{days[0]}", "--to", f"{days[-1]}"]
        cost = cost_of([*COMMAND, "backfill", *span], variables, data.parent)
        if cost.code:
            print(cost.output[-2000:])
        return Run(name, units, cost, emulator.count(), _sizes(data))


def _sizes(data: Path) -> dict[str, int]:
    def size(path: Path) -> int:
        files = [path] if path.is_file() else path.rglob("*") if path.is_dir() else []
        return sum(file.stat().st_size for file in files if file.is_file())

    parts = {"raw": "raw", "tables": "tables", "database": "warehouse.duckdb"}
    return {name: size(data / part) for name, part in parts.items()} | {"Dagster": size(data / "dagster")}


def _print_ratios(small: Run, large: Run, unit: str, folder: Path) -> None:
    """Print how much more a unit of the larger run costs, beyond an empty day."""
    (folder / "empty").mkdir()
    empty = _backfill("an empty day", 1, World(()), [DAY], folder / "empty" / "data")
    small_each, large_each = ((run.cost.cpu - empty.cost.cpu) / run.units for run in (small, large))
    print(
        f"per {unit.removesuffix('s')}: {large_each / small_each:.2f} times the CPU of the smaller one; memory "
        f"{large.cost.megabytes / small.cost.megabytes:.2f} times in all"
    )


def _after(day: date) -> ManualClock:
    return ManualClock(datetime.combine(day, time(12), UTC) + timedelta(days=2))


if __name__ == "__main__":
    sys.exit(main())
