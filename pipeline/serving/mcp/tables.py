"""The published tables and views with their comments, as values and as a page of reference in Markdown."""

from __future__ import annotations

import difflib
from pathlib import Path

import duckdb

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixSettings, FixStorage, first_line
from pipeline.serving.mcp.results import Table, Tables
from pipeline.sql import adapted, read_statement
from pipeline.warehouse.published import open_published

__all__ = ["list_tables", "reference"]

DAYS = "SELECT min(session_date), max(session_date) FROM store.loaded"


def list_tables(published: Path | LakeCatalog, names: list[str] | None) -> Tables:
    """Return the tables and views with these names, all by default, and the days in the database.

    Raises `FixStorage` if the database is missing or too old, `FixSettings` for an unknown name.
    """
    with open_published(published) as database:
        try:
            found = (
                database.execute(adapted(database, read_statement("pipeline.serving.mcp", "tables")))
                .to_arrow_table()
                .to_pylist()
            )
            days = database.execute(adapted(database, DAYS)).fetchone()
        except duckdb.Error as error:
            reason = without_password(first_line(error))
            raise FixStorage(f"{published} cannot be read ({reason}); `call-metrics rebuild` rebuilds it") from None
    first, last = days or (None, None)
    tables = {row["name"]: Table(**row) for row in found}
    for name in names or ():
        if name not in tables:
            nearest = difflib.get_close_matches(name, tables, 1) or sorted(tables)
            raise FixSettings(f"there is no table {name[:100]!r}; there are {', '.join(nearest)}")
    return Tables(first_day=first, last_day=last, tables=[tables[name] for name in dict.fromkeys(names or tables)])


def reference(published: Path | LakeCatalog, name: str | None) -> str:
    """Return the reference of one table, or the list of all, in Markdown. Raises what `list_tables` raises."""
    found = list_tables(published, [name] if name else None)
    if name is None:
        lines = [f"- `{table.name}` ({table.kind}): {table.comment or 'no comment'}" for table in found.tables]
        days = f"Days: {found.first_day} to {found.last_day}." if found.first_day else "There are no days yet."
        return "\n".join(["# Tables and views", "", days, "", *lines, ""])
    (table,) = found.tables
    return "\n".join([f"# {table.name}", "", f"{table.comment or 'No comment'}.", "", *_columns(table), ""])


def _columns(table: Table) -> list[str]:
    cells = [(f"`{column.name}`", column.type, column.comment or "") for column in table.columns]
    rows = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in cells]
    return ["| column | type | what it is |", "|---|---|---|", *rows]
