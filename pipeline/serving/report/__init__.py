"""One call session as one HTML page, for the person who works on a ticket. The page is complete in itself.

Here is the door: `make` a report from the published database, `write` it to a file. The page loads nothing from the
network. What quality means is in `quality`, what is missing in `planning`; the command is in `cli`.

Read `find` (which call session is meant), `values` (what a page shows of it), `content` and `around` (how that is read
from the database, with `queries`: the call, and what is known around it), then `page` with `page.html.j2` (the
page), and what is on it: `sentences`, `worst`, `only_this_call` and `facts` (text), `timeline` and `stay_chart` with
`lines` and `figures` (charts).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixSettings, FixStorage, first_line
from pipeline.files import replacing
from pipeline.serving.report import content, page
from pipeline.serving.report.find import check_user, find_session
from pipeline.serving.report.sentences import problems
from pipeline.serving.report.values import CallContent
from pipeline.warehouse.published import open_published

__all__ = ["Report", "make", "read_call", "write"]

MAX_NAME_LENGTH = 60
"""Characters of a session id in a file name. A file name has at most 255 bytes, a character up to 4."""


@dataclass(frozen=True)
class Report:
    """A report that is ready to be written.

    Attributes:
        html: the page, in UTF-8.
        file_name: a name for its file.
        problems: what is missing of the call, in sentences; empty if it is complete.
    """

    html: bytes
    file_name: str
    problems: tuple[str, ...]


def make(published: Path | LakeCatalog, wanted: str, participant: str | None, now: datetime) -> Report:
    """Return the report of a call session, or of one user in it, made at `now`.

    `wanted` is the id of the call session, or `type:id` of a call with only one session. Raises `FixStorage` if the
    database is missing or too old, `FixSettings` if it does not have the call session or the user.
    """
    call = read_call(published, wanted, participant)
    safe_id = re.sub(r"[^\w.-]+", "_", call.session_ids.call_session_id)[:MAX_NAME_LENGTH]
    return Report(page.render(call, now), f"report-{safe_id}.html", problems(call))


def read_call(published: Path | LakeCatalog, wanted: str, participant: str | None) -> CallContent:
    """Return what a report says, as values. The arguments and errors are those of `make`."""
    with open_published(published) as database:
        try:
            session = find_session(database, wanted)
            if participant is not None:
                check_user(database, session, participant)
            return content.read(database, session, participant)
        except duckdb.Error as error:
            raise FixStorage(
                f"{published} cannot be used for reports ({without_password(first_line(error))}); "
                "`call-metrics rebuild` rebuilds it"
            ) from None


def write(report: Report, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises `FixSettings` if something other than a file is at `path`, `FixStorage` if it cannot be written.
    """
    if path.exists() and not path.is_file():
        raise FixSettings(f"{path} is not a file; name one with -o, or use -o - for standard output")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(report.html)
    except OSError as error:
        raise FixStorage(f"{path} cannot be written ({error.strerror}); choose another file with -o") from None
