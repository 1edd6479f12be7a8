"""The views and table macros for analysts: their SQL, and a comment on every view, macro and column.

A view is `sql/<name>.sql` of a package: one SELECT below a header. The header says what one row is ("Grain: ..."), then
documents every column but the ids, whose comments come from `schema`; "Columns of <view>, but <names>" stands for the
comments of another view. A table macro is the same, with its parameters
before the SELECT: `(since, until) AS TABLE SELECT ...`. The tables that views read are in `warehouse`; what is too slow
to compute per query is in `track_statistics`.

DuckDB looks up the tables of a view where the view is, and those of a macro where the query is: whoever attaches the
database under a name of their own must `USE` that name to call a macro.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import duckdb

from pipeline.quality.thresholds import THRESHOLDS, THRESHOLDS_FILE
from pipeline.schema import TABLES, TRACK_KEY
from pipeline.sql import adapted, literal, read_statement

__all__ = ["MACROS", "VIEWS", "ViewDocs", "create_macro", "create_views", "read_docs", "view_texts"]

VIEWS: dict[str, str] = {
    "track_samples": "pipeline.quality",
    "track_minutes": "pipeline.quality",
    "track_kinds": "pipeline.quality",
    "track_quality": "pipeline.quality",
    "participant_quality": "pipeline.quality",
    "call_quality": "pipeline.quality",
    "quality_by_segment": "pipeline.quality",
    "ingest_completeness": "pipeline.quality",
    "release_people": "pipeline.quality.releases",
    "client_releases": "pipeline.quality.releases",
    "release_pairs": "pipeline.quality.releases",
    "release_comparison": "pipeline.quality.releases",
    "ledger_calls": "pipeline.planning",
    "ledger": "pipeline.planning",
    "rated_stays": "pipeline.quality.ratings",
    "rating_model": "pipeline.quality.ratings",
    "rating_drivers": "pipeline.quality.ratings",
    "predicted_ratings": "pipeline.quality.ratings",
}
"""Every view, with the package of its SQL. Each comes after the views that it uses."""

MACROS: dict[str, str] = {
    "explain_change": "pipeline.quality.changes",
    "compare_releases": "pipeline.quality.releases",
}
"""Every table macro, with the package of its SQL."""

_SAME_COLUMNS = re.compile(r"Columns of (?P<view>\w+), but (?P<left_out>[\w, ]+)")


@dataclass(frozen=True)
class ViewDocs:
    """The documentation of a view or a table macro.

    Attributes:
        comment: what one row is, and what it is for.
        columns: comments by column; includes the ids of all tables, also those that the view does not have.
    """

    comment: str
    columns: Mapping[str, str]


@cache
def read_docs(name: str) -> ViewDocs:
    """Return the documentation of a view or macro: from the header of its file, and for ids from the tables."""
    comment: list[str] = []
    columns: dict[str, str] = {}
    column = None
    in_columns = False
    for line in _statement(name).splitlines():
        if not line.startswith("--"):
            break
        text = line.removeprefix("--")
        if not text.strip():
            in_columns = True
        elif same := _SAME_COLUMNS.fullmatch(text.strip()):
            left_out = same["left_out"].split(", ")
            columns |= {name: about for name, about in read_docs(same["view"]).columns.items() if name not in left_out}
        elif not in_columns:
            comment.append(text.strip())
        elif column is not None and text.startswith("     "):
            columns[column] += f" {text.strip()}"
        else:
            column, _, about = text.strip().partition(": ")
            columns[column] = about
    ids = {name: TABLES["tracks"].comment_of(name) for name in ("session_date", *TRACK_KEY)}
    grain = " ".join(comment).removeprefix("Grain: ")
    return ViewDocs(grain[:1].upper() + grain[1:], ids | columns)


def create_views(database: duckdb.DuckDBPyConnection, *, comment_columns: bool = True) -> None:
    """Create the views and macros, with their comments.

    DuckLake has no comments on macros and on the columns of views: then not `comment_columns`.

    Needs the tables of `warehouse/sql/store.sql` and `quality/sql/store.sql`.
    """
    for view in VIEWS:
        database.execute(adapted(database, f"CREATE OR REPLACE VIEW {view} AS {_statement(view)}"))
        database.execute(f"COMMENT ON VIEW {view} IS {literal(read_docs(view).comment)}")
    if comment_columns:
        _comment_columns(database)
    for macro in MACROS:
        create_macro(database, macro)
        if comment_columns:
            database.execute(f"COMMENT ON MACRO TABLE {macro} IS {literal(read_docs(macro).comment)}")
    database.execute(
        "COMMENT ON TABLE quality_thresholds IS "
        + literal(f"One row per kind of track: what counts as low, short or enough, from {THRESHOLDS_FILE}")
    )
    for column, comment in THRESHOLDS.items():
        database.execute(f"COMMENT ON COLUMN quality_thresholds.{column} IS {literal(comment)}")


def create_macro(database: duckdb.DuckDBPyConnection, macro: str) -> None:
    """Create a macro in the schema in use. Raises `duckdb.Error` if views that it reads are missing."""
    database.execute(f"CREATE OR REPLACE MACRO {macro}\n{_statement(macro)}")


def view_texts() -> list[str]:
    """Return the SQL and the comments. If they change, views and macros are outdated."""
    return [*map(_statement, [*VIEWS, *MACROS]), *THRESHOLDS.values()]


def _statement(name: str) -> str:
    return read_statement((VIEWS | MACROS)[name], name)


def _comment_columns(database: duckdb.DuckDBPyConnection) -> None:
    """Comment on the columns of all views, which are looked up at once: DuckDB binds every view for each look."""
    for view, column in database.execute(
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = current_schema() AND table_name IN "
        f"({', '.join(map(literal, VIEWS))})"
    ).fetchall():
        database.execute(f"COMMENT ON COLUMN {view}.{column} IS {literal(read_docs(view).columns[column])}")
