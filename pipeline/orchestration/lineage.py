"""Where each column comes from, as Dagster shows it: from the raw answers to the lake, from there to the warehouse."""

from __future__ import annotations

import dagster as dg

from pipeline.landing import RAW_SCHEMA
from pipeline.tables import TABLES

__all__ = ["lake_lineage", "raw_columns", "table_columns", "warehouse_lineage"]

_BODIES = {
    "call_sessions": "call_stats",
    "participant_sessions": "participant_metrics",
    "tracks": "participant_metrics",
    "metric_points": "participant_metrics",
    "track_warnings": "participant_metrics",
    "windows": "participant_metrics",
}
"""Whose bodies a table is read from, but for the columns below."""

_OF_ATTENDANCE = {
    "participant_sessions": {"joined_at", "left_at", "duration_seconds", "publisher_type", "roles"},
    "windows": {"since", "until"},
}
"""Columns that Call Attendance tells; it also tells who there is, in these two tables."""

_OF_STATISTICS = set(
    TABLES["participant_sessions"].schema.names[TABLES["participant_sessions"].schema.names.index("sdk") :]
)
"""Columns of participant_sessions that participant statistics tell."""

_OF_BOTH = {"is_publisher", "client_ip", "city", "subdivision", "country", "country_iso_code", "continent", "latitude"}
_OF_BOTH |= {"longitude", "accuracy_radius_meters"}
"""Those that Participant Metrics tell, or else participant statistics."""

_OF_REQUESTS = {
    "windows": {"http_status": "status", "attempts": "attempts", "fetched_at": "fetched_at", "error": "error"}
}
"""Columns that are what a raw answer's own column says."""

_IDS = {"call_type", "call_id", "call_session_id", "user_id", "user_session_id"}


def lake_lineage(table: str) -> dg.TableColumnLineage | None:
    """From raw answers to a table of the lake; None for the certificates, which are reckoned from the other tables."""
    if table not in _BODIES:
        return None
    copied = _OF_REQUESTS.get(table, {})
    columns = {
        name: [
            dg.TableColumnDep(dg.AssetKey(["raw", source]), copied.get(name, "body"))
            for source in _told_by(table, name)
        ]
        for name in TABLES[table].schema.names
    }
    return dg.TableColumnLineage(columns)


def _told_by(table: str, column: str) -> list[str]:
    """The endpoints whose answers tell a column."""
    by_attendance = _OF_ATTENDANCE.get(table, set())
    if column in by_attendance or (by_attendance and column in _IDS):
        return ["participant_sessions"]
    if table == "participant_sessions" and column in _OF_STATISTICS:
        return ["participant_stats"]
    if table == "participant_sessions" and column in _OF_BOTH:
        return ["participant_metrics", "participant_stats"]
    return [_BODIES[table]]


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
