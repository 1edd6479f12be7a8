"""What differs between two data folders or databases: tables, columns, and rows by day.

Rows are compared by a hash of their values, as a bag: their order does not matter, and doubled rows do. How it is
printed is in `cli.diff`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

import duckdb

from pipeline.catalog import LakeCatalog
from pipeline.errors import FixSettings
from pipeline.schema import TABLES
from pipeline.sql import literal, quoted, registered
from pipeline.warehouse.published import open_published, read_errors

__all__ = ["DayDifference", "Side", "TableDifference", "compare"]

Summary = tuple[int, str]
"""How many rows a day has, and the sum of their hashes."""

COUNT_DIFFERENT = """
SELECT
    coalesce(sum(greatest(coalesce(one.n, 0) - coalesce(other.n, 0), 0)), 0)::BIGINT,
    coalesce(sum(greatest(coalesce(other.n, 0) - coalesce(one.n, 0), 0)), 0)::BIGINT
FROM one
FULL JOIN other ON one.hash = other.hash
"""


@dataclass(frozen=True)
class DayDifference:
    """A day of a table whose rows differ: how many there are, and how many the other side does not have."""

    day: date
    rows: tuple[int, int]
    only: tuple[int, int]


@dataclass(frozen=True)
class TableDifference:
    """How a table differs. `columns` are sentences about columns that cannot be compared."""

    table: str
    missing_in: tuple[bool, bool]
    columns: tuple[str, ...]
    days: tuple[DayDifference, ...]
    days_compared: int

    @property
    def is_equal(self) -> bool:
        """Whether both sides have the table, with the same columns and rows."""
        return not (any(self.missing_in) or self.columns or self.days)


class Side:
    """One of the two: a database, or a data folder with its Parquet tables. A context manager."""

    def __init__(self, what: Path | LakeCatalog) -> None:
        self.name = f"{what}"
        self._what = what
        self._folder = what / "tables" if isinstance(what, Path) and what.is_dir() else None
        self._database: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Self:
        if self._folder is None:
            self._database = open_published(self._what)
        elif self._folder.is_dir():
            self._database = duckdb.connect()
            self._database.execute("SET TimeZone = 'UTC'")
        else:
            raise FixSettings(f"{self._what} is not a data folder: it has no folder `tables`; name one that has")
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()

    def columns(self, table: str) -> dict[str, str] | None:
        """Return the type of each column of a table; None if there is no such table."""
        if self._folder is not None and not any(self._folder.glob(f"{table}/session_date=*/{table}.parquet")):
            return None
        with self._reading():
            try:
                rows = self._execute(f"DESCRIBE SELECT * FROM {self._source(table)}")
            except duckdb.CatalogException:
                return None
        return {row[0]: row[1] for row in rows}

    def summaries(self, table: str, columns: Collection[str]) -> dict[date, Summary]:
        """Return the rows and the sum of hashes of each day of a table."""
        hashed = _hash(columns)
        with self._reading():
            rows = self._execute(
                f"SELECT session_date, count(*), sum({hashed}::HUGEINT)::VARCHAR "
                f"FROM {self._source(table)} GROUP BY session_date"
            )
        return {row[0]: (row[1], row[2]) for row in rows}

    def hashes(self, table: str, columns: Collection[str], day: date) -> Any:
        """Return a table of the hashes of a day's rows, and how often each occurs."""
        with self._reading():
            return self._connection.execute(
                f"SELECT {_hash(columns)} AS hash, count(*) AS n FROM {self._source(table)} "
                "WHERE session_date = $day GROUP BY ALL",
                {"day": day},
            ).to_arrow_table()

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._database is None:
            raise RuntimeError("a side is read within its block")
        return self._database

    def _source(self, table: str) -> str:
        if self._folder is None:
            return quoted(table)
        files = literal(f"{self._folder}/{table}/session_date=*/{table}.parquet")
        return f"read_parquet({files}, hive_partitioning = false, union_by_name = true)"

    def _execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement).fetchall()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with read_errors(self._what):
            yield


def compare(one: Side, other: Side, ignored: Collection[str] = ()) -> Iterator[TableDifference]:
    """Yield the difference of each table that one of the two has. Columns in `ignored` are left out.

    Raises `FixStorage` if one cannot be read, and `FixSettings` for an ignored column that no table has.
    """
    known = {name for table in TABLES.values() for name in table.schema.names}
    if unknown := sorted(set(ignored) - known):
        raise FixSettings(f"no table has a column {unknown[0]!r}; give --ignore the name of one")
    for table in TABLES:
        columns = (one.columns(table), other.columns(table))
        if columns[0] is None or columns[1] is None:
            if columns != (None, None):
                yield TableDifference(table, (columns[0] is None, columns[1] is None), (), (), 0)
            continue
        yield _compare_table(table, one, other, columns[0], columns[1], ignored)


def _compare_table(
    table: str, one: Side, other: Side, of_one: dict[str, str], of_other: dict[str, str], ignored: Collection[str]
) -> TableDifference:
    both = [name for name in of_one if of_other.get(name) == of_one[name] and name not in ignored]
    sentences = [
        f"{name} is {of_one.get(name) or 'missing'} in A and {of_other.get(name) or 'missing'} in B"
        for name in {**of_one, **of_other}
        if name not in both and name not in ignored
    ]
    first, second = one.summaries(table, both), other.summaries(table, both)
    days = sorted({*first, *second})
    different = [
        DayDifference(
            day,
            (first.get(day, (0, ""))[0], second.get(day, (0, ""))[0]),
            _count_different(one.hashes(table, both, day), other.hashes(table, both, day)),
        )
        for day in days
        if first.get(day) != second.get(day)
    ]
    return TableDifference(table, (False, False), tuple(sentences), tuple(different), len(days))


def _count_different(one: Any, other: Any) -> tuple[int, int]:
    """Return how many rows only the first has, and how many only the second has."""
    with duckdb.connect() as database, registered(database, one=one, other=other):
        found = database.execute(COUNT_DIFFERENT).fetchone()
    return (0, 0) if found is None else (found[0], found[1])


def _hash(columns: Collection[str]) -> str:
    return f"hash({', '.join(quoted(name) for name in columns)})"
