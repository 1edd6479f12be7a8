"""What every room needs to run SQL: statements from files, quoted names, and Arrow tables that a query can use.

Statements are stored with the room that runs them, one per file, each with a header that says what one row is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources

import duckdb
import pyarrow as pa

__all__ = ["literal", "load", "names", "quoted", "registered"]


@cache
def load(package: str, name: str) -> str:
    """Return the text of `<name>.sql` in a package, such as `load("pipeline.quality", "views/call_quality")`."""
    return resources.files(package).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def names(package: str, folder: str) -> list[str]:
    """Return the names of the statements in a folder of a package, sorted, as `load` takes them."""
    files = resources.files(package).joinpath(folder).iterdir()
    return sorted(f"{folder}/{file.name.removesuffix('.sql')}" for file in files if file.name.endswith(".sql"))


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
