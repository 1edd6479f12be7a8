"""Bytes of raw responses and tables by day, and of the database. They come from listings; no file is opened."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

from pipeline.catalog import LakeCatalog
from pipeline.files import day_of
from pipeline.settings import Settings
from pipeline.storage.root import open_shared_store
from pipeline.storage.store import Store

__all__ = ["DiskUse", "database_bytes", "disk_use", "lake_bytes", "megabytes"]

DEPTH = 4
"""Parts of the key of a file of a day: `raw` or `tables`, endpoint or table, day, name."""


@dataclass(frozen=True)
class DiskUse:
    """Bytes by day, and by endpoint or table in it. Quarantined files are not counted."""

    raw: Mapping[date, Mapping[str, int]]
    tables: Mapping[date, Mapping[str, int]]

    def raw_bytes(self, day: date) -> int:
        """Return the bytes of the raw responses of a day."""
        return sum(self.raw.get(day, {}).values())

    def table_bytes(self, day: date) -> int:
        """Return the bytes of the tables of a day."""
        return sum(self.tables.get(day, {}).values())


def disk_use(store: Store) -> DiskUse:
    """Return the bytes of raw responses and tables in the store of an app's data: one request per 1,000 files."""
    return DiskUse(_by_day(store.sizes("raw")), _by_day(store.sizes("tables")))


def database_bytes(settings: Settings) -> int | None:
    """Return the bytes of the published database, of a DuckLake those of the app's files and of a catalog in a file.

    Also counts the writer's database, while there is one. None if nothing was published yet.
    """
    warehouse = settings.warehouse
    if isinstance(warehouse, LakeCatalog):
        in_lake, files = lake_bytes(settings, warehouse), [warehouse.file] if warehouse.file else []
    else:
        in_lake, files = 0, [warehouse, settings.work / "warehouse.duckdb"]
    return in_lake + sum(map(_size, files)) or None


def lake_bytes(settings: Settings, catalog: LakeCatalog) -> int:
    """Return the bytes of the app's files in a DuckLake: one request per 1,000 files."""
    lake = open_shared_store(settings).below("lake")
    return sum(sum(lake.sizes(schema).values()) for schema in (catalog.schemas.public, catalog.schemas.internal))


def megabytes(size: int) -> str:
    """Return bytes as text, such as `12.3 MB`: in MB, or in GB or TB if there are that many."""
    for unit, one in (("TB", 10**12), ("GB", 10**9)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size / 10**6:.1f} MB"


def _by_day(sizes: Mapping[str, int]) -> Mapping[date, Mapping[str, int]]:
    """Return sizes by day and by folder; keys are such as `raw/call_stats/session_date=2026-11-01/<name>.parquet`."""
    found: dict[date, dict[str, int]] = {}
    for key, size in sizes.items():
        path = PurePosixPath(key)
        if path.suffix == ".parquet" and len(path.parts) == DEPTH and (day := day_of(path.parent.name)) is not None:
            its = found.setdefault(day, {})
            its[path.parts[1]] = its.get(path.parts[1], 0) + size
    return found


def _size(file: Path) -> int:
    with suppress(OSError):
        return file.stat().st_size
    return 0
