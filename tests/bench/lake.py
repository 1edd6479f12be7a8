"""The embedded database beside DuckLakes, in a file and in PostgreSQL: bytes, loading, queries; cost by what is held.

    python -m tests.bench.lake [--days N] [--small N] [--folder DIR]

First, days of 2.55 million points are loaded into each, and every view is asked. Then small days are loaded into each:
what does one more day cost, in an empty one and in one of 60 days? Here a lake in an object store takes part too
(moto on loopback). Times are seconds of this machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.catalog import LakeCatalog
from pipeline.quality.views import VIEWS
from pipeline.schema import METRICS, TABLES
from pipeline.storage import LocalStore
from pipeline.storage.objects import ObjectStore
from pipeline.warehouse.choice import choose_turns, choose_warehouse
from pipeline.warehouse.published import open_published
from tests.bench.views import FIRST_DAY, POINTS_PER_DAY, fastest, make_day
from tests.bench.views import QUERIES as ASKED
from tests.support.lakes import ManyDays, days_from
from tests.support.object_store import CREDENTIALS, Bucket, s3_server
from tests.support.postgres import PASSWORD, Postgres, missing_programs

ONE_DAY = date(2026, 11, 2)
QUERIES = [
    *(query for queries in ASKED.values() for query in queries),
    *(f"SELECT * FROM {view}" for view in VIEWS if view not in ASKED),
    "SELECT count(*) FROM metric_points",
    "SELECT session_date, avg(value) FROM metric_points WHERE metric = 'bitrate' GROUP BY ALL",
    "SELECT count(*) FROM metric_points WHERE user_id = 'user-7'",
    *(f"SELECT * FROM {view} WHERE session_date = DATE '{ONE_DAY}'" for view in ("track_quality", "call_quality")),
    f"SELECT avg(value) FROM metric_points WHERE call_id = 'call-7' AND session_date = DATE '{ONE_DAY}'",
]


class LargeDays:
    """A source of days of 2.55 million points."""

    def __init__(self, days: list[date]) -> None:
        self._days = days

    def days(self) -> list[date]:
        return self._days

    def fingerprint(self, table: str, day: date) -> str | None:
        return f"{day}"

    def read(self, table: str, day: date) -> pa.Table:
        schema = TABLES[table].schema
        rows = _tables(day).get(table, schema.empty_table())
        missing = [name for name in schema.names if name not in rows.column_names]
        for name in missing:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, schema.field(name).type))
        return rows.select(schema.names).cast(schema)

    def chunks(self, table: str, day: date, *, dictionaries: list[str] | None = None) -> Iterator[pa.Table]:
        points = _points(day)
        for name in dictionaries or ():
            place = points.schema.get_field_index(name)
            points = points.set_column(place, name, points.column(name).dictionary_encode())
        for start in range(0, points.num_rows, 1 << 20):
            yield points.slice(start, 1 << 20)


@lru_cache(2)
def _tables(day: date) -> dict[str, pa.Table]:
    return make_day(day, np.random.default_rng(day.toordinal()))


@lru_cache(1)
def _points(day: date) -> pa.Table:
    tables = _tables(day)
    samples, series = tables["store.samples"], tables["store.series"]  # noqa: F841 - DuckDB reads them
    parts = " UNION ALL ".join(
        f"SELECT series_id, '{metric}' AS metric, timestamp, {metric} AS value FROM samples WHERE {metric} IS NOT NULL"
        for metric in METRICS
    )
    table = TABLES["metric_points"]
    return duckdb.sql(
        f"SELECT {', '.join(table.schema.names)} FROM ({parts}) JOIN series USING (series_id) "
        f"ORDER BY {', '.join(table.key)}"
    ).to_arrow_table()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=4, help="large days (default: 4)")
    parser.add_argument("--small", type=int, default=60, help="small days that are held (default: 60)")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings: dict[str, Any] = {"embedded": None, "ducklake file": f"ducklake:{folder}/catalog.ducklake"}
        postgres = None
        if not missing_programs():
            os.environ["PGPASSWORD"] = PASSWORD
            postgres = stack.enter_context(Postgres())
            settings["ducklake postgres"] = postgres.create_database().setting()
        if given.days:
            large(folder, settings, days_from(FIRST_DAY, given.days))
        for name, setting in settings.items():
            pair = [
                postgres.create_database().setting()
                if name.endswith("postgres")
                else setting and f"ducklake:{folder}/{kind}.ducklake"
                for kind in ("empty", "full")
            ]
            small(folder / "small", name, pair, given.small)
        if postgres is not None and importlib.util.find_spec("moto"):
            os.environ |= CREDENTIALS
            upstream = stack.enter_context(s3_server())
            os.environ["AWS_ENDPOINT_URL"] = f"http://{upstream}"
            Bucket(upstream, "bench-bucket")
            pair = [postgres.create_database().setting() for _ in range(2)]
            small(folder / "small", "ducklake on S3", pair, given.small, "s3://bench-bucket")


def opened(folder: Path, setting: str | None, bucket: str | None = None) -> Any:
    """Return the place of a warehouse and the warehouse. With `bucket`, its files are there."""
    root = f"{bucket}/{folder.name}" if bucket else folder
    place = folder / "warehouse.duckdb" if setting is None else LakeCatalog.parse(setting, root)
    files = ObjectStore(root, folder / "scratch").below("lake") if isinstance(root, str) else None
    turns = choose_turns(place, str(root), folder / "locks")
    return place, choose_warehouse(
        place,
        folder / "writer.duckdb",
        turns=turns,
        owner=lambda: "bench",
        thresholds=folder / "thresholds.csv",
        files=files or LocalStore(folder).below("lake"),
        work=folder,
    )


def large(folder: Path, settings: dict[str, Any], days: list[date]) -> None:
    source = LargeDays(days)
    places = {}
    print(f"{len(days)} days of {POINTS_PER_DAY / 1e6:.2f} million points")
    for name, setting in settings.items():
        root = folder / name.replace(" ", "-")
        root.mkdir(parents=True, exist_ok=True)
        places[name], warehouse = opened(root, setting)
        warehouse.load(LargeDays([]), [])
        seconds = []
        for day in days:
            _points(day)  # made before the clock starts
            begun = time.perf_counter(), time.process_time()
            warehouse.load(source, [day])
            seconds.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
        held = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        if isinstance(places[name], LakeCatalog) and places[name].file:
            held += places[name].file.stat().st_size
        wall, cpu = (statistics.median(column) for column in zip(*seconds, strict=True))
        print(f"{name:18} {held / 1e6:7.1f} MB on disk; loading a day {wall:.2f} s, {cpu:.2f} s of CPU")
    with ExitStack() as stack:
        bases = {name: stack.enter_context(open_published(place)) for name, place in places.items()}
        print("  ".join(f"{name:>18}" for name in bases))
        for query in QUERIES:
            print("  ".join(f"{fastest(base, query) * 1000:15.0f} ms" for base in bases.values()), "", query)


def small(folder: Path, name: str, settings: list[str | None], held: int, bucket: str | None = None) -> None:
    """Print what loading a small day costs into a warehouse of some days, as a ratio to an empty one.

    Days are loaded into one and the other in turn, so that whatever else the machine does slows down both.
    """
    shutil.rmtree(folder, ignore_errors=True)
    days = days_from(FIRST_DAY, held + 15)
    source = ManyDays(days, people=20)
    warehouses = []
    for kind, setting in zip(("empty", "full"), settings, strict=True):
        (folder / kind).mkdir(parents=True)
        place, warehouse = opened(folder / kind, setting, bucket)
        warehouse.load(ManyDays([]), [])
        warehouses.append(warehouse)
    for day in days[:held]:
        warehouses[1].load(source, [day])
    seconds: list[list[float]] = [[], []]
    for day in days[held:]:
        for number, warehouse in enumerate(warehouses):
            begun = time.perf_counter()
            warehouse.load(source, [day])
            seconds[number].append(time.perf_counter() - begun)
    empty, full = map(statistics.median, seconds)
    least = min(seconds[1]) / min(seconds[0])
    size = place.file.stat().st_size / 1e6 if isinstance(place, LakeCatalog) and place.file else 0
    print(
        f"{name:18} a small day costs {empty * 1000:.0f} ms in an empty one, {full * 1000:.0f} ms beside {held} days: "
        f"{full / empty:.2f} times (quickest: {least:.2f})" + (f"; catalog {size:.1f} MB" if size else "")
    )


if __name__ == "__main__":
    main()
