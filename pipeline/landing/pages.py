"""Usable responses of a day, numbered in order of time, and the bodies of listings."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.endpoints import EndpointName
from pipeline.landing.landing import Landing, Place
from pipeline.landing.order import rank_by_time
from pipeline.schema import CALL_KEY

__all__ = ["body_places", "read_pages", "usable_responses"]


def read_pages(landing: Landing, endpoint: EndpointName, day: date, index: pa.Table) -> pa.Table:
    """Return the usable responses of an endpoint's day with their bodies, for endpoints with small responses.

    Columns: `n` (order of time), the ids of the call session, `fetched_at`, `body`. Raises `Quarantined`.
    """
    rows = usable_responses(index).sort_by("n")
    bodies = pa.array(landing.bodies(endpoint, day, body_places(rows)), pa.string())
    return rows.select(["n", *CALL_KEY, "fetched_at"]).append_column("body", bodies)


def usable_responses(index: pa.Table) -> pa.Table:
    """Return the requests with a usable response, with their `place` in the index and `n`, their order of time."""
    numbered = index.append_column("place", pa.array(range(index.num_rows), pa.int64())).append_column(
        "n", pa.array(rank_by_time(index), pa.int64())
    )
    return numbered.filter(pc.is_null(numbered.column("error")))


def body_places(rows: pa.Table) -> list[Place]:
    """Return where the bodies of some rows of an index are."""
    return list(zip(*(rows.column(name).to_pylist() for name in ("segment", "row_group", "row")), strict=True))
