"""How a process gets at a lake: to look, without a turn, or to write it in its turn.

A catalog in PostgreSQL is written in place. One in a file is written as a copy that replaces it, as DuckDB lets only
one process open a file for writing: so readers never wait.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from pipeline.catalog import LakeCatalog
from pipeline.files import remove_leftovers, replacing
from pipeline.turns import StillMine, Turns
from pipeline.warehouse.attach import attach_to, detach_from, lake_errors, open_host, renew_access, use_schema
from pipeline.warehouse.database import MEMORY

__all__ = ["LakeAccess"]


class LakeAccess:
    """One process's access to a lake, with the schema of the catalog's app in use.

    Args:
        catalog: where the lake is.
        turns: who may publish: all apps of a lake take turns.
        prepare_files: makes ready the folder of the lake's files, before it is written for the first time.
    """

    def __init__(self, catalog: LakeCatalog, turns: Turns, prepare_files: Callable[[], None]) -> None:
        self._catalog = catalog
        self._turns = turns
        self._prepare_files = prepare_files
        self._connection: duckdb.DuckDBPyConnection | None = None

    def close(self) -> None:
        """Close the connection to PostgreSQL, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def looking(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Read the lake without a turn. Yields None if there is no lake yet."""
        if self._catalog.file is not None and not self._catalog.file.exists():
            yield None
            return
        if self._catalog.postgres is not None and self._connection is None:
            with self.publishing():  # in our turn: the first one to attach creates the catalog
                pass
        with self._attached(read_only=True) as database:
            yield database

    @contextlib.contextmanager
    def publishing(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, StillMine]]:
        """Write the lake, in our turn. Raises `FixStorage`."""
        with self._turns.of_publishing() as still_mine:
            if self._catalog.postgres is not None:
                self._prepare_files()
                with self._attached(read_only=False) as database:
                    yield database, still_mine
            else:
                with self._copy() as file, self._attached(read_only=False, file=file) as database:
                    yield database, still_mine

    @contextlib.contextmanager
    def _attached(self, *, read_only: bool, file: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Use the lake. What takes long stays open: the extensions, and the connection to PostgreSQL."""
        is_new = self._connection is None
        if self._connection is None:
            self._connection = open_host(self._catalog, MEMORY)
        if self._catalog.postgres is not None:
            if is_new:
                try:
                    attach_to(self._connection, self._catalog, read_only=False)
                except BaseException:
                    self.close()
                    raise
            else:
                renew_access(self._connection, self._catalog)
            with self._connection.cursor() as database, lake_errors(self._catalog):
                use_schema(database, self._catalog)
                yield database
            return
        attach_to(self._connection, self._catalog, read_only=read_only, file=file)
        try:
            with lake_errors(self._catalog):
                yield self._connection
        finally:
            with lake_errors(self._catalog):
                detach_from(self._connection)

    @contextlib.contextmanager
    def _copy(self) -> Iterator[Path]:
        """Yield a copy of the catalog's file, which takes its place if the block ends well."""
        file = self._catalog.file
        assert file is not None  # noqa: S101 - for the type checker
        with lake_errors(self._catalog):
            file.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(file.parent, f".{file.name}.*.tmp*")
            with replacing(file) as temporary:
                if file.exists():
                    shutil.copyfile(file, temporary)
                yield temporary
