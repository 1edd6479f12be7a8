"""What the database knows around a call session: incidents, other calls of the day, earlier stays, and releases.

Here is what is asked, and how much of it: a report must stay fast in a large database. How it is said is in
`only_this_call`. What an incident or a worse release is, is decided in `quality`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

import duckdb

from pipeline.serving.report.queries import rows
from pipeline.serving.report.values import EVERYWHERE, Around, Row

__all__ = ["MAX_COMPARED", "MAX_STAYS", "client_of", "read_around"]

MAX_STAYS = 100_000
"""User sessions that shares are computed from: 96,000 take 0.3 seconds on two cores."""

MAX_COMPARED = 30_000
"""User sessions of the whole database up to which versions are compared: 8,000 take 0.3 seconds, 96,000 take 2."""

MAX_VALUES = 2
"""Values of a dimension, such as networks, that are looked at: those that most of the poor stays have."""


def read_around(
    database: duckdb.DuckDBPyConnection, day: date, poor: Sequence[Row], participant: str | None = None
) -> Around:
    """Return what is known around the chosen call session.

    `day` is its `session_date`, `poor` are the rows of `participant_sessions` of its poor stays. With a participant,
    only incidents that they or anybody affected belong to.
    """
    (about,) = rows(database, "around_day", most=MAX_STAYS)
    incidents = rows(database, "around_incidents", participant=participant)
    if not poor:
        return Around(about, incidents)
    values = _values(poor)
    shares = None
    if (about["stays_of_day"] or 0) <= MAX_STAYS:
        wanted = [{"dimension": dimension, "value": value} for dimension, value in values]
        found = rows(database, "around_shares", values=wanted, first_day=about["first_day"] or day)
        shares = {(row["dimension"], row["value"]): row for row in found}
    earlier = rows(database, "around_earlier", users=sorted({stay["user_id"] for stay in poor if stay["user_id"]}))
    clients = [value for dimension, value in values if dimension == "client"]
    releases = None
    if (about["stays"] or 0) <= MAX_COMPARED:
        releases = {row["client"]: row for row in rows(database, "around_releases", clients=clients)} if clients else {}
    return Around(
        about,
        incidents,
        values,
        shares,
        {row["user_id"]: row for row in earlier},
        releases,
    )


def client_of(stay: Row) -> str | None:
    """Return the name and version of a stay's client, as `incidents` and our queries write them; None if unknown."""
    if stay["client_name"] is None or stay["client_version"] is None:
        return None
    return f"{stay['client_name']} {stay['client_version']}"


def _values(poor: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the values that are looked at: everywhere, then by dimension those that most of the poor stays have."""
    chosen = [EVERYWHERE]
    for dimension, values in {
        "media server": [stay["current_sfu"] for stay in poor],
        "network": [stay["network_type"] for stay in poor],
        "country": [stay["country"] for stay in poor],
        "client": [client_of(stay) for stay in poor],
    }.items():
        counts = Counter(value for value in values if value)
        chosen += [(dimension, value) for value, _ in counts.most_common(MAX_VALUES)]
    return chosen
