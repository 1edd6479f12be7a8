"""Where each column comes from, as Dagster shows it: from the raw answers to the lake, from there to the warehouse."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from pipeline.endpoints import ENDPOINTS, Endpoint, leaves
from pipeline.landing.segment import RAW_SCHEMA
from pipeline.schema import STAY_KEY, TABLES

__all__ = ["lake_lineage", "raw_columns", "table_columns", "warehouse_lineage"]

_REQUEST_COLUMNS = {"http_status": "status", "attempts": "attempts", "fetched_at": "fetched_at", "error": "error"}
"""Columns of `windows` that are a column of the raw request rather than part of its body."""


def lake_lineage(table: str) -> dg.TableColumnLineage | None:
    """Return where the columns of a table of the lake come from: raw responses.

    None for `ingest_completeness_by_call`, which is computed from the other tables.
    """
    if not any(table in endpoint.tables for endpoint in ENDPOINTS.values()):
        return None
    copied = _REQUEST_COLUMNS if table == "windows" else {}
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(dg.AssetKey(["raw", source]), copied.get(name, "body"))
                for source in _sources(table, name)
            ]
            for name in TABLES[table].schema.names
        }
    )


def _sources(table: str, column: str) -> Sequence[str]:
    """Return the endpoints whose responses contain a column."""
    endpoints = [endpoint for endpoint in ENDPOINTS.values() if table in endpoint.tables]
    wanted = "user_id" if column in STAY_KEY and len(endpoints) > 1 else column  # the ids of a call come with its stays
    sources = [endpoint.name for endpoint in endpoints if wanted in _columns(endpoint)]
    return sources or [endpoints[-1].name]  # what is derived comes from the metrics, if the table has any of them


def _columns(endpoint: Endpoint) -> set[str]:
    return {
        column
        for name, field in leaves(endpoint.fields)
        for column in ((name,) if field.columns is None else field.columns)
    }


def warehouse_lineage(table: str) -> dg.TableColumnLineage:
    """From a table of the lake to the one in the warehouse: column by column, as it is."""
    key = dg.AssetKey(["lake", table])
    return dg.TableColumnLineage({name: [dg.TableColumnDep(key, name)] for name in TABLES[table].schema.names})


def table_columns(table: str) -> dg.TableSchema:
    """Names, types and comments of a table's columns."""
    contract = TABLES[table]
    return dg.TableSchema(
        [dg.TableColumn(field.name, str(field.type), contract.comment_of(field.name)) for field in contract.schema]
    )


def raw_columns() -> dg.TableSchema:
    """Those of the segments in which answers land."""
    return dg.TableSchema(
        [
            dg.TableColumn(field.name, str(field.type), (field.metadata or {}).get(b"comment", b"").decode() or None)
            for field in RAW_SCHEMA
        ]
    )
