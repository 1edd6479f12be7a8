"""Reads what the model of ratings is made from, and makes it. Costs nothing where there are too few ratings."""

from __future__ import annotations

import json
from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.quality.ratings.stays import MIN_RATINGS, Stays
from pipeline.sql import adapted

__all__ = ["FACT", "train"]

FACT = "rating model"
"""Name of the model in `store.meta`."""

_HAS_MODEL = "SELECT 1 FROM store.meta WHERE name = $name"

MAX_STAYS = 200_000
"""Stays that a model is made from at most: those of the latest days, whole days."""

_RATED = """
SELECT count(DISTINCT (session_date, call_type, call_id, call_session_id, user_id))
FROM user_ratings
WHERE user_session_id IS NOT NULL
"""

_FIRST_DAY = f"""
SELECT min(session_date)
FROM (
    SELECT session_date, sum(count(*)) OVER (ORDER BY session_date DESC) AS stays
    FROM participant_sessions
    GROUP BY session_date
)
WHERE stays <= {MAX_STAYS}
"""

_STAYS = "SELECT session_date, rating, client_name, features FROM rated_stays WHERE session_date >= $first ORDER BY ALL"


def train(database: duckdb.DuckDBPyConnection, now: datetime) -> str | None:
    """Return the model of the ratings in a database as JSON; None if there are too few for one, and were before."""
    (rated,) = database.execute(_RATED).fetchall()[0]
    model = None
    if rated >= MIN_RATINGS:
        from pipeline.quality.ratings.model import fit  # takes a second, and is seldom needed

        (first,) = database.execute(_FIRST_DAY).fetchall()[0]
        rows = database.execute(_STAYS, {"first": first}).to_arrow_table() if first is not None else None
        model = fit(_stays(rows)) if rows else None
    if model is None:
        if not database.execute(adapted(database, _HAS_MODEL), {"name": FACT}).fetchall():
            return None
        why = f"there are {rated} rated stays, and a model needs {MIN_RATINGS} that are judged"
        model = {"abstained_because": why, "ratings": rated}
    return json.dumps(model | {"trained_at": now.isoformat()})


def _stays(rows: pa.Table) -> Stays:
    maps = rows.column("features").combine_chunks()
    names = list(dict.fromkeys(maps.keys.to_pylist()))
    values = np.asarray(pc.fill_null(maps.items, float("nan"))).reshape(rows.num_rows, len(names))
    clients = pc.fill_null(rows.column("client_name").combine_chunks(), "").dictionary_encode()
    return Stays(
        day=np.asarray(rows.column("session_date").cast(pa.int32()).cast(pa.int64())),
        features=values,
        names=names,
        rating=np.asarray(pc.fill_null(rows.column("rating"), float("nan"))),
        client=np.asarray(clients.indices.cast(pa.int64())),
    )
