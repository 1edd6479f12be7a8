"""One call session as one HTML page, for the person with a ticket: it holds all it needs and asks no network for more.

Here: the door. `content.py` is what is in the page, `lines.py` points as lines, `charts.py` what is drawn, `page.py`
with its template what is written. It reads the published database, and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.errors import FixSettings, FixStorage, first_line
from pipeline.files import replacing
from pipeline.serving.report import content, page
from pipeline.warehouse.published import open_published

__all__ = ["Report", "make", "write"]

NAME_LENGTH = 60
"""Characters of a session's id in a file name, which has 255 bytes."""


@dataclass(frozen=True)
class Report:
    """A page in UTF-8, the name of a file for it, and in sentences what of the call is not in the database."""

    html: bytes
    file_name: str
    shortfalls: tuple[str, ...]


def make(published: Path, wanted: str, participant: str | None, now: datetime) -> Report:
    """The page of the call session `wanted` (its id, or type:id of a call with one), or of one user in it.

    Raises `FixStorage` where the database is not there or too old, `FixSettings` where session or user is not in it.
    """
    with open_published(published) as database:
        try:
            session = content.find(database, wanted)
            found = content.read(database, session, participant)
        except duckdb.Error as error:
            raise FixStorage(
                f"{published} cannot tell of calls ({first_line(error)}); `call-metrics rebuild` makes it anew"
            ) from None
    safe = re.sub(r"[^\w.-]+", "_", session.call_session_id)[:NAME_LENGTH]
    return Report(page.render(found, now), f"report-{safe}.html", page.shortfalls(found))


def write(report: Report, path: Path) -> None:
    """Write the page, whole or not at all. Raises `FixSettings` where `path` is no place for a file, `FixStorage`."""
    if path.exists() and not path.is_file():
        raise FixSettings(f"{path} is no file; name one with -o, or -o - for standard output")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(report.html)
    except OSError as error:
        raise FixStorage(f"{path} cannot be written ({error.strerror}); choose another file with -o") from None
