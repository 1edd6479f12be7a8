"""Tables as Parquet files, one per table and day, each replaced as a whole.

    tables/<table>/session_date=2026-11-01/<table>.parquet

Schema, comments and sort order are those of `schema`. Every file carries a fingerprint of what it was made from, so
that a file that would come out the same is not written again. How rows are made is in `flatten` and
`joins`.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import Broken, FixStorage
from pipeline.files import day_of, folder_name, reading
from pipeline.schema import TABLES, Table
from pipeline.storage import Store, as_store

__all__ = ["Lake", "TableWriter"]

FINGERPRINT = b"call_metrics.fingerprint"
UNKNOWN_KEY = b"call_metrics.unknown_fields"
VERSION_KEY = b"call_metrics.tables_version"
VERSION = 1
"""Version of the files. Those of an earlier version are rebuilt, those of a later one refused."""
REBUILD = "`call-metrics rebuild` rebuilds it"
ROW_GROUP_ROWS = 1 << 20
LOOKED_UP = {"session_date", "call_id", "call_session_id", "user_id", "user_session_id"}
"""Columns that people look things up by. They get statistics, and so do instants; statistics on all other columns would
add a third to the time of writing. Iceberg takes the partition of a file from the statistics of session_date."""


class Lake:
    """The tables under one folder, or in a store."""

    def __init__(self, root: Path | Store) -> None:
        self._store = as_store(root)

    def path(self, table: str, day: date) -> PurePath:
        """Return where the file of a table and day is."""
        return self._store.path(_key(table, day))

    def days(self, table: str = "windows") -> list[date]:
        """Return the days with a file of this table, oldest first. Raises `FixStorage`."""
        with reading(self._store.path(table), REBUILD):
            names = self._store.folders_with(table, f"{table}.parquet")
        return [day for name in names if (day := day_of(name)) is not None]

    def has(self, table: str, day: date) -> bool:
        """Return whether there is a file of this table and day. Raises `FixStorage` if it cannot be found out."""
        with reading(self.path(table, day), REBUILD):
            return self._store.exists(_key(table, day))

    def version(self, table: str, day: date) -> object:
        """Return a value that is another one once the file is replaced; None without one. Raises `FixStorage`."""
        with reading(self.path(table, day), REBUILD):
            return self._store.versions(_folder(table, day)).get(f"{table}.parquet")

    def fingerprint(self, table: str, day: date) -> str | None:
        """Return what the file was made from; None if there is none of this version, or if it is broken.

        Raises `FixStorage` for a file of a later version, and for one that cannot be read just now.
        """
        if not self.has(table, day):
            return None
        try:
            with self._open(table, day) as file:
                metadata = file.metadata.metadata or {}
                columns = file.schema_arrow.names
        except Broken:
            return None
        version = int(metadata.get(VERSION_KEY, b"0"))
        if version > VERSION:
            raise FixStorage(
                f"{self.path(table, day)} was written by a later version of Call Metrics; upgrade this one"
            )
        if version < VERSION or columns != TABLES[table].schema.names:
            return None
        return metadata.get(FINGERPRINT, b"").decode() or None

    def mark(self, table: str, day: date) -> str:
        """Return the fingerprint in a file of any version; empty if it has none.

        Raises `FixStorage` if the file is missing or cannot be read.
        """
        with self._open(table, day) as file:
            return str((file.metadata.metadata or {}).get(FINGERPRINT, b"").decode())

    def delete_day(self, day: date) -> None:
        """Delete the files of a day. Quarantined ones stay. Raises `FixStorage`."""
        try:
            self._store.delete(*(_key(table, day) for table in TABLES if table != "windows"))
            self._store.delete(_key("windows", day))  # the last one: `days` finds a day by it until all is deleted
            for table in TABLES:
                self._store.tidy(_folder(table, day))
        except OSError as error:
            raise FixStorage(
                f"the tables of {day} in {self._store.url} cannot be deleted ({error.strerror or error}); fix it and "
                "run again"
            ) from None

    def unknown_fields(self, table: str, day: date) -> list[str]:
        """Return the unknown fields that the file was written with. Raises `FixStorage` if it cannot be read."""
        with self._open(table, day) as file:
            found: list[str] = json.loads((file.metadata.metadata or {}).get(UNKNOWN_KEY, b"[]"))
        return found

    def rows(self, table: str, day: date) -> int:
        """Return how many rows the file has. Raises `FixStorage`."""
        with self._open(table, day) as file:
            return int(file.metadata.num_rows)

    def read(self, table: str, day: date, columns: list[str] | None = None) -> pa.Table:
        """Return the rows of a table and day. Raises `FixStorage` if the file is missing or cannot be read."""
        with self._open(table, day) as file:
            return file.read(columns=columns)

    def chunks(self, table: str, day: date, *, dictionaries: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows by row group, a bounded number at a time, with some columns encoded as dictionaries."""
        with self._open(table, day, dictionaries) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, use_threads=False)

    @contextmanager
    def writer(
        self, table: str, day: date, fingerprint: str, unknown_fields: Sequence[str] = ()
    ) -> Iterator[TableWriter]:
        """Write a new file, which replaces the old one when the block ends well.

        `unknown_fields` are fields in its responses that we do not know. Raises `FixStorage`. Whatever goes wrong, the
        old file stays.
        """
        path = self.path(table, day)
        try:
            self._store.prepare(_folder(table, day))
            with self._store.replacing(_key(table, day)) as temporary:
                with temporary.open("wb") as sink:
                    writer = TableWriter(sink, TABLES[table], fingerprint, unknown_fields)
                    try:
                        yield writer
                    except BaseException:
                        with contextlib.suppress(OSError, pa.ArrowException):
                            writer.close()  # or it would close itself later, on a file that is gone
                        raise
                    writer.close()
                self._quarantine_broken(table, day)
        except OSError as error:
            raise FixStorage(f"{path} cannot be written ({error.strerror or error}); fix it and run again") from None

    def _quarantine_broken(self, table: str, day: date) -> None:
        """Quarantine an unreadable file instead of replacing it: it may not be ours."""
        if self._store.exists(_key(table, day)):
            try:
                with self._open(table, day):
                    return
            except Broken as error:
                self._store.quarantine(_key(table, day), f"is broken ({error.reason})", "it will be rebuilt")

    @contextmanager
    def _open(self, table: str, day: date, dictionaries: list[str] | None = None) -> Iterator[pq.ParquetFile]:
        path = self.path(table, day)
        with reading(path, REBUILD):
            try:
                source = self._store.open(_key(table, day))
            except FileNotFoundError:
                raise FixStorage(
                    f"{path} does not exist; `call-metrics rebuild` makes it from the raw responses"
                ) from None
            with (
                source,
                pq.ParquetFile(
                    source,
                    read_dictionary=dictionaries,
                    page_checksum_verification=True,
                    pre_buffer=self._store.is_remote,
                ) as file,
            ):
                yield file


