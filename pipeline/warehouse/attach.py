"""A DuckLake, attached: to write it or to read it, with options that are the same for everyone.

Small tables are files too, and not rows in the catalog (`DATA_INLINING_ROW_LIMIT 0`), so that what `forget` removes is
in one place. A catalog of another version of DuckLake is never migrated by us: it may have other users.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixStorage, first_line
from pipeline.sql import literal, quoted
from pipeline.warehouse.azure import create_azure_secret
from pipeline.warehouse.extensions import NO_DOWNLOADS, extension_file, load_extensions
from pipeline.warehouse.google import create_google_secret
from pipeline.warehouse.postgres import INSTALL
from pipeline.warehouse.s3 import create_secret, has_static_keys

__all__ = [
    "LAKE",
    "NoLake",
    "attach",
    "attach_to",
    "detach_from",
    "lake_errors",
    "lock_down",
    "open_host",
    "renew_access",
    "use_schema",
]

LAKE = "lake"
"""The name of the attached lake in every connection of ours."""

_CREATE_SECRET = {"s3": create_secret, "az": create_azure_secret, "gs": create_google_secret}
"""How DuckDB gets at the files of a lake, by the beginning of their address."""

_OTHER_VERSION = ("DuckLake catalog version", "DuckLake Extension requires", "AUTOMATIC_MIGRATION")
_OTHER_FOLDER = "DATA_PATH parameter"
_NO_LAKE = "creating a new DuckLake is explicitly disabled"


class NoLake(FixStorage):
    """There is no lake in the catalog yet."""


def attach(catalog: LakeCatalog, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB in UTC with the lake attached and in use. A lake that does not exist is created by a writer.

    Raises `FixSettings` without the extra `scale`, `NoLake` if there is nothing to read, and `FixStorage` if the lake
    cannot be attached.
    """
    database = open_host(catalog)
    try:
        attach_to(database, catalog, read_only=read_only)
    except BaseException:
        database.close()
        raise
    return database


def open_host(catalog: LakeCatalog, memory: str | None = None) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB in UTC that can attach the lake: loading its extensions takes most of the time.

    With `memory`, it has that much, and one thread. Raises `FixSettings` without the extra `scale`.
    """
    names = ["ducklake", *["postgres_scanner"] * (catalog.postgres is not None)]
    if catalog.is_remote:
        names += _extensions_for(catalog)
    files = [extension_file(name, needed_by="a DuckLake", install=INSTALL) for name in names]
    database = duckdb.connect(config=NO_DOWNLOADS)
    try:
        load_extensions(database, files)
        database.execute("SET GLOBAL TimeZone = 'UTC'; SET enable_progress_bar = false")
        if memory is not None:
            database.execute(f"SET memory_limit = '{memory}'; SET threads = 1")
        if catalog.is_remote:
            _CREATE_SECRET[catalog.data_path[:2]](database, catalog.data_path)
    except BaseException:
        database.close()
        raise
    return database


def renew_access(database: duckdb.DuckDBPyConnection, catalog: LakeCatalog) -> None:
    """Let a DuckDB that has been open for a while reach the lake for longer: what Google gives lasts an hour.

    Raises `FixStorage`.
    """
    if catalog.data_path.startswith("gs://"):
        create_google_secret(database, catalog.data_path)


def _extensions_for(catalog: LakeCatalog) -> list[str]:
    """Return the extensions that reach the store of a lake."""
    if catalog.data_path.startswith("az://"):
        return ["azure"]
    return ["httpfs"] if catalog.data_path.startswith("gs://") or has_static_keys() else ["httpfs", "aws"]


def attach_to(
    database: duckdb.DuckDBPyConnection, catalog: LakeCatalog, *, read_only: bool, file: Path | None = None
) -> None:
    """Attach the lake and use the schema of its app. `file` is the catalog's file if it is not the one of `catalog`.

    Raises `NoLake` and `FixStorage`.
    """
    if read_only and catalog.file is not None and not catalog.file.exists():
        raise NoLake(f"{catalog} does not exist yet")
    options = ["DATA_INLINING_ROW_LIMIT 0"]
    if read_only:
        options.append("READ_ONLY")
    else:
        options.append(f"DATA_PATH {literal(catalog.data_path)}")
    if (
        catalog.file is not None and not catalog.is_remote and Path(catalog.data_path).exists()
    ):  # the data folder may have been moved
        options += [f"DATA_PATH {literal(catalog.data_path)}"] * read_only + ["OVERRIDE_DATA_PATH true"]
    with lake_errors(catalog):
        where = catalog.connection if catalog.postgres is None else f"postgres:{catalog.patient_postgres}"
        source = f"ducklake:{file or where}"
        database.execute(f"ATTACH {literal(source)} AS {LAKE} ({', '.join(options)})")
        use_schema(database, catalog)


def use_schema(database: duckdb.DuckDBPyConnection, catalog: LakeCatalog) -> None:
    """Use the public schema of the catalog's app. Use `main` if the lake does not have that schema yet."""
    database.execute(f"USE {LAKE}")
    if catalog.app is not None:
        found = database.execute(
            "SELECT count(*) FROM duckdb_schemas() WHERE database_name = $lake AND schema_name = $app",
            {"lake": LAKE, "app": catalog.app},
        ).fetchone()
        if found != (0,):
            database.execute(f"USE {LAKE}.{quoted(catalog.app)}")


def detach_from(database: duckdb.DuckDBPyConnection) -> None:
    """Detach the lake, which writes what a catalog's file still lacks to it."""
    database.execute(f"USE memory; DETACH {LAKE}")


def lock_down(database: duckdb.DuckDBPyConnection, catalog: LakeCatalog) -> None:
    """Keep queries to the files of the lake, and its configuration as it is."""
    database.execute(f"SET allowed_directories = [{literal(catalog.data_path)}]")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")


@contextlib.contextmanager
def lake_errors(catalog: LakeCatalog) -> Iterator[None]:
    """Translate DuckDB's errors about a lake to `FixStorage`, without passwords."""
    try:
        yield
    except duckdb.Error as error:
        reason = without_password(" ".join(str(error).split()))
        if any(words in reason for words in _OTHER_VERSION):
            raise FixStorage(
                f"{catalog} was written by another version of DuckLake; use the same version of "
                "duckdb-extension-ducklake everywhere"
            ) from None
        if _NO_LAKE in reason:
            raise NoLake(f"{catalog} does not exist yet") from None
        if _OTHER_FOLDER in reason:
            raise FixStorage(
                f"{catalog} has its files in another folder than {catalog.data_path}; set CALL_METRICS_DATA to the "
                "data that it is made from, or CALL_METRICS_WAREHOUSE to another lake"
            ) from None
        raise FixStorage(f"{catalog} cannot be used ({_shortest(reason)}); fix it and run again") from None
    except OSError as error:
        raise FixStorage(f"{catalog} cannot be used ({error.strerror or first_line(error)}); fix it") from None


def _shortest(reason: str) -> str:
    """Return the reason behind a long message: what PostgreSQL says, or the beginning."""
    for mark in ("connection to server", "could not translate host name", "ERROR: "):
        if mark in reason:
            reason = reason[reason.index(mark) :].removeprefix("ERROR: ")
    return reason.partition(" LINE ")[0].partition(" Is the server running")[0][:200].strip()
