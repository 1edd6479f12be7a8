"""`call-metrics report` without a call session: the worst calls of the newest day, to choose from."""

from __future__ import annotations

from rich.table import Table

from pipeline.cli import console
from pipeline.cli.outcome import PROGRAM, ExitCode
from pipeline.settings import Settings
from pipeline.warehouse.published import open_published, read_errors

__all__ = ["print_worst"]

MOST = 10
"""Calls that are listed."""

QUERY = """
SELECT
    session_date, call_type || ':' || call_id AS call_cid, call_session_id, started_at,
    poor_publishers, poor_publishers + good_publishers AS judged, unclassified_publishers
FROM call_quality
WHERE session_date = (SELECT max(session_date) FROM call_quality)
ORDER BY poor_share DESC NULLS LAST, poor_publishers DESC, started_at, call_session_id
LIMIT $most
"""


def print_worst(settings: Settings) -> ExitCode:
    """Print the calls of the newest day with the largest share of poor publishers, and how to see one.

    Raises `FixStorage` if there is no database yet.
    """
    with read_errors(settings.warehouse), open_published(settings.warehouse) as database:
        calls = database.execute(QUERY, {"most": MOST}).to_arrow_table().to_pylist()
    if not calls:
        print("the database has no calls yet")
        return ExitCode.COMPLETE
    table = Table(box=None, pad_edge=False)
    for name in ("started (UTC)", "call", "poor publishers", "session"):
        table.add_column(name, justify="right" if name == "poor publishers" else "left", overflow="fold")
    for call in calls:
        judged = f"{call['poor_publishers']} of {call['judged']}" if call["judged"] else "unknown"
        started = f"{call['started_at']:%H:%M}" if call["started_at"] else ""
        table.add_row(started, call["call_cid"], judged, call["call_session_id"])
    print(f"The worst calls of {calls[0]['session_date']}, the newest day:\n")
    console.stdout().print(table)
    print(f"\nSee one with `{PROGRAM} report {calls[0]['call_session_id']}`.")
    return ExitCode.COMPLETE
