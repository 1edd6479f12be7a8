"""The table `quality_thresholds`: what counts as low, short or enough, read from a CSV file that users edit.

The views read the thresholds from the table. `warehouse` reads the file with every load. What the views do with the
thresholds is in `sql/track_quality.sql`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import duckdb

from pipeline.errors import FixSettings, FixStorage
from pipeline.storage import StoredFile, as_file

__all__ = ["THRESHOLDS", "THRESHOLDS_FILE", "TRACK_KINDS", "has_thresholds", "read_thresholds", "replace_thresholds"]

THRESHOLDS_FILE = "quality_thresholds.csv"
"""Name of the file in the data folder."""

TRACK_KINDS = ("camera", "screen_share", "screen_share_audio", "audio", "other")

THRESHOLDS = {
    "track_kind": f"Kind of track that the row is about: {', '.join(TRACK_KINDS)}",
    "low_framerate": "A frame rate below this many frames per second is low; a whole number up to 60 "
    "(Teams CQD: 7 for video, 2 for screen share)",
    "strict_framerate": "A stricter limit, for strict_framerate_share only; no class depends on it",
    "max_low_framerate_share": "Poor if low_framerate_share is greater, 0 to 1; empty: frame rates are not judged",
    "max_send_stall_share": "Poor if stalls take a greater share of the time, 0 to 1; empty: stalls are not judged",
    "min_bitrate": "Poor if the mean bitrate is lower, in the unit of the source; empty: bitrates are not judged",
    "min_active_seconds": "Unclassified with fewer seconds of data",
    "min_coverage": "Unclassified with data for a smaller share of the stay, 0 to 1",
}
"""The columns of the table and the file, with their comments in the database."""

WHOLE_NUMBERS = {"low_framerate", "strict_framerate"}
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
"""The file until someone edits it. Low frame rates are those of Teams CQD's stream classification; for how much of the
time they may be lower is our choice. Audio has no rule: nothing that the source measures distinguishes good audio from
poor.
"""

Row = Mapping[str, str | float | None]


def read_thresholds(path: Path | StoredFile) -> list[Row]:
    """Return the rows of the file of thresholds. Writes a file with the defaults if there is none.

    Raises `FixSettings` if its content is wrong, `FixStorage` if it cannot be read or written.
    """
    file = as_file(path)
    try:
        text = io.TextIOWrapper(io.BytesIO(_content(file)), encoding="utf-8-sig").read()
    except UnicodeDecodeError:
        raise FixSettings(
            f"{path} is not UTF-8 text; save it as UTF-8, or delete it to start from the defaults"
        ) from None
    except OSError as error:
        raise FixStorage(f"{path} cannot be used ({error.strerror or error}); fix it and run again") from None
    try:
        return _parsed(text)
    except (ValueError, csv.Error) as error:
        raise FixSettings(f"{path}: {error}; correct it, or delete the file to start from the defaults") from None


def replace_thresholds(database: duckdb.DuckDBPyConnection, rows: list[Row] | None = None) -> bool:
    """Replace the rows of `quality_thresholds`, by default with `DEFAULTS`. Returns whether anything changed."""
    if has_thresholds(database, rows):
        return False
    names = list(THRESHOLDS)
    database.execute("DELETE FROM quality_thresholds")
    wanted = _sorted(rows)
    if wanted:  # in one statement: in a DuckLake, each one makes a file
        marks = ", ".join([f"({', '.join('?' for _ in names)})"] * len(wanted))
        values = [value for row in wanted for value in row]
        database.execute(f"INSERT INTO quality_thresholds ({', '.join(names)}) VALUES {marks}", values)
    return True


def has_thresholds(database: duckdb.DuckDBPyConnection, rows: list[Row] | None = None) -> bool:
    """Return whether `quality_thresholds` has exactly these rows; None stands for `DEFAULTS`."""
    query = f"SELECT {', '.join(THRESHOLDS)} FROM quality_thresholds ORDER BY track_kind"
    return database.execute(query).fetchall() == _sorted(rows)


def _sorted(rows: list[Row] | None) -> list[tuple[str | float | None, ...]]:
    return sorted(tuple(row[name] for name in THRESHOLDS) for row in (_parsed(DEFAULTS) if rows is None else rows))


def _content(file: StoredFile) -> bytes:
    """Return the content of the file, which is written first if there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        file.create(DEFAULTS.encode())
        return file.read_bytes()


def _parsed(text: str) -> list[Row]:
    """Return the rows of the file. Raises `ValueError` with what is wrong and where."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    names = [name.strip() for name in reader.fieldnames or []]
    if missing := [name for name in THRESHOLDS if name not in names]:
        raise ValueError(f"the first line has no column {', '.join(missing)}")
    if unknown := [name for name in names if name not in THRESHOLDS]:
        raise ValueError(f"{', '.join(map(repr, unknown))} is not a threshold; the columns are {', '.join(THRESHOLDS)}")
    reader.fieldnames = names
    rows: dict[str, Row] = {}
    for line in reader:
        where = f"line {reader.line_num}"
        if None in line or None in line.values():
            raise ValueError(f"{where} must have {len(names)} fields, like the first line")
        kind = line["track_kind"].strip()
        if kind not in TRACK_KINDS:
            raise ValueError(f"{where}: {kind!r} is not a kind of track; the kinds are {', '.join(TRACK_KINDS)}")
        if kind in rows:
            raise ValueError(f"{where}: {kind} appears twice")
        values = {name: _number(name, line[name].strip(), where) for name in THRESHOLDS if name != "track_kind"}
        rows[kind] = {"track_kind": kind, **values}
    return list(rows.values())


def _number(name: str, text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{where}: {name} is {text!r}; it must be a number") from None
    if name in WHOLE_NUMBERS and not (value.is_integer() and 0 <= value <= 60):
        raise ValueError(f"{where}: {name} is {text}; it must be a whole number from 0 to 60")
    if name in SHARES and not 0 <= value <= 1:
        raise ValueError(f"{where}: {name} is {text}; it must be between 0 and 1")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{where}: {name} is {text}; it must be 0 or more")
    return value
