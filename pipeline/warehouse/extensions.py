"""DuckDB's extensions, from packages that hold them: signed by DuckDB, for one version, loaded without a network."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import duckdb

from pipeline.errors import FixSettings, first_line
from pipeline.sql import literal

__all__ = ["NO_DOWNLOADS", "extension_file", "load_extensions"]

NO_DOWNLOADS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""Configuration of a DuckDB that loads only the extensions that it is given."""


def extension_file(name: str, *, needed_by: str, install: str) -> Path:
    """Return the file of an extension from its package, for the version of DuckDB that is running.

    Raises `FixSettings` if the package is missing, or is for another version: `needed_by` needs it, `install` says what
    to do.
    """
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise FixSettings(f"{needed_by} needs DuckDB's extension {name}; {install}")
    file = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.exists():
        raise FixSettings(f"DuckDB's extension {name} is not available for DuckDB {duckdb.__version__}; {install}")
    return file


def load_extensions(database: duckdb.DuckDBPyConnection, files: Iterable[Path]) -> None:
    """Load extensions. Raises `FixSettings`."""
    try:
        for file in files:
            database.execute(f"LOAD {literal(str(file))}")
    except duckdb.Error as error:
        raise FixSettings(f"DuckDB's extension cannot be loaded ({first_line(error)})") from None
