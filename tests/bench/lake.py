"""The embedded database beside DuckLakes, in a file and in PostgreSQL: bytes, loading, queries; cost by what is held.

    python -m tests.bench.lake [--days N] [--small N] [--folder DIR] [--only NAME]

First, days of 2.55 million points are loaded into each, and every view is asked. Then small days are loaded into each:
what does one more day cost, in an empty one and in one of 60 days? Here a lake in an object store takes part too
(moto on loopback). Times are seconds of this machine, and other work on it makes them uneven; so CPU seconds, requests
to the store and statements to PostgreSQL are counted too. Those do not depend on the machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
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
from tests.support.object_store import CREDENTIALS, Bucket, FaultProxy, s3_server
from tests.support.postgres import PASSWORD, Database, Postgres, missing_programs

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
    parser.add_argument("--only", help="small days for this warehouse alone, such as `ducklake on S3`")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings: dict[str, Any] = {"embedded": None, "ducklake file": f"ducklake:{folder}/catalog.ducklake"}
        postgres = None
        if not missing_programs():
            os.environ["PGPASSWORD"] = PASSWORD
            postgres = stack.enter_context(Postgres())
            log_statements(postgres)
            settings["ducklake postgres"] = postgres.create_database().setting()
        if given.days:
            large(folder, settings, days_from(FIRST_DAY, given.days))
        for name, setting in settings.items():
            if given.only not in (None, name):
                continue
            pair = [
                postgres.create_database().setting()
                if name.endswith("postgres")
                else setting and f"ducklake:{folder}/{kind}.ducklake"
                for kind in ("empty", "full")
            ]
            server = postgres if name.endswith("postgres") else None
            small(folder / "small", name, pair, given.small, Counted(server))
        if postgres is not None and importlib.util.find_spec("moto") and given.only in (None, "ducklake on S3"):
            os.environ |= CREDENTIALS
            upstream = stack.enter_context(s3_server())
            proxy = FaultProxy(upstream)
            stack.callback(proxy.close)
            os.environ["AWS_ENDPOINT_URL"] = proxy.url
            Bucket(upstream, "bench-bucket")
            pair = [postgres.create_database().setting() for _ in range(2)]
            small(folder / "small", "ducklake on S3", pair, given.small, Counted(postgres, proxy), "s3://bench-bucket")


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


@dataclass(frozen=True)
class Counted:
    """What is counted while something is done: statements to a server, requests to a store."""

    postgres: Postgres | None = None
    proxy: FaultProxy | None = None

    def cost(self, do: Callable[[], object]) -> Counter[str]:
        """Do it, and return seconds, CPU seconds and counts by name."""
        statements = self._statements()
        requests = Counter(self.proxy.traffic.requests) if self.proxy else Counter[str]()
        begun = time.perf_counter(), time.process_time()
        do()
        seconds = {"seconds": time.perf_counter() - begun[0], "CPU seconds": time.process_time() - begun[1]}
        found: Counter[str] = Counter(seconds)  # type: ignore[arg-type]
        if self.postgres is not None:
            found["statements"] = self._statements() - statements
        if self.proxy is not None:
            found.update(self.proxy.traffic.requests - requests)
        return found

    def _statements(self) -> int:
        return 0 if self.postgres is None else len(re.findall(r"LOG:  (?:statement|execute)", self.postgres.log))


def log_statements(postgres: Postgres) -> None:
    """Let the server log each statement, with its time in Unix seconds."""
    server = Database(postgres.port, "postgres")
    for name, value in {"log_statement": "all", "log_line_prefix": "%n "}.items():
        server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.execute("SELECT pg_reload_conf()")


def small(
    folder: Path, name: str, settings: list[str | None], held: int, counted: Counted, bucket: str | None = None
) -> None:
    """Print what loading a small day costs into a warehouse of some days, as a ratio to an empty one.

    Days are loaded into one and the other in turn, and each pair begins with the other one than the pair before, so
    that whatever else the machine does slows down both.
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
    costs: list[list[Counter[str]]] = [[], []]
    for turn, day in enumerate(days[held:]):
        for number in (0, 1) if turn % 2 else (1, 0):
            costs[number].append(counted.cost(partial(warehouses[number].load, source, [day])))
    print(f"{name}: a small day into an empty one, and beside {held} days")
    for what in costs[0][0]:
        empty, full = (statistics.median(cost[what] for cost in column) for column in costs)
        least = min(cost[what] for cost in costs[1]), min(cost[what] for cost in costs[0])
        ratios = "" if not empty else f": {full / empty:.2f} times (least: {least[0] / max(least[1], 1e-9):.2f})"
        print(f"    {what:12} {empty:8.3f} {full:8.3f}{ratios}", flush=True)
    if isinstance(place, LakeCatalog) and place.file:
        print(f"    catalog {place.file.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
