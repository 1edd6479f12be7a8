"""Which lake the files in a folder belong to: two catalogs that share it would delete each other's files.

A file beside the folder has the id that DuckLake gave the lake when it was created. All apps of a lake share it.
"""

from __future__ import annotations

import duckdb

from pipeline.catalog import LakeCatalog
from pipeline.errors import FixStorage
from pipeline.storage import StoredFile
from pipeline.warehouse.attach import LAKE

__all__ = ["LakeClaim"]

ID = f"SELECT schema_uuid::VARCHAR FROM __ducklake_metadata_{LAKE}.ducklake_schema WHERE schema_name = 'main'"


class LakeClaim:
    """The claim of one lake on its files. `file` keeps it."""

    def __init__(self, catalog: LakeCatalog, file: StoredFile) -> None:
        self._catalog = catalog
        self._file = file

    def make(self, database: duckdb.DuckDBPyConnection) -> None:
        """Claim the files, if nobody has. Raises `FixStorage` if another lake has."""
        self._file.create(f"{_id_of(database)}\n".encode("ascii"))
        self.check(database)

    def is_made(self, database: duckdb.DuckDBPyConnection) -> bool:
        """Return whether this lake has claimed its files."""
        return self._claimed() == _id_of(database)

    def check(self, database: duckdb.DuckDBPyConnection) -> None:
        """Raise `FixStorage` if the files belong to another lake."""
        if self._claimed() not in (None, _id_of(database)):
            raise FixStorage(
                f"the files in {self._catalog.data_path} belong to another lake than {self._catalog}; set "
                f"CALL_METRICS_WAREHOUSE to that one, or CALL_METRICS_DATA to another place (if that lake is gone for "
                f"good, delete {self._file})"
            )

    def _claimed(self) -> str | None:
        """Return the id of the lake that the files belong to; None if they belong to none."""
        try:
            return self._file.read_bytes().decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None


def _id_of(database: duckdb.DuckDBPyConnection) -> str:
    row = database.execute(ID).fetchone()
    return str(row[0]) if row else ""
