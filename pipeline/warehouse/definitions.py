"""What a warehouse has beside the rows of days: views, comments, thresholds, facts. The same in a file and a DuckLake.

They are in the schema that the connection uses.

Everything is created again when its hash changes, and not with each load. Comments are in the catalog, where BI tools
look for them, and as rows in `column_comments`, since DuckLake takes no comments on the columns of views.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import duckdb
import pyarrow as pa

from pipeline.quality.thresholds import THRESHOLDS, Row, replace_thresholds
from pipeline.quality.views import VIEWS, create_views, read_docs, view_texts
from pipeline.schema import TABLES
from pipeline.sql import adapted, literal, quoted, read_statement, registered
from pipeline.warehouse.database import STORED, read_meta, write_meta

__all__ = ["COLUMN_COMMENTS", "COLUMN_COMMENTS_TABLE", "comment_of", "definitions_mark", "update_definitions"]

COLUMN_COMMENTS_TABLE = "One row per column of a table or view: its comment"

COLUMN_COMMENTS = {
    "table_name": "The table or view",
    "column_name": "The column",
    "comment": "What the column is, with its unit",
}
"""The columns of `column_comments`, with their comments."""


def update_definitions(
    database: duckdb.DuckDBPyConnection,
    thresholds: list[Row] | None,
    facts: Mapping[str, str] | None = None,
    *,
    comment_view_columns: bool = True,
) -> bool:
    """Create outdated views and comments, and replace thresholds (None: the defaults) and facts that differ.

    `facts` are values by name that views read from `store.meta`. Others that are there stay. Returns whether anything
    changed. Needs the tables of `sql/store.sql`.
    """
    changed = replace_thresholds(database, thresholds)
    changed |= _replace_facts(database, facts or {})
    if read_meta(database, "definitions") == definitions_mark():
        return changed
    create_views(database, comment_columns=comment_view_columns)
    for statement in _table_comments(comment_view_columns=comment_view_columns):
        database.execute(statement)
    _fill_column_comments(database)
    write_meta(database, "definitions", definitions_mark())
    return True


def _replace_facts(database: duckdb.DuckDBPyConnection, facts: Mapping[str, str]) -> bool:
    stored = dict(database.execute(adapted(database, "SELECT name, value FROM store.meta")).fetchall())
    if facts.items() <= stored.items():
        return False
    names = ", ".join(map(literal, facts))
    rows = ", ".join(f"({literal(name)}, {literal(value)})" for name, value in facts.items())
    database.execute(adapted(database, f"DELETE FROM store.meta WHERE name IN ({names})"))
    database.execute(adapted(database, f"INSERT INTO store.meta VALUES {rows}"))
    return True


def definitions_mark() -> str:
    """Return a hash of the SQL and the comments of this version, which `store.meta` has as `definitions`."""
    texts = [*view_texts(), *_table_comments(comment_view_columns=True), read_statement("pipeline.warehouse", "store")]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _table_comments(*, comment_view_columns: bool) -> Iterator[str]:
    """Yield the statements that comment on the tables of the contract, and on `column_comments`."""
    for table in TABLES.values():
        kind = "TABLE" if table.name in STORED else "VIEW"
        yield f"COMMENT ON {kind} {table.name} IS {literal(table.comment)}"
        if kind == "TABLE" or comment_view_columns:
            for column in table.schema.names:
                yield f"COMMENT ON COLUMN {table.name}.{quoted(column)} IS {literal(table.comment_of(column))}"
    yield f"COMMENT ON TABLE column_comments IS {literal(COLUMN_COMMENTS_TABLE)}"
    for column, comment in COLUMN_COMMENTS.items():
        yield f"COMMENT ON COLUMN column_comments.{quoted(column)} IS {literal(comment)}"


def _fill_column_comments(database: duckdb.DuckDBPyConnection) -> None:
    columns = database.execute(
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = current_schema() AND NOT internal "
        "ORDER BY table_name, column_index"
    ).fetchall()
    rows = [(table, column, comment_of(table, column)) for table, column in columns]
    fresh = pa.table([pa.array(values) for values in zip(*rows, strict=True)], names=list(COLUMN_COMMENTS))
    database.execute("DELETE FROM column_comments")
    with registered(database, fresh=fresh):
        database.execute("INSERT INTO column_comments SELECT * FROM fresh")


def comment_of(table: str, column: str) -> str:
    """Return the comment of a column of a table or view."""
    if table in TABLES:
        return TABLES[table].comment_of(column)
    if table in VIEWS:
        return read_docs(table).columns[column]
    return (THRESHOLDS if table == "quality_thresholds" else COLUMN_COMMENTS)[column]
