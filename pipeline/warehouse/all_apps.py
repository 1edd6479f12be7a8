"""The schema `all_apps` of a lake: a view over all apps for each table and view of the contract, with `app` first.

It is there once an app has a name. An app without one is in it as `main`. An app of an earlier version lacks some
tables, and is left out of their views.
"""

from __future__ import annotations

import hashlib

import duckdb
import pyarrow as pa

from pipeline.catalog import ALL_APPS
from pipeline.quality.views import VIEWS, read_docs
from pipeline.schema import TABLES
from pipeline.sql import literal, quoted, registered
from pipeline.warehouse.attach import LAKE
from pipeline.warehouse.definitions import COLUMN_COMMENTS, COLUMN_COMMENTS_TABLE, comment_of
from pipeline.warehouse.lake_tables import apps_of, table_names, view_names

__all__ = ["APP_COLUMN", "NAMES", "update_all_apps"]

NAMES = (*TABLES, *VIEWS, "quality_thresholds")
"""The tables and views that have a view over all apps."""

APP_COLUMN = "Name of the Stream app; main for the one without a name"

_TABLES = f"""
CREATE SCHEMA IF NOT EXISTS {ALL_APPS.public};
CREATE SCHEMA IF NOT EXISTS {ALL_APPS.internal};
CREATE TABLE IF NOT EXISTS {ALL_APPS.public}.column_comments (
    table_name VARCHAR NOT NULL,
    column_name VARCHAR NOT NULL,
    "comment" VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS {ALL_APPS.internal}.meta (name VARCHAR NOT NULL, value VARCHAR NOT NULL);
"""
"""`meta` has a hash of what the views are made from."""


def update_all_apps(database: duckdb.DuckDBPyConnection) -> bool:
    """Create the views again if the apps, or the columns of their tables, are others. Returns whether it did.

    Call it in the transaction that changes an app.
    """
    found = table_names(database)
    apps = apps_of(found)
    if not set(apps) - {"main"}:
        return False
    columns = _columns(database, apps)
    mark = hashlib.sha256(f"{APP_COLUMN} {[*map(_comment, NAMES)]} {columns}".encode()).hexdigest()[:32]
    if (ALL_APPS.internal, "meta") in found:
        old = database.execute(f"SELECT value FROM {ALL_APPS.internal}.meta WHERE name = 'views'").fetchone()
        if old == (mark,):
            return False
    database.execute(_TABLES)
    for schema, name in view_names(database):
        if schema == ALL_APPS.public:
            database.execute(f"DROP VIEW {ALL_APPS.public}.{quoted(name)}")
    having = {*table_names(database), *view_names(database)}
    for name in NAMES:
        parts = [f"SELECT {literal(app)} AS app, * FROM {quoted(app)}.{name}" for app in apps if (app, name) in having]
        if parts:
            view = f"{ALL_APPS.public}.{name}"
            database.execute(f"CREATE VIEW {view} AS {' UNION ALL BY NAME '.join(parts)}")
            database.execute(f"COMMENT ON VIEW {view} IS {literal(_comment(name))}")
    _fill_column_comments(database)
    database.execute(f"DELETE FROM {ALL_APPS.internal}.meta")
    database.execute(f"INSERT INTO {ALL_APPS.internal}.meta VALUES ('views', $mark)", {"mark": mark})
    return True


def _comment(name: str) -> str:
    if name in VIEWS:
        comment = read_docs(name).comment
    else:
        comment = TABLES[name].comment if name in TABLES else "One row per kind of track: what counts as low or short"
    return f"Of all apps: {comment}"


def _columns(database: duckdb.DuckDBPyConnection, apps: list[str]) -> list[tuple[str, ...]]:
    """Return schema, table, name and type of every column of the contract that the apps have."""
    return database.execute(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = $lake AND list_contains($apps, schema_name) AND list_contains($names, table_name) "
        "ORDER BY ALL",
        {"lake": LAKE, "apps": apps, "names": [*NAMES]},
    ).fetchall()


def _fill_column_comments(database: duckdb.DuckDBPyConnection) -> None:
    """Fill the table `column_comments` of the schema: DuckLake takes no comments on the columns of views."""
    columns = database.execute(
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = $lake AND schema_name = $schema AND NOT internal ORDER BY table_name, column_index",
        {"lake": LAKE, "schema": ALL_APPS.public},
    ).fetchall()
    rows = [(table, name, APP_COLUMN if name == "app" else comment_of(table, name)) for table, name in columns]
    fresh = pa.table([pa.array(values) for values in zip(*rows, strict=True)], names=list(COLUMN_COMMENTS))
    target = f"{ALL_APPS.public}.column_comments"
    database.execute(f"DELETE FROM {target}")
    with registered(database, fresh=fresh):
        database.execute(f"INSERT INTO {target} SELECT * FROM fresh")
    database.execute(f"COMMENT ON TABLE {target} IS {literal(COLUMN_COMMENTS_TABLE)}")
    for column, comment in COLUMN_COMMENTS.items():
        database.execute(f"COMMENT ON COLUMN {target}.{quoted(column)} IS {literal(comment)}")
