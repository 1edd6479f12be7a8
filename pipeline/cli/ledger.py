"""What can still be had from the source, what that costs, and when a backfill must start: `status --ledger`.

How it is found is in the views `ledger` and `ledger_calls`. This is only how it is printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from pipeline.cli import console
from pipeline.cli.outcome import ExitCode
from pipeline.planning.problems import counted
from pipeline.settings import Settings, parse_date
from pipeline.warehouse.published import open_published, read_errors

__all__ = ["print_ledger"]

QUERY = """
SELECT * FROM ledger
WHERE
    session_date BETWEEN coalesce($since, DATE '1970-01-01') AND coalesce($until, DATE '9999-12-31')
    AND session_date >= $start
ORDER BY session_date
"""


def print_ledger(settings: Settings, since: str | None, until: str | None, *, as_json: bool) -> ExitCode:
    """Print each day of which the source can still give something. Returns `INCOMPLETE` if there is one.

    Raises `FixStorage` if there is no database yet, `FixSettings` for a date that is none.
    """
    span = {
        "since": parse_date("--from", since) if since else None,
        "until": parse_date("--to", until) if until else None,
        "start": settings.start,  # the view has that of the latest run
    }
    with read_errors(settings.warehouse), open_published(settings.warehouse) as database:
        rows = database.execute(QUERY, span).to_arrow_table().to_pylist()
    now = datetime.now(UTC)
    if as_json:
        print(json.dumps(rows, indent=2, default=_as_text))
    elif not rows:
        print("nothing is missing that the source can still give")
    else:
        console.stdout().print(_table(rows))
        for line in _sentences(rows, now):
            print(line)
    return ExitCode.INCOMPLETE if rows else ExitCode.COMPLETE


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("day", "stays to get", "requests", "lost from", "start by", ""):
        table.add_column(name, justify="right" if name in ("stays to get", "requests") else "left", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row['session_date']}",
            f"{row['stays_missing']}",
            f"{row['requests']}",
            _hour(row["lost_from"]),
            _hour(row["start_by"]),
            "estimate: never listed" if row["is_estimate"] else "",
        )
    return table


def _sentences(rows: Sequence[dict[str, Any]], now: datetime) -> Iterator[str]:
    requests = sum(row["requests"] for row in rows)
    lost = sum(row["stays_lost_now"] for row in rows)
    if lost:
        yield f"a backfill that starts now comes too late for {counted(lost, 'stay')}; start it all the same"
    starts = [row["start_by"] for row in rows if row["start_by"] is not None and row["start_by"] >= now]
    if starts:
        more = "more " if lost else ""
        yield (
            f"start `call-metrics backfill --from {rows[0]['session_date']} --to {rows[-1]['session_date']}` by "
            f"{_hour(min(starts))} to lose nothing {more}(about {counted(requests, 'request')})"
        )
    elif any(row["stays_missing"] for row in rows) and not lost:
        yield "no quota is known yet; a backfill of one day, such as yesterday, finds it"


def _hour(instant: datetime | None) -> str:
    """Return the hour that an instant is in, which is not later than the instant."""
    return "" if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H}:00 UTC"


def _as_text(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
