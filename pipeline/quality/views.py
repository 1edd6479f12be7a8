"""The views for analysts: their SQL, and a comment on every view and column.

A view is `sql/<name>.sql`: one SELECT below a header. The header says what one row is ("Grain: ..."), then documents
every column but the ids, whose comments come from `schema`. The tables that views read are in `warehouse`; what is too
slow to compute per query is in `track_statistics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import duckdb

from pipeline.quality.thresholds import THRESHOLDS, THRESHOLDS_FILE
from pipeline.schema import TABLES, TRACK_KEY
from pipeline.sql import adapted, literal, read_statement

__all__ = ["VIEWS", "ViewDocs", "create_views", "read_docs", "view_texts"]

_statement = partial(read_statement, "pipeline.quality")

VIEWS = (
    "track_samples",
    "track_minutes",
    "track_kinds",
    "track_quality",
    "participant_quality",
    "call_quality",
    "quality_by_segment",
    "ingest_completeness",
)
"""Every view. Each comes after the views that it uses."""


@dataclass(frozen=True)
class ViewDocs:
    """The documentation of a view.

    Attributes:
        comment: what one row is, and what the view is for.
        columns: comments by column; includes the ids of all tables, also those that the view does not have.
    """

    comment: str
    columns: Mapping[str, str]


def read_docs(view: str) -> ViewDocs:
    """Return the documentation of a view: from the header of its file, and for ids from the tables."""
    comment: list[str] = []
    columns: dict[str, str] = {}
    column = None
    in_columns = False
    for line in _statement(view).splitlines():
        if not line.startswith("--"):
            break
        text = line.removeprefix("--")
        if not text.strip():
            in_columns = True
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
    """Create the views, with their comments. DuckLake has none on the columns of views: then not `comment_columns`.

    Needs the tables of `warehouse/sql/store.sql` and `quality/sql/store.sql`.
    """
    for view in VIEWS:
        docs = read_docs(view)
        database.execute(adapted(database, f"CREATE OR REPLACE VIEW {view} AS {_statement(view)}"))
        database.execute(f"COMMENT ON VIEW {view} IS {literal(docs.comment)}")
        if comment_columns:
            _comment_columns(database, view, docs)
    database.execute(
        "COMMENT ON TABLE quality_thresholds IS "
        + literal(f"One row per kind of track: what counts as low, short or enough, from {THRESHOLDS_FILE}")
    )
    for column, comment in THRESHOLDS.items():
        database.execute(f"COMMENT ON COLUMN quality_thresholds.{column} IS {literal(comment)}")


def view_texts() -> list[str]:
    """Return the SQL and the comments. If they change, the views are outdated."""
    return [*map(_statement, VIEWS), *THRESHOLDS.values()]


def _comment_columns(database: duckdb.DuckDBPyConnection, view: str, docs: ViewDocs) -> None:
    for (column,) in database.execute(
        "SELECT column_name FROM duckdb_columns() WHERE schema_name = current_schema() AND table_name = $view",
        {"view": view},
    ).fetchall():
        database.execute(f"COMMENT ON COLUMN {view}.{column} IS {literal(docs.columns[column])}")
