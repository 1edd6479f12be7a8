"""How long each view takes on 20 million points, and what track statistics add to loading a day.

    python -m tests.bench.views [--points MILLIONS] [--folder DIR]

Times are printed as ratios to a baseline query of the same run (mean of one column over all samples), and in seconds of
this machine. The database is created in a folder, directly in the tables of `store`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.quality.track_statistics import compute_track_statistics
from pipeline.quality.views import VIEWS
from pipeline.warehouse.load import Warehouse
from pipeline.warehouse.packing import pack_samples

TRACKS, AUDIO, SAMPLES, STEP = 1000, 250, 600, 5  # a day's camera tracks, its audio tracks, samples a track, seconds
POINTS_PER_DAY = (TRACKS * 4 + AUDIO) * SAMPLES
PER_CALL = 25
FIRST_DAY = date(2026, 11, 1)

BASELINE = "SELECT avg(bitrate) FROM store.samples"
QUERIES = {
    "track_samples": [
        "SELECT count(*), avg(bitrate) FROM track_samples",
        "SELECT track_type, sum(bitrate * interval_seconds) / sum(interval_seconds) FROM track_samples GROUP BY ALL",
        "SELECT * FROM track_samples WHERE call_id = 'call-7' AND session_date = DATE '2026-11-02'",
    ],
    "track_minutes": [
        "SELECT count(*) FROM track_minutes",
        "SELECT minute, avg(framerate_mean), sum(active_seconds) FROM track_minutes GROUP BY ALL",
        "SELECT * FROM track_minutes",
        "SELECT * FROM track_minutes WHERE session_date = DATE '2026-11-02'",
    ],
}


class _NoTables:
    """A source without days."""

    def fingerprint(self, table: str, day: date) -> str | None: ...
    def read(self, table: str, day: date) -> pa.Table: ...
    def chunks(self, table: str, day: date, *, dictionaries: list[str] | None = None) -> Iterator[pa.Table]: ...
    def days(self) -> list[date]:
        return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=float, default=20, help="millions of points (default: 20)")
    parser.add_argument("--folder", type=Path, help="where to make the database (default: a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        path = folder / "published.duckdb"
        if not path.exists():
            build(folder, path, days=max(1, round(given.points * 1e6 / POINTS_PER_DAY)))
        with duckdb.connect(str(path), read_only=True, config={"threads": 2}) as database:
            database.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            report(database)


def build(folder: Path, path: Path, *, days: int) -> None:
    Warehouse(path, folder / "writer.duckdb").load(_NoTables(), [])
    computed_seconds = 0.0
    with duckdb.connect(str(path)) as database:
        database.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        for number in range(days):
            day = FIRST_DAY + timedelta(days=number)
            tables = make_day(day, np.random.default_rng(number))
            began = time.process_time()
            known = compute_track_statistics(tables.pop("store.series"), tables.pop("store.samples"))
            computed_seconds += time.process_time() - began
            tables |= {f"store.{name}": fresh for name, fresh in known.by_table.items()}
            tables["store.samples"] = pack_samples(tables["store.samples"])
            for name, fresh in tables.items():
                if "session_date" not in fresh.column_names:
                    fresh = fresh.add_column(0, "session_date", pa.repeat(pa.scalar(day), fresh.num_rows))
                database.register("fresh", fresh)
                database.execute(f"INSERT INTO {name} BY NAME SELECT * FROM fresh")
                database.unregister("fresh")
        samples = database.execute("SELECT count(*) FROM store.samples").fetchone()
    print(f"{days} days, {days * POINTS_PER_DAY / 1e6:.1f} million points, {samples[0]:,} samples")
    print(f"track statistics: {computed_seconds / days:.2f} s of CPU a day of {POINTS_PER_DAY / 1e6:.2f} million")


def report(database: duckdb.DuckDBPyConnection) -> None:
    baseline = fastest(database, BASELINE)
    print(f"{'baseline':22}{1:8.1f}{baseline:9.3f} s   {BASELINE}")
    for view in VIEWS:
        for query in QUERIES.get(view, [f"SELECT count(*) FROM {view}", f"SELECT * FROM {view}"]):
            seconds = fastest(database, query)
            print(f"{view:22}{seconds / baseline:8.1f}{seconds:9.3f} s   {query}")


def fastest(database: duckdb.DuckDBPyConnection, query: str, times: int = 3) -> float:
    """Return the seconds of the fastest of some runs, fetched as Arrow."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        database.execute(query).to_arrow_table()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def make_day(day: date, random: np.random.Generator) -> dict[str, pa.Table]:
    """Return the rows of a day: calls of 25 people with a camera each, some of them with a microphone too."""
    start = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    end = start + timedelta(seconds=SAMPLES * STEP + 60)
    people = [
        {
            "session_date": day,
            "call_type": "default",
            "call_id": f"call-{number // PER_CALL}",
            "call_session_id": f"session-{day}-{number // PER_CALL}",
            "user_id": f"user-{number}",
            "user_session_id": f"stay-{day}-{number}",
        }
        for number in range(TRACKS)
    ]
    kinds = [
        kind
        for number in range(TRACKS)
        for kind in (("audio",) if number % (TRACKS // AUDIO) == 0 else ()) + ("video",)
    ]
    owners = [number for number in range(TRACKS) for _ in range(2 if number % (TRACKS // AUDIO) == 0 else 1)]
    tracks = [
        {
            **people[owner],
            "track_id": f"track-{place}",
            "track_type": kind,
            "codec": "opus" if kind == "audio" else "vp8",
        }
        for place, (owner, kind) in enumerate(zip(owners, kinds, strict=True))
    ]
    first = day.toordinal() << 32
    series = pa.Table.from_pylist(tracks).append_column("series_id", pa.array(np.arange(len(tracks)) + first))
    return {
        "call_sessions": pa.Table.from_pylist(
            [
                {name: person[name] for name in list(person)[:4]}
                | {"started_at": start, "ended_at": end, "sessions": 25}
                for person in people[::PER_CALL]
            ]
        ),
        "participant_sessions": pa.Table.from_pylist(
            [
                {
                    **person,
                    "joined_at": start,
                    "left_at": end,
                    "client_name": ("chrome", "firefox", "safari")[number % 3],
                    "client_version": str(number % 7),
                    "network_type": ("wifi", "cellular")[number % 2],
                    "country": ("Norway", "Chile", "Kenya", "Japan")[number % 4],
                }
                for number, person in enumerate(people)
            ]
        ),
        "tracks": pa.Table.from_pylist(
            [{**track, "first_point_at": start, "last_point_at": end, "points": SAMPLES} for track in tracks]
        ),
        "track_warnings": pa.Table.from_pylist(
            [{**track, "time": start, "code": "warned"} for track in tracks[::10]]
        ).drop_columns(["codec"]),
        "windows": pa.Table.from_pylist(
            [{**person, "since": start, "until": end, "state": "landed", "fetched_at": end} for person in people]
        ),
        "store.series": series,
        "store.samples": _samples(np.array([kind == "video" for kind in kinds]), start, first, random),
    }


def _samples(video: Any, start: datetime, first: int, random: np.random.Generator) -> pa.Table:
    """Return samples every five seconds: some with low bitrate, frame rate and resolution, and some gaps."""
    tracks, shape = len(video), (len(video), SAMPLES)
    state = np.repeat(random.random((tracks, SAMPLES // 12)), 12, axis=1)
    low = state < 0.05
    instants = (
        int(start.timestamp()) * 10**6 + np.arange(SAMPLES) * STEP * 10**6 + random.integers(0, 5_000_000, (tracks, 1))
    )
    columns = {
        "bitrate": np.where(low, 2e5, 2e6) * (0.8 + 0.4 * random.random(shape)),
        "framerate": np.where(low, random.integers(0, 8, shape), 30 - 4 * random.random(shape)),
        "resolution_width": np.where(low, 320.0, 1280.0),
        "resolution_height": np.where(low, 180.0, 720.0),
    }
    kept = (state < 0.98).ravel()
    samples = {
        "series_id": pa.array(np.repeat(np.arange(tracks) + first, SAMPLES)[kept]),
        "timestamp": pa.array(instants.ravel()[kept]).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
    }
    for name, values in columns.items():
        values[~video if name != "bitrate" else np.zeros_like(video)] = np.nan
        samples[name] = pa.array(np.round(values.ravel()[kept], 3), from_pandas=True)
    return pa.table(samples)


if __name__ == "__main__":
    main()
