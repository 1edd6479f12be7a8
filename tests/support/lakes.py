"""DuckLakes in tests: comparing them with the embedded database, looking at their files, and worlds to load."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.catalog import LakeCatalog
from pipeline.settings import Settings
from pipeline.warehouse.attach import attach
from pipeline.warehouse.published import open_published
from tests.support.small_world import SmallWorld, steady

__all__ = ["ManyDays", "files", "lake_of", "names", "query", "unequal"]

NOW = ("hours_since_newest_fetch", "days_until_forgotten", "seconds_before", "start_by", "stays_lost_now")
"""Columns that are about the present instant."""


class ManyDays(SmallWorld):
    """A source with the same small call on so many days. `mark` stands for what its tables are made from."""

    def __init__(self, days: list[date], *, people: int = 2, mark: str = "made by hand") -> None:
        super().__init__()
        self.given, self.mark = days, mark
        self.call()
        for number in range(people):
            self.stay(f"user-{number}")
            self.track(steady(0, 60), user_id=f"user-{number}", user_session_id=f"user-{number}")

    def days(self) -> list[date]:
        return self.given

    def fingerprint(self, table: str, day: date) -> str | None:
        return self.mark if day in self.given else None

    def read(self, table: str, day: date) -> pa.Table:
        return _moved(super().read(table, day), day)

    def chunks(self, table: str, day: date, **given: Any) -> Iterator[pa.Table]:
        for rows in super().chunks(table, day, **given):
            yield _moved(rows, day)


def _moved(rows: pa.Table, day: date) -> pa.Table:
    return rows.set_column(0, rows.schema.field(0), pa.repeat(pa.scalar(day), rows.num_rows))


def days_from(first: date, count: int) -> list[date]:
    """Return so many days in a row."""
    return [first + timedelta(days=number) for number in range(count)]


def lake_of(settings: Settings) -> LakeCatalog:
    """Return the lake of some settings."""
    assert isinstance(settings.warehouse, LakeCatalog)
    return settings.warehouse


def query(catalog: LakeCatalog, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a lake, without what locks it down."""
    with attach(catalog, read_only=True) as database:
        return database.execute(sql).fetchall()


def files(catalog: LakeCatalog) -> list[Path]:
    """Return all files in the folder of a lake."""
    return sorted(path for path in Path(catalog.data_path).rglob("*") if path.is_file())


def names(database: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the tables and views of the contract that a database has for its app."""
    rows = database.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE schema_name = current_schema() AND database_name = current_database() "
        "UNION SELECT view_name FROM duckdb_views() "
        "WHERE schema_name = current_schema() AND database_name = current_database() AND NOT internal ORDER BY ALL"
    ).fetchall()
    return [row[0] for row in rows]


def unequal(one: Path | LakeCatalog, other: Path | LakeCatalog, *, but: Collection[str] = ()) -> list[str]:
    """Return the tables and views that two databases do not both have, with the same columns, types and rows.

    Columns in `but` may have other values. Floating-point numbers may differ in their last digits: sums depend on the
    order in which the files are read.
    """
    with open_published(one) as first, open_published(other) as second:
        both = names(first)
        different = sorted(set(both) ^ set(names(second)))
        for name in set(both) - set(different):
            rows = [_rows(database, name, but) for database in (first, second)]
            if not _alike(*rows):
                different.append(name)
    return different


def _alike(one: pa.Table, other: pa.Table) -> bool:
    """Return whether two tables are equal but for the last digits of floating-point numbers."""
    if one.schema != other.schema or one.num_rows != other.num_rows:
        return False
    return all(_alike_columns(*columns) for columns in zip(one.columns, other.columns, strict=True))


def _alike_columns(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    if one.equals(other):
        return True
    return (pa.types.is_floating(one.type) and one.null_count == other.null_count) and np.allclose(
        one.to_numpy(), other.to_numpy(), rtol=1e-12, atol=0, equal_nan=True
    )


def _rows(database: duckdb.DuckDBPyConnection, name: str, but: Collection[str]) -> pa.Table:
    names = [row[0] for row in database.execute(f"DESCRIBE {name}").fetchall()]
    columns = [f'"{column}"' for column in names if column not in (*NOW, *but)]
    return database.execute(f"SELECT {', '.join(columns)} FROM {name} ORDER BY ALL").to_arrow_table()
