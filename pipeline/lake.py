"""Tables as Parquet files, one a table and day, each replaced as a whole.

    tables/<table>/session_date=2026-11-01/<table>.parquet

Schema, comments and sort order are those of `tables.py`. Every file carries a fingerprint of what it was made from, so
that a file that would come out the same is not made again. How rows come about is `flatten.py`'s business.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from pipeline.asides import reading, set_aside
from pipeline.errors import Broken, FixStorage
from pipeline.tables import TABLES, Table

__all__ = ["Lake", "TableWriter"]

FINGERPRINT = b"call_metrics.fingerprint"
VERSION_KEY = b"call_metrics.tables_version"
VERSION = 1
"""Of what the files hold; those of an earlier one are made anew, those of a later one refused."""
REBUILD = "`call-metrics rebuild` makes it anew"
ROW_GROUP_ROWS = 1 << 20
PRUNING = {"call_id", "call_session_id", "user_id", "user_session_id"}
"""Columns that people look things up by; instants too. Statistics on all others would cost a third of the writing."""


class Lake:
    """The tables under one folder of any pyarrow filesystem."""

    def __init__(self, root: str, filesystem: pafs.FileSystem | None = None) -> None:
        self._root = PurePosixPath(root)
        self._filesystem = filesystem or pafs.LocalFileSystem()

    def path(self, table: str, day: date) -> str:
        """Where the file of a table and day lies."""
        return str(self._root / table / f"session_date={day.isoformat()}" / f"{table}.parquet")

    def days(self, table: str = "windows") -> list[date]:
        """The days of which there is a file of this table, oldest first."""
        selector = pafs.FileSelector(str(self._root / table), allow_not_found=True, recursive=True)
        days = []
        with reading(self._root / table, REBUILD):
            found = self._filesystem.get_file_info(selector)
        for info in found:
            path = PurePosixPath(info.path)
            if info.is_file and path.name == f"{table}.parquet":
                with contextlib.suppress(ValueError):
                    days.append(date.fromisoformat(path.parent.name.removeprefix("session_date=")))
        return sorted(days)

    def has(self, table: str, day: date) -> bool:
        """Whether there is a file of this table and day."""
        path = self.path(table, day)
        with reading(path, REBUILD):
            return bool(self._filesystem.get_file_info(path).is_file)

    def fingerprint(self, table: str, day: date) -> str | None:
        """What the file was made from; None where there is none of this version, or a broken one.

        Raises `FixStorage` for a file of a later version, and for one that cannot be read just now.
        """
        if not self.has(table, day):
            return None
        try:
            with self._open(table, day) as file:
                metadata = file.metadata.metadata or {}
        except Broken:
            return None
        version = int(metadata.get(VERSION_KEY, b"0"))
        if version > VERSION:
            raise FixStorage(f"{self.path(table, day)} is from a later version of Call Metrics; upgrade this one")
        return (metadata.get(FINGERPRINT, b"").decode() or None) if version == VERSION else None

    def rows(self, table: str, day: date) -> int:
        """How many rows the file has. Raises `FixStorage`."""
        with self._open(table, day) as file:
            return int(file.metadata.num_rows)

    def read(self, table: str, day: date, columns: list[str] | None = None) -> pa.Table:
        """The rows of a table and day. Raises `FixStorage` where the file is missing or cannot be read."""
        with self._open(table, day) as file:
            return file.read(columns=columns)

    def chunks(self, table: str, day: date, *, dictionaries: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows by row group, a bounded number at a time, the columns named in `dictionaries` as such."""
        with self._open(table, day, dictionaries) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, use_threads=False)

    @contextmanager
    def writer(self, table: str, day: date, fingerprint: str) -> Iterator[TableWriter]:
        """Write a new file, which takes the place of the old one when the block ends well.

        Raises `FixStorage`; whatever goes wrong, the old file stays.
        """
        path = self.path(table, day)
        temporary = f"{path}.tmp"
        try:
            self._filesystem.create_dir(str(PurePosixPath(path).parent), recursive=True)
            with self._filesystem.open_output_stream(temporary) as sink:
                writer = TableWriter(sink, TABLES[table], fingerprint)
                try:
                    yield writer
                except BaseException:
                    with contextlib.suppress(OSError, pa.ArrowException):
                        writer.close()  # or it would close itself later, on a file that is gone
                    raise
                writer.close()
            self._keep_broken(table, day)
            self._filesystem.move(temporary, path)
        except OSError as error:
            raise FixStorage(f"{path} cannot be written ({error.strerror or error}); mend it and run again") from None
        finally:
            with contextlib.suppress(OSError):
                self._filesystem.delete_file(temporary)

    def _keep_broken(self, table: str, day: date) -> None:
        """Set a file aside that is in the way and cannot be read: it is not ours to delete."""
        path = self.path(table, day)
        if self._filesystem.get_file_info(path).is_file:
            try:
                with self._open(table, day):
                    return
            except Broken as error:
                set_aside(path, f"is broken ({error.reason})", "it is made anew", self._filesystem)

    @contextmanager
    def _open(self, table: str, day: date, dictionaries: list[str] | None = None) -> Iterator[pq.ParquetFile]:
        path = self.path(table, day)
        with reading(path, REBUILD):
            try:
                source = self._filesystem.open_input_file(path)
            except FileNotFoundError:
                raise FixStorage(f"{path} is not there; `call-metrics rebuild` makes it from the raw answers") from None
            with (
                source,
                pq.ParquetFile(source, read_dictionary=dictionaries, page_checksum_verification=True) as file,
            ):
                yield file


class TableWriter:
    """Appends rows to one file. Text columns may come as dictionaries, which saves encoding them again."""

    def __init__(self, sink: pa.NativeFile, table: Table, fingerprint: str) -> None:
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
            write_statistics=[field.name for field in table.schema if field.name in PRUNING or field.name in instants],
            sorting_columns=pq.SortingColumn.from_ordering(
                table.schema, [(name, "ascending") for name in table.key], null_placement="at_end"
            ),
        )
        # The schema as readers are to see it: plain text columns, with their comments.
        self._writer.add_key_value_metadata(
            {
                "ARROW:schema": base64.b64encode(table.schema.serialize().to_pybytes()).decode(),
                FINGERPRINT.decode(): fingerprint,
                VERSION_KEY.decode(): str(VERSION),
            }
        )

    def write(self, rows: pa.Table) -> None:
        """Append rows: the table's columns in its order, sorted by its key."""
        self._writer.write_table(rows.select(self._schema.names).cast(self._stored), row_group_size=ROW_GROUP_ROWS)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def _encoded(field: pa.Field) -> pa.Field:
    return field.with_type(pa.dictionary(pa.int32(), pa.string())) if pa.types.is_string(field.type) else field
