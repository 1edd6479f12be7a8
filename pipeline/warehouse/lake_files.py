"""The Parquet files of a DuckLake: written once, never changed, one per table and day.

    <lake>/<schema>/<table>/session_date=2026-11-01/<hash of the content>-<random>.parquet

DuckLake believes the folder rather than the content, doubles a day if a path is registered twice, and deletes a file
that is in use if its name was in use before. So each file is new under a new name, and its rows are checked to be of
the day. Samples have all ids, so that the files can be read without the catalog.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.catalog import Schemas
from pipeline.errors import FixStorage
from pipeline.files import day_folder, day_of
from pipeline.schema import TABLES
from pipeline.storage import Store
from pipeline.warehouse.day import Source, point_chunks
from pipeline.warehouse.pivot import SERIES_KEY

__all__ = ["LakeFile", "LakeFiles", "TableFiles", "split_path"]

ROW_GROUP_ROWS = 122_880
"""As DuckDB writes them: small enough that a query about one call skips most of a day."""


FOUND_BY = {"session_date", "call_id", "call_session_id", "series_id", "track_number"}
"""Columns with statistics, and so are instants. No personal ones: the catalog copies the least and greatest value of a
column, and keeps them when the person is forgotten."""


@dataclass(frozen=True)
class LakeFile:
    """A file that is written and not registered yet.

    Attributes:
        schema: the schema of its table in the lake.
        table: its table.
        path: where it is.
        content: a hash of its content.
        rows: how many rows it has. A file without rows is not kept: `path` is None.
    """

    schema: str
    table: str
    path: PurePath | None
    content: str
    rows: int

    @property
    def key(self) -> str | None:
        """Its path below the lake."""
        return None if self.path is None else "/".join(self.path.parts[-4:])


@dataclass(frozen=True)
class TableFiles:
    """The files of a table of the contract: several for points, which are stored as the tables of `store`."""

    rows: int
    files: tuple[LakeFile, ...]


class LakeFiles:
    """The files of a lake.

    Args:
        store: where they lie.
        work: a folder of this machine in which files of a remote store are written first.
        schemas: those of the app that writes.
    """

    def __init__(self, store: Store, work: Path, schemas: Schemas) -> None:
        self._store = store
        self._work = work
        self._schemas = schemas

    def write_tables(self, source: Source, day: date, tables: Iterable[str]) -> dict[str, TableFiles]:
        """Write the files of some tables of a day. Returns them by table.

        Raises `FixStorage`, and then leaves none of them.
        """
        written: dict[str, TableFiles] = {}
        try:
            for table in tables:
                if table == "metric_points":
                    written[table] = self._write_points(source, day)
                else:
                    file = self.write(self._schemas.public, table, day, [source.read(table, day)])
                    written[table] = TableFiles(file.rows, (file,))
        except BaseException:
            self.discard(file for table in written.values() for file in table.files)
            raise
        return written

    def write(self, schema: str, table: str, day: date, chunks: Iterable[pa.Table]) -> LakeFile:
        """Write one file. Raises `FixStorage`, also if a row is of another day."""
        with _Writer(self._store, self._work, schema, table, day) as writer:
            for rows in chunks:
                writer.write(rows)
        return writer.finished()

    def discard(self, files: Iterable[LakeFile]) -> None:
        """Delete files that will not be registered."""
        self._store.delete(*(file.key for file in files if file.key is not None))

    def exists(self, file: LakeFile) -> bool:
        """Return whether a file is still as it was written; one without rows always is."""
        return file.key is None or self._store.exists(file.key)

    def prepare(self) -> None:
        """Make ready for a process that may only read: a folder must exist."""
        if isinstance(folder := self._store.path(""), Path):
            folder.mkdir(parents=True, exist_ok=True)

    def all(self) -> set[str]:
        """Return the paths of all Parquet files of the app, registered or not."""
        return {str(self._store.path(key)) for key in self._keys()}

    def discard_all_but(self, paths: set[str]) -> None:
        """Delete all Parquet files of the app that have another path."""
        self._store.delete(*(key for key in self._keys() if str(self._store.path(key)) not in paths))

    def _keys(self) -> list[str]:
        own = (f"{self._schemas.public}/", f"{self._schemas.internal}/")
        return [key for key in self._store.list_keys() if key.endswith(".parquet") and key.startswith(own)]

    def _write_points(self, source: Source, day: date) -> TableFiles:
        count = 0
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(_Writer(self._store, self._work, self._schemas.internal, name, day))
                for name in ("series", "samples", "track_statistics", "track_spans")
            }
            for points, tables in point_chunks(source, day):
                count += points
                tables["samples"] = _with_ids(tables["samples"], tables["series"])
                for name, rows in tables.items():
                    writers[name].write(rows)
        return TableFiles(count, tuple(writer.finished() for writer in writers.values()))


def split_path(path: str) -> tuple[str, str, date | None, str]:
    """Return the schema, table, day and content of a file from its path."""
    schema, table, folder, name = path.rsplit("/", 3)
    return schema.rpartition("/")[2], table, day_of(folder), name.partition("-")[0]


class _Writer:
    """Writes one file under a temporary name; it has its own name when the block ends well."""

    def __init__(self, store: Store, work: Path, schema: str, table: str, day: date) -> None:
        self._store, self._schema, self._table, self._day = store, schema, table, day
        self._key = day_folder(Path(schema) / table, day).as_posix()
        folder = store.path(self._key)
        self._folder = folder if isinstance(folder, Path) else work
        self._temporary = self._folder / f".{secrets.token_hex(8)}.tmp"
        self._writer: pq.ParquetWriter | None = None
        self._rows = 0
        self._file: LakeFile | None = None

    def __enter__(self) -> _Writer:
        return self

    def write(self, rows: pa.Table) -> None:
        """Append rows. Raises `FixStorage` if one is of another day."""
        if not rows.num_rows:
            return
        if self._table in TABLES:
            rows = rows.cast(TABLES[self._table].schema)
        dates = pc.min_max(rows.column("session_date")).as_py()
        if dates != {"min": self._day, "max": self._day}:
            raise FixStorage(
                f"the table {self._table} of {self._day} has rows of {dates['min']}; `call-metrics rebuild` rebuilds it"
            )
        try:
            if self._writer is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._writer = pq.ParquetWriter(self._temporary, rows.schema, **_parquet_options(rows.schema))
            self._writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
        except OSError as error:
            raise self._unwritable(error) from None
        self._rows += rows.num_rows

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
            if kind is None:
                self._file = self._place()
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            self._temporary.unlink(missing_ok=True)

    def finished(self) -> LakeFile:
        """Return the file, after the block."""
        assert self._file is not None  # noqa: S101 - for the type checker
        return self._file

    def _place(self) -> LakeFile:
        """Flush the file to disk and give it its name. A crash afterwards must not leave the lake with half a file."""
        if self._writer is None:
            return LakeFile(self._schema, self._table, None, "", 0)
        with self._temporary.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        key = f"{self._key}/{content}-{secrets.token_hex(4)}.parquet"
        with self._store.replacing(key) as placed:  # no other file has the name; large ones go in parts
            shutil.move(self._temporary, placed)
        return LakeFile(self._schema, self._table, self._store.path(key), content, self._rows)

    def _unwritable(self, error: OSError) -> FixStorage:
        return FixStorage(f"{self._folder} cannot be written ({error.strerror or error}); fix it and run again")


def _with_ids(samples: pa.Table, series: pa.Table) -> pa.Table:
    """Return samples with the ids of their series as further columns."""
    first = series.column("series_id")[0].as_py()
    place = pc.subtract(samples.column("series_id"), first)
    for name in SERIES_KEY:
        samples = samples.append_column(name, series.column(name).take(place))
    return samples


def _parquet_options(schema: pa.Schema) -> dict[str, Any]:
    instants = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [field.name for field in schema if field.name not in instants],
        "column_encoding": dict.fromkeys(instants, "DELTA_BINARY_PACKED"),
        "store_schema": False,
        "write_page_checksum": True,
        "write_statistics": [field.name for field in schema if field.name in FOUND_BY or field.name in instants],
    }
