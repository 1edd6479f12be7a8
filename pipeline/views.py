"""The analysts' views in a DuckDB database, with a comment on each of their columns, and the thresholds users edit.

What a view says stands in `sql/views/<name>.sql`: one SELECT below a header that documents every column. This module
makes views of these files and reads `quality_thresholds.csv`; the tables below them are `warehouse.py`'s business.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline.errors import FixSettings, FixStorage
from pipeline.sql import statement
from pipeline.tables import TABLES

__all__ = [
    "THRESHOLDS_FILE",
    "VIEWS",
    "ViewDocs",
    "create_views",
    "docs_of",
    "read_thresholds",
    "replace_thresholds",
]

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
"""Every view, those that others are made from first."""

THRESHOLDS_FILE = "quality_thresholds.csv"
"""Name of the file in the data folder."""

TRACK_KINDS = ("camera", "screen_share", "screen_share_audio", "audio", "other")

THRESHOLDS = {
    "track_kind": f"Kind of track that the row is about: {', '.join(TRACK_KINDS)}",
    "low_framerate": "Low frame rate: under so many frames per second, a whole number up to 60 "
    "(Teams CQD: 7 for video, 2 for screen share)",
    "strict_framerate": "A stricter one, for strict_framerate_share only; no verdict depends on it",
    "max_low_framerate_share": "Poor where low_framerate_share is greater, 0 to 1; empty: frame rates are not judged",
    "max_send_stall_share": "Poor where stalls take a greater share of the time, 0 to 1; empty: stalls are not judged",
    "min_bitrate": "Poor where the mean bitrate is lower, in the unit of the source; empty: bitrates are not judged",
    "min_active_seconds": "Unclassified with fewer seconds of data",
    "min_coverage": "Unclassified with data for a smaller share of the stay, 0 to 1",
}
"""Columns of quality_thresholds, and their comments."""

WHOLE = {"low_framerate", "strict_framerate"}
SHARES = {"max_low_framerate_share", "max_send_stall_share", "min_coverage"}

DEFAULTS = """\
track_kind,low_framerate,strict_framerate,max_low_framerate_share,max_send_stall_share,min_bitrate,\
min_active_seconds,min_coverage
camera,7,15,0.1,0.05,,30,0.5
screen_share,2,,0.5,,,30,0.5
screen_share_audio,,,,,,30,0.5
audio,,,,,,30,0.5
other,,,,,,30,0.5
"""
"""What the file says until someone edits it. Low frame rates are those of Teams CQD's stream classification; how much
of the time may be lower is our choice. Nothing that the source measures of audio tells good from poor: it has no rule.
"""

Row = Mapping[str, str | float | None]


@dataclass(frozen=True)
class ViewDocs:
    """What the header of a view's file says: of its rows, and of its columns."""

    comment: str
    columns: Mapping[str, str]


def docs_of(view: str) -> ViewDocs:
    """The documentation of a view, from the header of its file; of the ids, from the tables that they are in."""
    about: list[str] = []
    columns: dict[str, str] = {}
    column = None
    in_columns = False
    for line in statement(f"views/{view}").splitlines():
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
    ids = {name: TABLES["tracks"].comment_of(name) for name in TABLES["tracks"].key}
    said = " ".join(about).removeprefix("Grain: ")
    return ViewDocs(said[:1].upper() + said[1:], ids | columns)


def create_views(database: duckdb.DuckDBPyConnection) -> bool:
    """Make the views and their comments where they are not those of this version; returns whether they were not.

    Needs the tables of `sql/store.sql` and `sql/quality.sql`.
    """
    mark = _mark()
    if database.execute("SELECT value FROM store.meta WHERE name = 'views'").fetchone() == (mark,):
        return False
    for view in VIEWS:
        docs = docs_of(view)
        database.execute(f"CREATE OR REPLACE VIEW {view} AS {statement(f'views/{view}')}")
        database.execute(f"COMMENT ON VIEW {view} IS {_literal(docs.comment)}")
        for (column,) in database.execute(
            "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'main' AND table_name = $view", {"view": view}
        ).fetchall():
            database.execute(f"COMMENT ON COLUMN {view}.{column} IS {_literal(docs.columns[column])}")
    database.execute(
        "COMMENT ON TABLE quality_thresholds IS "
        + _literal(f"One row per kind of track: what is low, short or enough, as {THRESHOLDS_FILE} says")
    )
    for column, comment in THRESHOLDS.items():
        database.execute(f"COMMENT ON COLUMN quality_thresholds.{column} IS {_literal(comment)}")
    database.execute("INSERT OR REPLACE INTO store.meta VALUES ('views', $mark)", {"mark": mark})
    return True


