"""Worlds for the views of releases: judged stays, written directly into the tables that these views read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.quality.views import MACROS, VIEWS
from pipeline.sql import read_statement

__all__ = ["FIRST_DAY", "Columns", "add", "opened", "people_of", "rows_of"]

FIRST_DAY = date(2026, 9, 1)

RELEASES = "pipeline.quality.releases"

Columns = Mapping[str, Any]
"""Stays as columns: user, version, poor, and optionally day (after FIRST_DAY), client, network, country, os, judged."""

_TEXTS = {"client": "web", "network": "wifi", "country": "Norway", "os": None}


def people_of(random: np.random.Generator, n: int, **given: Any) -> dict[str, Any]:
    """Return columns for n stays of n people on three networks in two countries. `given` are further columns."""
    columns: dict[str, Any] = {
        "user": np.arange(n),
        "network": random.choice(["wifi", "cellular", "ethernet"], n, p=[0.6, 0.3, 0.1]),
        "country": random.choice(["Norway", "Chile"], n, p=[0.7, 0.3]),
        "day": np.zeros(n, int),
    }
    for name, values in given.items():
        columns[name] = np.broadcast_to(np.asarray(values), n)
    return columns


@contextmanager
def opened() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty database with the views and the macro."""
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        database.execute(
            "CREATE TABLE participant_sessions (session_date DATE, call_type VARCHAR, call_id VARCHAR, "
            "call_session_id VARCHAR, user_id VARCHAR, user_session_id VARCHAR, client_name VARCHAR, "
            "client_version VARCHAR, network_type VARCHAR, country VARCHAR, os VARCHAR, class VARCHAR)"
        )
        database.execute("CREATE SEQUENCE stay")
        database.execute("CREATE VIEW participant_quality AS SELECT * EXCLUDE (os) FROM participant_sessions")
        for name in [name for name, package in VIEWS.items() if package == RELEASES]:
            database.execute(f"CREATE VIEW {name} AS {read_statement(RELEASES, name)}")
        for name in [name for name, package in MACROS.items() if package == RELEASES]:
            database.execute(f"CREATE MACRO {name}\n{read_statement(RELEASES, name)}")
        yield database


def add(database: duckdb.DuckDBPyConnection, columns: Columns) -> None:
    """Add stays. `judged` may be false; `poor` counts only where it is true, as it is by default."""
    n = len(columns["user"])
    texts = {
        name: pa.array(np.broadcast_to(np.asarray(columns.get(name, usual), object), n).tolist(), pa.string())
        for name, usual in {**_TEXTS, "version": None}.items()
    }
    stays = pa.table(
        {
            **texts,
            "user": pa.array([f"user-{user}" for user in np.asarray(columns["user"]).tolist()]),
            "day": np.broadcast_to(np.asarray(columns.get("day", 0)), n).astype(np.int64),
            "poor": np.broadcast_to(np.asarray(columns["poor"]), n).astype(bool),
            "judged": np.broadcast_to(np.asarray(columns.get("judged", True)), n).astype(bool),
        }
    )
    database.register("stays", stays)
    database.execute(
        "INSERT INTO participant_sessions SELECT $first::DATE + day::INTEGER, 'default', 'c', 'c', \"user\", "
        "'stay-' || nextval('stay'), client, version, network, country, os, "
        "CASE WHEN NOT judged THEN 'unclassified' WHEN poor THEN 'poor' ELSE 'good' END FROM stays",
        {"first": FIRST_DAY},
    )
    database.unregister("stays")


def rows_of(database: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query."""
    return database.execute(query).to_arrow_table().to_pylist()
