"""A dashboard to start from: days, the worst calls, incidents, releases, changes, segments, one call in detail.

Here is what is queried (`sql`, one statement per file, run by `run_query`) and how it looks in Streamlit, which
comes with the extra `dashboard`. What the figures mean is decided by the views in `quality`, what is missing in
`planning`. A page about one call that can be passed on is in `report`.

Read `app` and `answers` (pages, and what the reader chooses), then `charts`, `tables` and `columns`. `served` adds
`/health` to the pages, and `launch` starts it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import duckdb

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixStorage, first_line
from pipeline.sql import read_statement
from pipeline.warehouse.published import open_published

__all__ = ["run_query"]

ONE_AT_A_TIME = threading.Lock()
"""DuckDB shares a file that is open twice in a process. Only a reader that opens it alone gets the newest content."""


def run_query(published: Path | LakeCatalog, name: str, **parameters: object) -> list[dict[str, Any]]:
    """Return the rows of a query in `sql`, on what is published now. Raises `FixStorage`."""
    with ONE_AT_A_TIME, open_published(published) as database:
        try:
            rows: list[dict[str, Any]] = (
                database.execute(read_statement(__name__, name), parameters).to_arrow_table().to_pylist()
            )
        except (duckdb.BinderException, duckdb.CatalogException):  # it has no such column or view
            raise FixStorage(
                f"{published} is of another version of Call Metrics; `call-metrics rebuild` rebuilds it"
            ) from None
        except duckdb.IOException as error:  # of a lake: its server, or a file that was cleaned away
            raise FixStorage(f"{published} cannot be read ({without_password(first_line(error))})") from None
    return rows
