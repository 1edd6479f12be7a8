"""What a day costs in requests, CPU, memory, objects, bytes and money, at sizes that no test can run.

    python -m tests.bench.scale [--sizes SMALL LARGE CHECK] [--write]

Measures three days on real parts (emulator, S3 server and PostgreSQL on loopback): two sizes, and the larger one with a
point a minute instead of every 5 seconds. From these `scale_model` derives the tables of docs/scale.md. A fourth, still
larger day shows how far the derivation holds. `--write` puts the measured values into docs/scale-measured.json and the
tables into the page. Needs PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from tests.bench.lake import log_statements, opened
from tests.bench.measuring import YESTERDAY, Cost, cost_of, environment
from tests.bench.scale_model import TABLES
from tests.support.lakes import ManyDays, days_from
from tests.support.object_store import CREDENTIALS, Bucket, FaultProxy, s3_server
from tests.support.postgres import PASSWORD, Postgres, missing_programs

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "scale.md"
MEASURED = DOCS / "scale-measured.json"
STEP, SPARSE_STEP = 5, 60

_TABLES_OF_CATALOG = "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public'"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs=3, default=(300, 1500, 6000), help="participant sessions")
    parser.add_argument("--write", action="store_true", help="write the measured values and the tables into docs/")
    given = parser.parse_args()
    if missing := missing_programs():
        sys.exit(missing)
    measured = measure(*given.sizes)
    for name in TABLES:
        print(f"\n{name}\n{table(name, measured)}", flush=True)
    if given.write:
        MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")


def table(name: str, measured: Mapping[str, Any]) -> str:
    """Return a derived table as Markdown."""
    heading, *rows = TABLES[name](measured)
    lines: list[Sequence[str]] = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_tables(page: str, measured: Mapping[str, Any]) -> str:
    """Return the page with the tables between its markers made from the measured values."""
    for name in TABLES:
        marked = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page, found = marked.subn(lambda match, name=name: f"{match[1]}{table(name, measured)}\n{match[2]}", page)
        assert found == 1, f"the page has {found} tables {name}"
    return page


def measure(small: int, large: int, check: int) -> dict[str, Any]:
    """Measure the days and the catalog."""
    os.environ |= {**CREDENTIALS, "PGPASSWORD": PASSWORD}
    days = []
    with Postgres() as postgres:
        log_statements(postgres)
        for number, (sessions, step) in enumerate([(small, STEP), (large, STEP), (large, SPARSE_STEP), (check, STEP)]):
            with (
                tempfile.TemporaryDirectory() as folder,
                s3_server() as upstream,
                _source(YESTERDAY, sessions, step) as source,
            ):
                print(f"day {number + 1}: {sessions} participant sessions", file=sys.stderr, flush=True)
                days.append(_day(Path(folder), postgres, upstream, source, sessions, step))
        catalog = _catalog(postgres)
    publication = days[1].pop("publication")
    for day in days:
        day.pop("publication", None)
    return {"days": days[:3], "check": days[3], "publication": publication, "catalog": catalog}


def _day(folder: Path, postgres: Postgres, upstream: str, source: str, sessions: int, step: int) -> dict[str, Any]:
    proxy = FaultProxy(upstream)
    bucket = Bucket(upstream, "bench-bucket")
    instants: list[float] = []
    proxy.on_call = lambda _: instants.append(time.time())
    variables = {
        **environment(source, folder / "data"),
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": proxy.url,
        "PGPASSWORD": PASSWORD,
        "CALL_METRICS_DATA": f"s3://{bucket.name}/app",
        "CALL_METRICS_WAREHOUSE": postgres.create_database().setting(),
    }
    costs: dict[str, Cost] = {}
    done: dict[str, dict[str, Any]] = {}
    store: dict[str, dict[str, int]] = {}
    held: dict[str, dict[str, int]] = {}
    for what in ("fetch", "compact", "again"):
        scratch = {"CALL_METRICS_SCRATCH": str(folder / what)}
        command = [sys.executable, "-m", "tests.bench.scale_day", what, f"{YESTERDAY}"]
        with proxy.counting() as traffic:
            costs[what] = cost_of(command, {**variables, **scratch}, DOCS.parent)
        assert costs[what].code == 0, costs[what].output
        done[what] = json.loads(costs[what].output.splitlines()[-1])
        store[what] = dict(sorted(traffic.requests.items()))
        held[what] = _sizes(bucket)
    begun, ended = done["fetch"]["turns"][-1]
    proxy.close()
    return {
        "sessions": sessions,
        "step": step,
        "points": done["fetch"]["points"],
        "requests": done["fetch"]["requests"],
        "requests_again": done["again"]["requests"],
        "steps": {name: round(seconds, 3) for name, seconds in done["fetch"]["steps"].items()},
        "cpu": {what: round(cost.cpu, 2) for what, cost in costs.items()},
        "memory": round(max(cost.megabytes for cost in costs.values())),
        "store": store,
        "segments": held["fetch"]["raw objects"],
        "compacted": held["compact"]["raw objects"],
        "raw": held["again"]["raw"],
        "tables": held["again"]["tables"],
        "lake": held["again"]["lake"],
        "publication": {
            "seconds": round(ended - begun, 3),
            "store_requests": sum(begun <= instant <= ended for instant in instants),
            "catalog_statements": _statements(postgres, begun, ended),
        },
    }


def _sizes(bucket: Bucket) -> dict[str, int]:
    """Return the bytes of each folder in the bucket, and the number of raw objects."""
    sizes = {key: len(content) for key, content in bucket.contents().items()}
    found = {
        folder: sum(size for key, size in sizes.items() if key.startswith(f"app/{folder}/"))
        for folder in ("raw", "tables", "lake")
    }
    found["raw objects"] = sum(key.startswith("app/raw/") and key.endswith(".parquet") for key in sizes)
    return found


def _statements(postgres: Postgres, begun: float, ended: float) -> int:
    found = re.findall(r"^(\d+\.\d+) LOG:  (?:statement|execute)", postgres.log, re.MULTILINE)
    return sum(begun <= float(instant) <= ended for instant in found)


def _catalog(postgres: Postgres, first: int = 5, more: int = 20) -> dict[str, float]:
    """Return what a day adds to the catalog. It has rows for files and columns, so that its size does not matter."""
    database = postgres.create_database()
    with tempfile.TemporaryDirectory() as folder:
        _, warehouse = opened(Path(folder), database.setting())
        days = days_from(date(2026, 11, 1), first + more)
        source = ManyDays(days)
        warehouse.load(ManyDays([]), [])
        sizes = []
        for part in (days[:first], days[first:]):
            for day in part:
                warehouse.load(source, [day])
            tables = [row[0] for row in database.execute(_TABLES_OF_CATALOG)]
            rows = sum(database.execute(f"SELECT count(*) FROM public.{name}")[0][0] for name in tables)
            sizes.append((rows, database.execute("SELECT pg_database_size(current_database())")[0][0]))
        warehouse.close()
    return {
        "rows": round((sizes[1][0] - sizes[0][0]) / more, 1),
        "bytes": round((sizes[1][1] - sizes[0][1]) / more),
    }


@contextmanager
def _source(day: date, sessions: int, step: int) -> Iterator[str]:
    """Yield the address of an emulator with such a day."""
    command = [sys.executable, "-m", "tests.bench.scale_day", "serve", f"{day}", f"{sessions}", f"{step}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=DOCS.parent)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    main()
