"""A dashboard to start from: the fleet by day, the worst calls, quality by segment, one call in detail.

`python -m pipeline.serving.dashboard` serves it on loopback with Streamlit (the extra `dashboard`). What it asks stands
in `queries`, one statement a file with a header that says its grain; `app.py` is what it looks like. What the figures
mean is the business of the views that the queries read.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import duckdb

from pipeline.errors import FixStorage
from pipeline.sql import load
from pipeline.warehouse.published import open_published

__all__ = ["ask"]

ONE_AT_A_TIME = threading.Lock()
"""DuckDB shares a file that is open twice in a process: only who opens it alone gets what was published last."""


def ask(published: Path, name: str, **parameters: object) -> list[dict[str, Any]]:
    """The rows of a query on what is published now. Raises `FixStorage`."""
    with ONE_AT_A_TIME, open_published(published) as database:
        try:
            rows: list[dict[str, Any]] = (
                database.execute(load(__name__, f"queries/{name}"), parameters).to_arrow_table().to_pylist()
            )
        except (duckdb.BinderException, duckdb.CatalogException):  # no such column, no such view
            raise FixStorage(
                f"{published} is of another version of Call Metrics; `call-metrics rebuild` makes it anew"
            ) from None
    return rows
