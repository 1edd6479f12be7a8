"""The views for analysts: their SQL, and a comment on each of their columns.

A view is `views/<name>.sql`: one SELECT below a header that documents the rows and every column. The tables below the
views are in `warehouse`; what is too slow to compute per query is in `track_statistics`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from pipeline.quality.thresholds import THRESHOLDS, THRESHOLDS_FILE
from pipeline.schema import TABLES, TRACK_KEY
from pipeline.sql import literal, load

__all__ = ["VIEWS", "ViewDocs", "create_views", "docs_of"]

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
"""Every view, in an order in which each comes after the views that it uses."""


@dataclass(frozen=True)
class ViewDocs:
    """What the header of a view says about its rows and its columns."""

    comment: str
    columns: Mapping[str, str]


def docs_of(view: str) -> ViewDocs:
    """Return the documentation of a view, from the header of its file, and of its ids from the tables."""
    about: list[str] = []
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
            about.append(text.strip())
        elif column is not None and text.startswith("     "):
            columns[column] += f" {text.strip()}"
        else:
            column, _, said = text.strip().partition(": ")
            columns[column] = said
    ids = {name: TABLES["tracks"].comment_of(name) for name in ("session_date", *TRACK_KEY)}
    said = " ".join(about).removeprefix("Grain: ")
    return ViewDocs(said[:1].upper() + said[1:], ids | columns)


def create_views(database: duckdb.DuckDBPyConnection) -> bool:
    """Create the views and comments if they are outdated. Returns whether anything changed.

    Needs the tables of `warehouse/store.sql` and `quality/store.sql`.
    """
    mark = _mark()
    if database.execute("SELECT value FROM store.meta WHERE name = 'views'").fetchone() == (mark,):
        return False
    for view in VIEWS:
        docs = docs_of(view)
        database.execute(f"CREATE OR REPLACE VIEW {view} AS {_statement(view)}")
        database.execute(f"COMMENT ON VIEW {view} IS {literal(docs.comment)}")
        for (column,) in database.execute(
            "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'main' AND table_name = $view", {"view": view}
        ).fetchall():
            database.execute(f"COMMENT ON COLUMN {view}.{column} IS {literal(docs.columns[column])}")
    database.execute(
        "COMMENT ON TABLE quality_thresholds IS "
        + literal(f"One row per kind of track: what counts as low, short or enough, from {THRESHOLDS_FILE}")
    )
    for column, comment in THRESHOLDS.items():
        database.execute(f"COMMENT ON COLUMN quality_thresholds.{column} IS {literal(comment)}")
    database.execute("INSERT OR REPLACE INTO store.meta VALUES ('views', $mark)", {"mark": mark})
    return True


def _mark() -> str:
    """Return a hash of everything that makes the views."""
    texts = [_statement(view) for view in VIEWS]
    return hashlib.sha256("\0".join([*texts, *THRESHOLDS.values()]).encode()).hexdigest()[:32]


def _statement(view: str) -> str:
    return load("pipeline.quality", f"views/{view}")