class TableWriter:
    """Appends rows to one file. Text columns may be dictionaries, which saves encoding them again."""

    def __init__(self, sink: object, table: Table, fingerprint: str, unknown_fields: Sequence[str] = ()) -> None:
        self._schema = table.schema
        self._stored = pa.schema([_encoded(field) for field in table.schema])
        text = [field.name for field in table.schema if pa.types.is_string(field.type)]
        instants = {field.name: "DELTA_BINARY_PACKED" for field in table.schema if pa.types.is_timestamp(field.type)}
        self._writer = pq.ParquetWriter(
            sink,
            self._stored,
            compression="zstd",
            compression_level=1,
            use_dictionary=text,
            column_encoding=instants,
            store_schema=False,
            write_page_checksum=True,
            write_statistics=[
                field.name for field in table.schema if field.name in LOOKED_UP or field.name in instants
            ],
            sorting_columns=pq.SortingColumn.from_ordering(
                table.schema, [(name, "ascending") for name in table.key], null_placement="at_end"
            ),
        )
        # The schema that readers see: plain text columns, with their comments.
        self._writer.add_key_value_metadata(
            {
                "ARROW:schema": base64.b64encode(table.schema.serialize().to_pybytes()).decode(),
                FINGERPRINT.decode(): fingerprint,
                VERSION_KEY.decode(): str(VERSION),
            }
            | ({UNKNOWN_KEY.decode(): json.dumps(list(unknown_fields))} if unknown_fields else {})
        )

    def write(self, rows: pa.Table) -> None:
        """Append rows: the table's columns in its order, sorted by its key."""
        self._writer.write_table(rows.select(self._schema.names).cast(self._stored), row_group_size=ROW_GROUP_ROWS)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def _folder(table: str, day: date) -> str:
    return f"{table}/{folder_name(day)}"


def _key(table: str, day: date) -> str:
    return f"{_folder(table, day)}/{table}.parquet"


def _encoded(field: pa.Field) -> pa.Field:
    return field.with_type(pa.dictionary(pa.int32(), pa.string())) if pa.types.is_string(field.type) else field
