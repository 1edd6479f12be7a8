"""What every room needs to run SQL: statements from files, quoted names, and Arrow tables that a query can use.

Statements are in the folder `sql` of the package that runs them, one per file, each with a header that says what one
row is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources

import duckdb
import pyarrow as pa

from pipeline.catalog import Schemas

__all__ = ["adapted", "literal", "quoted", "read_statement", "registered", "statement_names"]


@cache
def read_statement(package: str, name: str) -> str:
    """Return the text of `sql/<name>.sql` in a package, such as `pipeline.quality`."""
    return resources.files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def statement_names(package: str) -> list[str]:
    """Return the names of the statements of a package, sorted."""
    files = resources.files(package).joinpath("sql").iterdir()
    return sorted(file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql"))


def adapted(database: duckdb.DuckDBPyConnection, statement: str) -> str:
    """Return a statement of ours for the app whose schema the connection uses, see `Schemas`."""
    (schema,) = database.execute("SELECT current_schema()").fetchone() or (None,)
    return Schemas.of(schema).adapt(statement)


def quoted(name: str) -> str:
    """Return a name as an identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a string literal in SQL, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, **tables: pa.Table) -> Iterator[None]:
    """Let queries use Arrow tables under these names for the length of the block."""
    for name, table in tables.items():
        connection.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            connection.unregister(name)
