"""Bytes per data point of everything that is stored, and how long the dearest views take on it.

    python -m tests.bench.disk [WORLD ...] [--columns]

Worlds: `uniform` (a day of 2.6 million points), `demo` (three days of the demo) and `livestream` (a day of one host and
3,000 viewers). Each is fetched from an emulator, loaded, and loaded again with nothing to do. Bytes are printed per
data point and as a ratio to raw, times as ratios to a baseline query of the same run. With `--columns`, also what each
table and each column of `store.samples` takes in the database: DuckDB gives blocks of 256 KB to a table, and a column
takes what lies between the beginnings of its segments and of the next ones. To measure another checkout, run this file
with it: `PYTHONPATH=CHECKOUT python tests/bench/disk.py`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from pipeline.emulator import KEY, SECRET, CallSpec, Emulator, StaySpec, World, demo_world, uniform_world
from pipeline.flow import Flow
from pipeline.settings import Secret, Settings

TODAY = datetime.now(UTC).date()

BASELINE = "SELECT avg(bitrate) FROM store.samples"
QUERIES = (
    "SELECT count(*), avg(value) FROM metric_points",
    "SELECT track_type, sum(bitrate * interval_seconds) / sum(interval_seconds) FROM track_samples GROUP BY ALL",
    "SELECT * FROM track_minutes",
    "SELECT * FROM call_quality",
)

COLUMNS = """
    WITH segments AS (
        SELECT
            column_name,
            compression,
            lead(block_offset, 1, 262144) OVER (PARTITION BY block_id ORDER BY block_offset) - block_offset AS bytes
        FROM pragma_storage_info('store.samples')
        WHERE block_id >= 0
    )

    SELECT column_name, string_agg(DISTINCT compression, ', ' ORDER BY compression), sum(bytes)
    FROM segments
    GROUP BY column_name
    ORDER BY ALL
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="*", choices=[*WORLDS, []], help="which worlds (default: all)")
    parser.add_argument("--columns", action="store_true", help="also tables and columns of the database")
    given = parser.parse_args()
    for name in given.worlds or WORLDS:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, WORLDS[name](), Path(folder), columns=given.columns)


def livestream() -> World:
    """Return an hour of a host whom many people watch, most of them for a part of it."""
    (call,) = uniform_world(TODAY - timedelta(days=1), calls=1, people=1, minutes=60).calls
    viewers = tuple(
        StaySpec(
            user_id=f"viewer-{number:04d}",
            user_session_id=f"us-viewer-{number:04d}",
            joined_at=call.started_at + timedelta(seconds=number % 1800),
            left_at=call.started_at + timedelta(seconds=1800 + number % 1700),
            roles=("viewer",),
            client=call.participants[0].client,
        )
        for number in range(3000)
    )
    show = CallSpec(
        call_type="livestream",
        call_id=call.call_id,
        call_session_id=call.call_session_id,
        started_at=call.started_at,
        ended_at=call.ended_at,
        participants=(*call.participants, *viewers),
        cq_score=90,
    )
    return World((show,))


WORLDS: dict[str, Callable[[], World]] = {
    "uniform": lambda: uniform_world(TODAY - timedelta(days=1)),
    "demo": lambda: demo_world(TODAY, days=3),
    "livestream": livestream,
}


def measure(name: str, world: World, folder: Path, *, columns: bool) -> None:
    days = sorted({call.started_at.date() for call in world.calls} - {TODAY})
    with Emulator(world, max_logged_requests=0) as source:
        settings = Settings(api_key=KEY, api_secret=Secret(SECRET), base_url=source.url, data=folder)
        with Flow(settings) as flow:
            for day in days:
                flow.run(day)
            began = time.perf_counter()
            again = [flow.load([day]).published for day in days]
            seconds = (time.perf_counter() - began) / len(days)
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as database:
        database.execute("SET TimeZone = 'UTC'; SET threads = 1; SET enable_progress_bar = false")
        points, stays = (
            database.execute(query).fetchone()[0]
            for query in ("SELECT count(*) FROM metric_points", "SELECT count(*) FROM participant_sessions")
        )
        print(f"\n{name}: {points:,} points of {stays:,} stays on {len(days)} days")
        report_bytes(folder, points)
        print(f"nothing to do: published {sum(again)} times, {seconds * 1000:.0f} ms a day")
        if columns:
            report_columns(database, points)
        report_times(database)


def report_bytes(folder: Path, points: int) -> None:
    parts = {
        "raw": _size(folder / "raw"),
        "tables": _size(folder / "tables"),
        "tables: points alone": _size(folder / "tables" / "metric_points"),
        "writer's database": _size(folder / ".work"),
        "published database": (folder / "warehouse.duckdb").stat().st_size,
    }
    parts["all but raw"] = sum(parts[part] for part in ("tables", "writer's database", "published database"))
    for part, size in parts.items():
        print(f"{part:22}{size / points:8.2f} B a point{size / parts['raw']:8.2f} of raw{size:14,}")


def report_columns(database: duckdb.DuckDBPyConnection, points: int) -> None:
    total, free = database.execute("SELECT total_blocks, free_blocks FROM pragma_database_size()").fetchone() or (0, 0)
    print(f"blocks: {total}, of which free: {free}")
    for schema, table in database.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal ORDER BY ALL"
    ).fetchall():
        blocks = database.execute(
            f"SELECT count(DISTINCT block_id) FROM pragma_storage_info('{schema}.{table}') WHERE block_id >= 0"
        ).fetchone()
        print(f"  {schema}.{table:32}{blocks[0]:5} blocks{blocks[0] * 262144 / points:8.3f} B a point")
    for column, compressions, size in database.execute(COLUMNS).fetchall():
        print(f"  store.samples.{column:20}{size / points:8.3f} B a point  {compressions}")


def report_times(database: duckdb.DuckDBPyConnection) -> None:
    baseline = _fastest(database, BASELINE)
    print(f"{1:8.1f}{baseline:9.3f} s   {BASELINE}")
    for query in QUERIES:
        seconds = _fastest(database, query)
        print(f"{seconds / baseline:8.1f}{seconds:9.3f} s   {query}")


def _fastest(database: duckdb.DuckDBPyConnection, query: str) -> float:
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        database.execute(query).to_arrow_table()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
