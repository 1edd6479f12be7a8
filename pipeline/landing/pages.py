"""Usable responses of a day in order of time, as every reader of bodies needs them."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.endpoints import EndpointName
from pipeline.landing.landing import Landing, Place
from pipeline.schema import CALL_KEY

__all__ = ["microseconds", "order_of_time", "pages", "places", "usable"]


def pages(landing: Landing, endpoint: EndpointName, day: date, index: pa.Table) -> pa.Table:
    """Return the usable responses of an endpoint's day with their bodies, for endpoints with small responses.

    Columns: `n` (order of time), the ids of the call session, `fetched_at`, `body`. Raises `Quarantined`.
    """
    rows = usable(index).sort_by("n")
    bodies = pa.array(landing.bodies(endpoint, day, places(rows)), pa.string())
    return rows.select(["n", *CALL_KEY, "fetched_at"]).append_column("body", bodies)


def usable(index: pa.Table) -> pa.Table:
    """Return the requests with a usable response, with their `place` in the index and `n`, their order of time."""
    numbered = index.append_column("place", pa.array(range(index.num_rows), pa.int64())).append_column(
        "n", pa.array(order_of_time(index), pa.int64())
    )
    return numbered.filter(pc.is_null(numbered.column("error")))


def order_of_time(index: pa.Table) -> np.ndarray[Any, Any]:
    """Return the rank of each request by `fetched_at`. Of equal instants, the one that landed later ranks higher."""
    order = np.argsort(microseconds(index.column("fetched_at")), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def places(rows: pa.Table) -> list[Place]:
    """Return where the bodies of some rows of an index are."""
    return list(zip(*(rows.column(name).to_pylist() for name in ("segment", "row_group", "row")), strict=True))


def microseconds(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return instants as microseconds since 1970 (UTC), 0 for null."""
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0))
