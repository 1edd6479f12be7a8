"""Rows from the listings of a day: its call sessions, who took part, and who published.

Reads the pages of call_stats, Call Attendance, participant statistics and user feedback with SQL (`planning/sql`). What
follows from the rows is in `inventory`; the responses of Participant Metrics are read in `tables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import pyarrow as pa

from pipeline.landing.bodies import BodySql
from pipeline.landing.landing import Landing
from pipeline.landing.pages import read_pages
from pipeline.model import Call
from pipeline.planning.facts import Listing
from pipeline.schema import CALL_KEY, as_table
from pipeline.sql import read_statement

__all__ = ["ListingRows", "group_listings", "read_listings", "updated_sessions"]

_statement = partial(read_statement, "pipeline.planning")


@dataclass(frozen=True)
class ListingRows:
    """What the listings of one day say, as rows.

    Attributes:
        call_sessions: rows of the table; `most_publishers`, the greatest count of publishers on any page; `rated_at`.
        of_other_days: call sessions that were listed for the day and say that they started on another.
        participants: one row per stay: ids, `joined_at`, `left_at`, `duration_seconds`, `publisher_type`, `roles`.
        totals: one row per call session: ids, `promised` (stays that the source counts), `erased` (those of erased
            people).
        stats: one row per stay: ids, `listed_at`, and columns of `participant_sessions`.
        participants_index: requests for Call Attendance, see `Landing.index`.
        stats_index: requests for participant statistics.
        ratings: one row per rating: ids of call session and user, and columns of `user_ratings`.
        ratings_index: requests for user feedback.
    """

    call_sessions: pa.Table
    of_other_days: int
    participants: pa.Table
    totals: pa.Table
    stats: pa.Table
    participants_index: pa.Table
    stats_index: pa.Table
    ratings: pa.Table
    ratings_index: pa.Table


def read_listings(landing: Landing, day: date, sql: BodySql) -> ListingRows:
    """Read all listings of a day. Raises `Quarantined` for a broken segment, and `FixStorage`."""
    calls = read_pages(landing, "call_stats", day, landing.index("call_stats", day))
    listed = sql.query(_statement("call_sessions"), {"day": day}, pages=calls)
    rows = listed.filter(listed.column("belongs"))
    participants_index = landing.index("participant_sessions", day)
    people = read_pages(landing, "participant_sessions", day, participants_index)
    stats_index = landing.index("participant_stats", day)
    stats = read_pages(landing, "participant_stats", day, stats_index)
    ratings_index = landing.index("user_feedback", day)
    ratings = read_pages(landing, "user_feedback", day, ratings_index)
    return ListingRows(
        call_sessions=as_table("call_sessions", rows)
        .append_column("most_publishers", rows.column("most_publishers"))
        .append_column("rated_at", rows.column("rated_at")),
        of_other_days=listed.num_rows - rows.num_rows,
        participants=sql.query(_statement("participant_sessions"), pages=people),
        totals=sql.query(_statement("participant_totals"), pages=people),
        stats=sql.query(_statement("participant_stats"), pages=stats),
        participants_index=participants_index,
        stats_index=stats_index,
        ratings=sql.query(_statement("user_feedback"), pages=ratings),
        ratings_index=ratings_index,
    )


def updated_sessions(bodies: Sequence[str]) -> pa.Table:
    """Return one row per call session on pages of call_stats: `session_date`, `version`, `generated_at`.

    `version` changes with anything that the source says about the session.
    """
    rows = pa.table({"n": pa.array(range(len(bodies)), pa.int64()), "body": pa.array(bodies, pa.string())})
    with BodySql() as sql:
        return sql.query(_statement("updated_sessions"), pages=rows)


def group_listings(index: pa.Table) -> dict[Call | None, dict[str, Listing]]:
    """Return the listings in an index by call session (None for call_stats) and id, oldest first."""
    listings: dict[tuple[Call | None, str], Listing] = {}
    columns = [*CALL_KEY, "listing", "page", "fetched_at", "status", "error", "next_cursor"]
    # By page rather than by time: the clock may have been set back in between.
    for row in sorted(index.select(columns).to_pylist(), key=lambda row: row["page"]):
        call = Call(*(row[name] for name in CALL_KEY)) if row["call_id"] is not None else None
        listing = listings.get((call, row["listing"]), Listing(row["listing"], row["fetched_at"]))
        listing = replace(listing, failed=row["error"] is not None, status=row["status"])
        if not listing.failed:
            listing = replace(listing, pages=listing.pages + 1, next_cursor=row["next_cursor"])
        listings[call, row["listing"]] = listing
    groups: dict[Call | None, dict[str, Listing]] = {}
    for (call, name), listing in sorted(listings.items(), key=lambda item: item[1].began_at):
        groups.setdefault(call, {})[name] = listing
    return groups