def read_thresholds(path: Path) -> list[Row]:
    """The rows of the thresholds' file, which is written with defaults where it is not there yet.

    Raises `FixSettings` where it cannot be understood, `FixStorage` where it cannot be read or written.
    """
    try:
        if not path.exists():
            _write_anew(path, DEFAULTS)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FixSettings(
            f"{path} is not UTF-8 text; save it as UTF-8 or delete it to begin with the defaults"
        ) from None
    except OSError as error:
        raise FixStorage(f"{path} cannot be used ({error.strerror or error}); mend it and run again") from None
    try:
        return _parsed(text)
    except (ValueError, csv.Error) as error:
        raise FixSettings(f"{path}: {error}; correct it, or delete the file to begin with the defaults") from None


def replace_thresholds(database: duckdb.DuckDBPyConnection, rows: list[Row] | None = None) -> bool:
    """Make the table quality_thresholds say this (default: the defaults); returns whether it said something else."""
    names = list(THRESHOLDS)
    wanted = sorted(tuple(row[name] for name in names) for row in (_parsed(DEFAULTS) if rows is None else rows))
    held = database.execute(f"SELECT {', '.join(names)} FROM quality_thresholds ORDER BY track_kind").fetchall()
    if held == wanted:
        return False
    database.execute("DELETE FROM quality_thresholds")
    marks = ", ".join("?" for _ in names)
    for row in wanted:
        database.execute(f"INSERT INTO quality_thresholds ({', '.join(names)}) VALUES ({marks})", row)
    return True


def _parsed(text: str) -> list[Row]:
    """Rows of the file. Raises `ValueError` with what is wrong, and where."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    names = [name.strip() for name in reader.fieldnames or []]
    if missing := [name for name in THRESHOLDS if name not in names]:
        raise ValueError(f"the first line lacks {', '.join(missing)}")
    if unknown := [name for name in names if name not in THRESHOLDS]:
        raise ValueError(f"{', '.join(map(repr, unknown))} is no threshold; there are {', '.join(THRESHOLDS)}")
    reader.fieldnames = names
    rows: dict[str, Row] = {}
    for line in reader:
        where = f"line {reader.line_num}"
        if None in line or None in line.values():
            raise ValueError(f"{where} has not the {len(names)} fields of the first line")
        kind = line["track_kind"].strip()
        if kind not in TRACK_KINDS:
            raise ValueError(f"{where}: {kind!r} is no kind of track; there are {', '.join(TRACK_KINDS)}")
        if kind in rows:
            raise ValueError(f"{where}: {kind} stands there twice")
        values = {name: _number(name, line[name].strip(), where) for name in THRESHOLDS if name != "track_kind"}
        rows[kind] = {"track_kind": kind, **values}
    return list(rows.values())


def _number(name: str, text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{where}: {name} is {text!r}, which is no number") from None
    if name in WHOLE and not (value.is_integer() and 0 <= value <= 60):
        raise ValueError(f"{where}: {name} is {text}; it is a whole number from 0 to 60")
    if name in SHARES and not 0 <= value <= 1:
        raise ValueError(f"{where}: {name} is {text}; a share lies between 0 and 1")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{where}: {name} is {text}; it is 0 or more")
    return value


def _write_anew(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _mark() -> str:
    """Tells apart what the views of two versions are."""
    texts = [statement(f"views/{view}") for view in VIEWS]
    return hashlib.sha256("\0".join([*texts, *THRESHOLDS.values()]).encode()).hexdigest()[:32]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
