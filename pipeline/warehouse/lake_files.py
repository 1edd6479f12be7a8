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
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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
        key: where it is in the lake's folder.
        content: a hash of its content.
        rows: how many rows it has. A file without rows is not kept: `key` is None.
    """

    schema: str
    table: str
    key: str | None
    content: str
    rows: int


@dataclass(frozen=True)
class TableFiles:
    """The files of a table of the contract: several for points, which are stored as the tables of `store`."""

    rows: int
    files: tuple[LakeFile, ...]


class LakeFiles:
    """The files in a store. They are written to the folder `temporary` first, so that their names can have a hash."""

    def __init__(self, store: Store, temporary: Path) -> None:
        self._store = store
        self._temporary = temporary

    def path(self, key: str) -> str:
        """Return where a file is, as DuckDB calls it."""
        return str(self._store.path(key))

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
                    file = self.write("main", table, day, [source.read(table, day)])
                    written[table] = TableFiles(file.rows, (file,))
        except BaseException:
            self.discard(file for table in written.values() for file in table.files)
            raise
        return written

    def write(self, schema: str, table: str, day: date, chunks: Iterable[pa.Table]) -> LakeFile:
        """Write one file. Raises `FixStorage`, also if a row is of another day."""
        with _Writer(self._store, self._temporary, schema, table, day) as writer:
            for rows in chunks:
                writer.write(rows)
        return writer.finished()

    def discard(self, files: Iterable[LakeFile]) -> None:
        """Delete files that will not be registered."""
        for file in files:
            if file.key is not None:
                self._store.delete(file.key)

    def are_there(self, files: Iterable[LakeFile]) -> bool:
        """Return whether all of these files still exist."""
        return all(file.key is None or self._store.exists(file.key) for file in files)

    def all(self) -> set[str]:
        """Return the paths of all Parquet files there are, registered or not."""
        return {self.path(key) for key in self._store.all_keys() if key.endswith(".parquet")}

    def _write_points(self, source: Source, day: date) -> TableFiles:
        count = 0
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(_Writer(self._store, self._temporary, "store", name, day))
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

    def __init__(self, store: Store, temporary: Path, schema: str, table: str, day: date) -> None:
        self._store = store
        self._schema, self._table, self._day = schema, table, day
        self._folder = day_folder(Path(schema, table), day)
        self._temporary = temporary / f".{secrets.token_hex(8)}.tmp"
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
                self._temporary.parent.mkdir(parents=True, exist_ok=True)
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
        """Put the file into the store, under a name that no other has."""
        if self._writer is None:
            return LakeFile(self._schema, self._table, None, "", 0)
        with self._temporary.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        key = (self._folder / f"{content}-{secrets.token_hex(4)}.parquet").as_posix()
        with self._store.adding(key) as target:
            shutil.move(self._temporary, target)
        return LakeFile(self._schema, self._table, key, content, self._rows)

    def _unwritable(self, error: OSError) -> FixStorage:
        folder = self._store.path(self._folder.as_posix())
        return FixStorage(f"{folder} cannot be written ({error.strerror or error}); fix it and run again")


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
