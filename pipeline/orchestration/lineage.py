"""What Dagster shows about columns: types and comments, and the columns that they are made from.

Columns of the warehouse come from the lake, and those of the lake from raw responses. Which response fields fill a
column is in `endpoints`; types and comments are those of `schema`.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from pipeline.endpoints import ENDPOINTS, Endpoint, leaves
from pipeline.landing.segment import RAW_SCHEMA
from pipeline.orchestration.names import AppNames
from pipeline.schema import STAY_KEY, TABLES

__all__ = ["lake_lineage", "raw_columns", "table_columns", "warehouse_lineage"]

_REQUEST_COLUMNS = {"http_status": "status", "attempts": "attempts", "fetched_at": "fetched_at", "error": "error"}
"""Columns of `windows` that are a column of the raw request rather than part of its body."""


def lake_lineage(table: str, names: AppNames) -> dg.TableColumnLineage | None:
    """Return where the columns of a table of the lake come from: raw responses.

    None for tables that are computed from the other tables.
    """
    if not any(table in endpoint.tables for endpoint in ENDPOINTS.values()):
        return None
    copied = _REQUEST_COLUMNS if table == "windows" else {}
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(dg.AssetKey(names.key("raw", source)), copied.get(name, "body"))
                for source in _sources(table, name)
            ]
            for name in TABLES[table].schema.names
        }
    )


def _sources(table: str, column: str) -> Sequence[str]:
    """Return the endpoints whose responses contain a column."""
    endpoints = [endpoint for endpoint in ENDPOINTS.values() if table in endpoint.tables]
    # All ids of a stay come from the responses that contain its user id.
    wanted = "user_id" if column in STAY_KEY and len(endpoints) > 1 else column
    sources = [endpoint.name for endpoint in endpoints if wanted in _columns(endpoint)]
    return sources or [endpoints[-1].name]  # derived columns: from the last endpoint, the metrics if any


def _columns(endpoint: Endpoint) -> set[str]:
    return {
        column
        for name, field in leaves(endpoint.fields)
        for column in ((name,) if field.columns is None else field.columns)
    }


def warehouse_lineage(table: str, names: AppNames) -> dg.TableColumnLineage:
    """Return where the columns of a table of the warehouse come from: the same columns of the table in the lake."""
    key = dg.AssetKey(names.key("lake", table))
    return dg.TableColumnLineage({name: [dg.TableColumnDep(key, name)] for name in TABLES[table].schema.names})


def table_columns(table: str) -> dg.TableSchema:
    """Return names, types and comments of a table's columns."""
    contract = TABLES[table]
    return dg.TableSchema(
        [dg.TableColumn(field.name, str(field.type), contract.comment_of(field.name)) for field in contract.schema]
    )


def raw_columns() -> dg.TableSchema:
    """Return names, types and comments of the columns of raw segments."""
    return dg.TableSchema(
        [
            dg.TableColumn(field.name, str(field.type), (field.metadata or {}).get(b"comment", b"").decode() or None)
            for field in RAW_SCHEMA
        ]
    )
