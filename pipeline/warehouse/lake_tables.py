"""The tables of an app in a lake: created, recognized as ours, and dropped if they are of an earlier version.

The app's public schema has the tables and views of the contract, its internal one the tables behind them. Other apps
of the lake are left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.catalog import ALL_APPS, LakeCatalog, Schemas
from pipeline.errors import FixStorage
from pipeline.schema import TABLES
from pipeline.sql import literal, quoted, read_statement
from pipeline.warehouse.attach import LAKE, use_schema
from pipeline.warehouse.database import STORED, VERSION, duckdb_type, read_meta, write_meta
from pipeline.warehouse.pivot import SERIES_KEY
from pipeline.warehouse.points_view import points_view

__all__ = [
    "LOADED",
    "apps_of",
    "by_day",
    "create_tables",
    "file_paths",
    "loaded_rows",
    "stored_facts",
    "table_names",
    "view_names",
]

log = logging.getLogger(__name__)

LOADED = pa.schema(
    [
        pa.field("session_date", pa.date32()),
        pa.field("table_name", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("row_count", pa.int64()),
    ]
)


def by_day(schemas: Schemas) -> list[tuple[str, str]]:
    """Return schemas and names of the tables that have files by day. The others are small, and only inserted into."""
    return [
        *((schemas.public, name) for name in STORED),
        *((schemas.internal, name) for name in ("series", "samples", "track_statistics", "track_spans", "loaded")),
    ]


def table_names(database: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return the schemas and names of all tables in the lake."""
    query = "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = $lake ORDER BY ALL"
    return [(schema, name) for schema, name in database.execute(query, {"lake": LAKE}).fetchall()]


def view_names(database: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return the schemas and names of all views in the lake."""
    query = (
        "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = $lake AND NOT internal ORDER BY ALL"
    )
    return [(schema, name) for schema, name in database.execute(query, {"lake": LAKE}).fetchall()]


def apps_of(found: Iterable[tuple[str, str]]) -> list[str]:
    """Return the public schemas of the apps among the tables of a lake, sorted: `main`, and the names of apps."""
    internal = {schema for schema, table in found if table == "meta"} - {ALL_APPS.internal}
    named = [schema.removesuffix("_store") for schema in internal if schema.endswith("_store")]
    return sorted(["main"] * ("store" in internal) + named)


def file_paths(database: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[str]:
    """Return the paths of the files that a table has now."""
    query = f"SELECT data_file FROM ducklake_list_files('{LAKE}', {literal(table)}, schema => {literal(schema)})"
    return [row[0] for row in database.execute(query).fetchall()]


def stored_facts(database: duckdb.DuckDBPyConnection, catalog: LakeCatalog) -> dict[str, str]:
    """Return all values of the app's `store.meta`, by name; none if the lake has no tables of the app."""
    try:  # listing the tables of a lake takes the longer the more apps there are
        return dict(database.execute(f"SELECT name, value FROM {LAKE}.{catalog.schemas.internal}.meta").fetchall())
    except (duckdb.CatalogException, duckdb.BinderException):  # there is no such table
        return {}


def create_tables(database: duckdb.DuckDBPyConnection, catalog: LakeCatalog, owner: str) -> bool:
    """Create the tables of the app, if there are none or those of an earlier version. Returns whether it did.

    Raises `FixStorage` if the lake, or the app's part of it, belongs to someone else.
    """
    schemas = catalog.schemas
    found = table_names(database)
    own = [(schema, name) for schema, name in found if schema in (schemas.public, schemas.internal)]
    if own:
        if (schemas.internal, "meta") not in own:
            raise _not_ours(catalog)
        if (version := int(read_meta(database, "version") or 0)) > VERSION:
            raise FixStorage(f"{catalog} was written by a later version of Call Metrics; upgrade this one")
        if (found_owner := read_meta(database, "owner") or "") != owner:
            raise _of_another_folder(catalog, found_owner)
        if version == VERSION:
            return False
        log.warning("%s was written by an earlier version of Call Metrics; rebuilding it", catalog)
        _drop(database, schemas)
    elif found:
        _refuse_foreign(database, catalog, apps_of(found))
    database.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schemas.public)}")
    use_schema(database, catalog)
    for name in STORED:
        columns = ", ".join(f"{quoted(column.name)} {duckdb_type(column.type)}" for column in TABLES[name].schema)
        database.execute(f"CREATE TABLE {name} ({columns})")
    for name in ("store", "samples"):
        database.execute(schemas.adapt(read_statement("pipeline.warehouse", name)))
    database.execute(schemas.adapt(read_statement("pipeline.quality", "store")))
    for name in SERIES_KEY:
        database.execute(f"ALTER TABLE {schemas.internal}.samples ADD COLUMN {name} VARCHAR")
    database.execute(schemas.adapt(points_view(samples_have_ids=True)))
    for schema, name in by_day(schemas):
        database.execute(f"ALTER TABLE {quoted(schema)}.{name} SET PARTITIONED BY (session_date)")
    for name, value in {"version": str(VERSION), "owner": owner}.items():
        write_meta(database, name, value)
    return True


def loaded_rows(
    database: duckdb.DuckDBPyConnection, schemas: Schemas, day: date
) -> dict[str, tuple[date, str, str, int]]:
    """Return the rows of `store.loaded` of a day, by table."""
    query = f"SELECT {', '.join(LOADED.names)} FROM {schemas.internal}.loaded WHERE session_date = DATE '{day}'"
    return {row[1]: (row[0], row[1], row[2], row[3]) for row in database.execute(query).fetchall()}


def _drop(database: duckdb.DuckDBPyConnection, schemas: Schemas) -> None:
    for kind, found in (("VIEW", view_names(database)), ("TABLE", table_names(database))):
        for schema, name in found:
            if schema in (schemas.public, schemas.internal):
                database.execute(f"DROP {kind} {quoted(schema)}.{quoted(name)}")


def _refuse_foreign(database: duckdb.DuckDBPyConnection, catalog: LakeCatalog, apps: list[str]) -> None:
    """Refuse a lake of another program, and one whose files are not where this app would put its own.

    DuckLake itself refuses another folder, except for a catalog in a file, which may have been moved with its folder.
    """
    if not apps:
        raise _not_ours(catalog)
    files = [path for app in apps for path in file_paths(database, Schemas.of(app).internal, "meta")]
    if not catalog.is_remote and not all(Path(path).exists() for path in files):
        raise FixStorage(
            f"{catalog} has its files in another folder than {catalog.data_path}; set CALL_METRICS_DATA to the "
            "same for all apps of a lake"
        )


def _not_ours(catalog: LakeCatalog) -> FixStorage:
    if catalog.app is not None:
        return FixStorage(
            f"{catalog} has a schema {catalog.app} that is not of Call Metrics; set CALL_METRICS_APP to another name"
        )
    return FixStorage(f"{catalog} is not a lake of Call Metrics; set CALL_METRICS_WAREHOUSE to another")


def _of_another_folder(catalog: LakeCatalog, owner: str) -> FixStorage:
    app = f"{catalog.app} of " if catalog.app else ""
    return FixStorage(
        f"{app}{catalog} was published from another data folder ({owner}); set CALL_METRICS_WAREHOUSE to another lake "
        "for this one" + (", or CALL_METRICS_APP to another name" if catalog.app else "")
    )
