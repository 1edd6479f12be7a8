"""The tables of a pruned day. There are no raw responses to rebuild them from, so they are changed instead.

Here is how an upgrade adapts them, and how erased people are removed from them. Each file is replaced as a whole, and
files that are done are skipped, so that both can be interrupted and repeated. What is known of a pruned day is in
`planning.pruned`.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import Broken, FixStorage
from pipeline.landing.erasure import ErasedUsers
from pipeline.planning.pruned import PrunedDay, PrunedDays
from pipeline.schema import CALL_KEY, TABLES, WINDOW_STATES, as_table
from pipeline.tables.lake import Lake
from pipeline.tables.provenance import rules

__all__ = ["adapt_day", "lost_tables", "strike_day", "strike_tables"]

log = logging.getLogger(__name__)

USER_COLUMNS = ("user_id", "publisher_user_id")
"""Columns that name a person. A row that names an erased one in any of them goes."""

CERTIFICATES = "ingest_completeness_by_call"

COUNTED = (CERTIFICATES, "participant_sessions", "windows")
"""Tables with the stays and windows that are counted. If one of them is lost, nothing is counted again."""


def lost_tables(lake: Lake, pruned: PrunedDay) -> list[str]:
    """Return the tables of a pruned day that are missing or cannot be read, and should not be. Raises `FixStorage`."""
    return [table for table in _kept(pruned) if lake.fingerprint(table, pruned.day) is None]


def adapt_day(lake: Lake, days: PrunedDays, day: date) -> None:
    """Adapt the tables of a pruned day to this version, as far as possible. Call it in the day's turn.

    Raises `FixStorage`.
    """
    pruned = days.get(day)
    if pruned is not None and pruned.rules != rules():
        adapt_tables(lake, day, _kept(pruned))
        days.put(replace(pruned, rules=rules()))


def strike_day(lake: Lake, days: PrunedDays, day: date, erased: ErasedUsers) -> bool:
    """Remove erased people from the tables of a pruned day, and from its counts. Returns whether there were some.

    Call it in the day's turn. Raises `FixStorage`.
    """
    adapt_day(lake, days, day)
    pruned = days.get(day)
    if pruned is None or pruned.removed == "all":
        return False
    struck = strike_tables(lake, day, erased)
    if all(lake.has(table, day) for table in COUNTED):
        rows = lake.read(CERTIFICATES, day, ["stays_promised", "stays_held"]).to_pylist()
        states = Counter(lake.read("windows", day, ["state"]).column("state").to_pylist())
        promised, held = (sum(row[name] or 0 for row in rows) for name in ("stays_promised", "stays_held"))
        days.put(replace(pruned, promised=promised, held=held, windows=dict(sorted(states.items()))))
    return bool(struck)


def adapt_tables(lake: Lake, day: date, tables: Iterable[str]) -> bool:
    """Give tables that an earlier version wrote the columns of this one; new columns are NULL. Returns whether it did.

    A table that cannot be read, or whose values do not fit, stays as it is, and one sentence says so. Raises
    `FixStorage` for a table of a later version, and if the disk fails.
    """
    changed = False
    for table in tables:
        if not lake.has(table, day) or lake.fingerprint(table, day) is not None:
            continue
        try:
            with lake.writer(table, day, f"{lake.mark(table, day)}+{rules()}") as writer:
                for rows in lake.chunks(table, day):
                    writer.write(_with_all_columns(table, rows))
        except (Broken, pa.ArrowException) as error:
            reason = error.reason if isinstance(error, Broken) else str(error).splitlines()[0]
            log.warning(
                "%s cannot be used by this version (%s) and cannot be rebuilt, because the raw responses of %s were "
                "pruned; it stays as it is: restore it from a backup, or use the version that wrote it",
                lake.path(table, day),
                reason,
                day,
            )
        else:
            changed = True
    return changed


def strike_tables(lake: Lake, day: date, erased: ErasedUsers) -> int:
    """Remove the rows that name erased people. Returns how many tables had some.

    `ingest_completeness_by_call` counts their stays as forgotten. The totals in `call_sessions` and the counts in
    `incidents` and `incident_calls` stay: they name nobody. Raises `FixStorage`.
    """
    struck = sum(
        _strike(lake, table, day, erased)
        for table, its in TABLES.items()
        if "user_id" in its.schema.names and lake.has(table, day)
    )
    if all(lake.has(table, day) for table in COUNTED):
        _recount(lake, day)
    return struck


def _kept(pruned: PrunedDay) -> Iterable[str]:
    """Return the tables that a pruned day must still have."""
    return pruned.tables if pruned.removed == "raw" else ()


def _strike(lake: Lake, table: str, day: date, erased: ErasedUsers) -> bool:
    """Remove rows from a table, if there are any to remove. Reads it in parts, so that memory stays bounded."""
    keep = _keeper(table, erased)
    users = [name for name in USER_COLUMNS if name in TABLES[table].schema.names]
    try:
        found = (rows.unify_dictionaries() for rows in lake.chunks(table, day, dictionaries=users))
        if all(keep(rows).num_rows == rows.num_rows for rows in found):
            return False
        with lake.writer(table, day, _changed(lake, table, day), lake.unknown_fields(table, day)) as writer:
            for rows in lake.chunks(table, day):
                writer.write(keep(rows))
    except Broken as error:
        raise FixStorage(
            f"{lake.path(table, day)} cannot be read ({error.reason}) and cannot be rebuilt, because the raw responses "
            f"of {day} were pruned; restore it from a backup, or move it away"
        ) from None
    return True


def _keeper(table: str, erased: ErasedUsers) -> Callable[[pa.Table], pa.Table]:
    """Return a function that keeps the rows of a table that name no erased person."""

    def names_one(column: str, value: Any) -> bool:
        if column != "data":
            return erased.includes(value)
        return value is not None and erased.is_named_in(_parsed(value))

    schema = TABLES[table].schema
    columns = [name for name in USER_COLUMNS if name in schema.names]
    if table == "timeline_events":
        columns += ["data", "type", "severity"]

    def keep(rows: pa.Table) -> pa.Table:
        for column in columns:
            values = rows.column(column)
            named = [value for value in pc.unique(values).to_pylist() if names_one(column, value)]
            if named:
                text = values.cast(pa.string())
                rows = rows.filter(pc.invert(pc.is_in(text, value_set=pa.array(named, pa.string()))))
        return rows

    return keep


def _parsed(text: str) -> object:
    """Return what JSON text says; the text itself if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _recount(lake: Lake, day: date) -> None:
    """Make `ingest_completeness_by_call` agree with the stays and windows that are left.

    A stay that it counts and that is gone was forgotten: nothing else removes one.
    """
    held = Counter(map(_call, lake.read("participant_sessions", day, [*CALL_KEY]).to_pylist()))
    windows: dict[tuple[Any, ...], Counter[str]] = {}
    points = Counter[tuple[Any, ...]]()
    for row in lake.read("windows", day, [*CALL_KEY, "state", "points"]).to_pylist():
        windows.setdefault(_call(row), Counter())[row["state"]] += 1
        points[_call(row)] += row["points"] or 0
    rows = lake.read(CERTIFICATES, day).to_pylist()
    changed = False
    for row in rows:
        call = _call(row)
        if gone := row["stays_held"] - held[call]:
            changed = True
            states = windows.get(call, Counter())
            row["stays_held"] -= gone
            row["stays_promised"] -= gone
            row["stays_forgotten"] += gone
            row["windows_expected"] = states.total()
            row |= {f"windows_{state}": states[state] for state in WINDOW_STATES}
            row["points"] = points[call]
            row["raw_sha256"] = None  # the responses had more than these rows
    if changed:
        table = pa.Table.from_pylist(rows, TABLES[CERTIFICATES].schema)
        with lake.writer(CERTIFICATES, day, _changed(lake, CERTIFICATES, day)) as writer:
            writer.write(as_table(CERTIFICATES, table))


def _changed(lake: Lake, table: str, day: date) -> str:
    """Return a new fingerprint, so that the next load takes the changed file."""
    return f"{lake.mark(table, day).partition('~')[0]}~{secrets.token_hex(4)}"


def _call(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in CALL_KEY)


def _with_all_columns(table: str, rows: pa.Table) -> pa.Table:
    schema = TABLES[table].schema
    columns = [
        rows.column(field.name) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema.names)
