"""The published file in the server's DuckDB: attached, and replaced when a new one is published.

The server's own database is in memory and has no rows. It has a view for each table and view of the attached file, and
each table macro that the file has: DuckDB looks up the tables of a macro where the query is, so it reads the views
beside it. When a new file is published, it is attached as well, all views and macros switch to it in one transaction,
and the old file is detached at the next refresh. No client is disconnected, and a query that is running ends on the
file it started with.

How clients reach the views is in `server`; how a file is published is in `warehouse`.
"""

from __future__ import annotations

import logging
from pathlib import Path

import duckdb

from pipeline.errors import FixStorage, first_line
from pipeline.files import copy_file
from pipeline.quality.views import MACROS, create_macro
from pipeline.sql import literal, quoted
from pipeline.warehouse.published import identity

__all__ = ["Publication"]

log = logging.getLogger(__name__)


class Publication:
    """The views and macros of a server on the file at `published`. `folder` is one that DuckDB is allowed to read."""

    def __init__(self, database: duckdb.DuckDBPyConnection, published: Path, folder: Path) -> None:
        self._database = database
        self._published = published
        self._folder = folder
        self._generation = 0
        self._attached: tuple[int, ...] | None = None
        self._reported: tuple[int, ...] | None = None
        self._previous: list[str] = []
        self.problem: str | None = None
        """Why what is published now is not what is served, in a sentence; None if it is."""

    def attach(self) -> None:
        """Attach the published file for the first time. Raises `FixStorage`."""
        try:
            self._switch()
        except (duckdb.Error, OSError) as error:
            raise FixStorage(f"{self._published} cannot be served ({first_line(error)})") from None

    def refresh(self) -> bool:
        """Detach the previous file, and switch to the published one if it has changed. Returns whether it switched.

        If the new file cannot be read, the old one stays. It is tried again at each call, and logged once.
        """
        for name in self._previous:
            self._database.execute(f"DETACH {name}")
        self._previous.clear()
        found = identity(self._published)
        if found in (self._attached, None):  # a file that is missing will come back
            self.problem = f"{self._published} is missing; serving the previous one instead" if found is None else None
            return False
        try:
            self._switch()
        except (duckdb.Error, OSError) as error:
            self.problem = f"{self._published} cannot be served ({first_line(error)}); serving the previous one instead"
            if self._reported != found:
                log.warning("%s", self.problem)
            self._reported = found
            return False
        self.problem = None
        return True

    def _switch(self) -> None:
        """Attach the published file and point views and macros at it, in one step. Raises what these raise."""
        found = identity(self._published)
        name = f"published_{self._generation + 1}"
        self._attach(name)
        try:
            self._replace_names(name)
        except duckdb.Error:
            self._database.execute(f"DETACH {name}")
            raise
        if self._generation:
            self._previous.append(f"published_{self._generation}")
        self._generation += 1
        self._attached = found

    def _attach(self, name: str) -> None:
        file = self._folder / f"{name}.duckdb"  # DuckDB does not attach a path twice, even if the file is another one
        try:
            _link(self._published, file)
            self._database.execute(f"ATTACH {literal(str(file))} AS {name} (READ_ONLY)")
        finally:
            file.unlink(missing_ok=True)  # DuckDB keeps the file open

    def _replace_names(self, name: str) -> None:
        self._database.execute("BEGIN")
        try:
            self._replace_views(name)
            self._replace_macros(name)
            self._database.execute("COMMIT")
        except duckdb.Error:
            self._database.execute("ROLLBACK")
            raise

    def _replace_views(self, name: str) -> None:
        published = self._names(name)
        for table in published:
            self._database.execute(f"CREATE OR REPLACE VIEW {quoted(table)} AS FROM {name}.main.{quoted(table)}")
        for table in self._names("memory") - published:
            self._database.execute(f"DROP VIEW {quoted(table)}")

    def _replace_macros(self, name: str) -> None:
        """Create the macros that the published file has. Their SQL is ours: what DuckDB stores is not the same."""
        published = self._macros(name)
        for macro in MACROS:
            if macro in published:
                try:
                    create_macro(self._database, macro)
                except duckdb.Error as error:  # a file of another version, whose views have other columns
                    published.remove(macro)
                    log.warning(
                        "%s cannot be called (%s); use the server's version everywhere", macro, first_line(error)
                    )
        for macro in self._macros("memory") - published:
            self._database.execute(f"DROP MACRO TABLE {quoted(macro)}")

    def _macros(self, database: str) -> set[str]:
        """Return the table macros of an attached database."""
        query = (
            "SELECT function_name FROM duckdb_functions() WHERE function_type = 'table_macro' "
            "AND schema_name = 'main' AND NOT internal AND database_name = $database"
        )
        return {row[0] for row in self._database.execute(query, {"database": database}).fetchall()}

    def _names(self, database: str) -> set[str]:
        """Return the tables and views of an attached database."""
        query = (
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main' AND table_catalog = $database"
        )
        return {row[0] for row in self._database.execute(query, {"database": database}).fetchall()}


def _link(source: Path, target: Path) -> None:
    """Give the file another name, which costs nothing. Copy it if the file system has no hard links."""
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        copy_file(source, target)
