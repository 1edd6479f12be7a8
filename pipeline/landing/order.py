"""The order of responses in time. A later response takes precedence wherever two say different things."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["microseconds", "rank_by_time"]


def rank_by_time(index: pa.Table) -> np.ndarray[Any, Any]:
    """Return the rank of each request by `fetched_at`. Of equal instants, the one that landed later ranks higher.

    Example: 10:02, 10:01, 10:01 gives 2, 0, 1.
    """
    order = np.argsort(microseconds(index.column("fetched_at")), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def microseconds(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return instants as microseconds since 1970 (UTC), 0 for null."""
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0))
