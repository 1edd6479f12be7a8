"""Builds the tables of a day from its raw responses, if they are not built from the same responses already.

Here is which tables are due, and in which order they are made. What rows contain is in `flatten` and `joins`, how files
are replaced in `lake`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path, PurePath

import pyarrow as pa

from pipeline.endpoints import PEOPLE, EndpointName
from pipeline.landing.bodies import BodySql
from pipeline.landing.landing import Landing
from pipeline.landing.pages import read_pages
from pipeline.model import Stay
from pipeline.planning.completeness import completeness_rows, judge_calls
from pipeline.planning.due import expected_windows
from pipeline.planning.facts import WindowRequest
from pipeline.planning.inventory import DayInventory, window_requests
from pipeline.schema import CALL_KEY, INSTANT, STAY_KEY, TABLES
from pipeline.tables.extra import EXTRA_TABLES, build_extra
from pipeline.tables.flatten import flatten_metrics
from pipeline.tables.joins import completeness_table, incident_tables, participants_table, ratings_table, windows_table
from pipeline.tables.lake import Lake
from pipeline.tables.provenance import Provenance, fingerprint

__all__ = ["UNKNOWN_FIELDS_IN", "TablesBuilt", "build_tables"]

log = logging.getLogger(__name__)

_STREAMED = ("tracks", "metric_points", "track_warnings")
"""Tables that are written batch by batch; the others need the whole day."""

_APART = frozenset({"call_sessions", "user_ratings"})
"""Tables that are built without the others."""

_OF_STAYS: tuple[EndpointName, ...] = tuple(name for name in PEOPLE if name != "user_feedback")
"""Listings of people that the other tables are made from."""

UNKNOWN_FIELDS_IN: Mapping[str, tuple[EndpointName, ...]] = {
    "call_sessions": ("call_stats",),
    "user_ratings": ("user_feedback",),
    "windows": (*_OF_STAYS, "participant_metrics"),
}
"""Tables whose files say which fields of these endpoints' responses we do not know."""

_EXPECTED = pa.schema([*((name, pa.string()) for name in STAY_KEY), ("since", INSTANT), ("until", INSTANT)])


@dataclass(frozen=True)
class TablesBuilt:
    """What building a day's tables did.

    Attributes:
        rows: rows by table.
        paths: files by table.
        changed: tables that were built; the others were up to date.
        unknown_fields: how often responses have a field that we do not know, by field.
    """

    rows: dict[str, int]
    paths: dict[str, PurePath]
    changed: frozenset[str]
    unknown_fields: dict[str, int] = field(default_factory=dict)


def build_tables(
    day: date,
    inventory: DayInventory,
    landing: Landing,
    lake: Lake,
    *,
    temporary: Path,
    details: bool = False,
    rebuild: bool = False,
) -> TablesBuilt:
    """Build the day's tables whose inputs changed (all of them if `rebuild`).

    `details` says whether details and timelines are on, see `build_extra`. Memory does not grow with the day.
    `temporary` is where DuckDB may store what does not fit. Raises `Quarantined` for a broken segment, and
    `FixStorage`.
    """
    index = landing.index("participant_metrics", day)
    requests = window_requests(index)
    expected = _expected_table(inventory, requests)
    marks = _fingerprints(day, inventory, landing, expected)
    changed = {name for name, mark in marks.items() if rebuild or lake.fingerprint(name, day) != mark}
    provenance = Provenance()
    extra_changed = {
        table
        for table in EXTRA_TABLES
        if build_extra(
            table, day, inventory, landing, lake, provenance, temporary=temporary, look=details, rebuild=rebuild
        )
    }

    def write(table: str, rows: pa.Table) -> None:
        unknown = provenance.unknown_of(*UNKNOWN_FIELDS_IN.get(table, ()))
        with lake.writer(table, day, marks[table], unknown) as writer:
            writer.write(rows)

    if "call_sessions" in changed:
        provenance.search("call_stats", _pages(landing, "call_stats", day).column("body").to_pylist())
        write("call_sessions", inventory.rows.call_sessions)
    if "user_ratings" in changed:  # apart, so that a late rating does not build the whole day again
        provenance.search("user_feedback", _pages(landing, "user_feedback", day).column("body").to_pylist())
        with BodySql(temporary) as sql:
            write("user_ratings", ratings_table(sql, day, inventory.rows))
    if changed - _APART:
        changed |= marks.keys() - _APART
        for endpoint in _OF_STAYS:
            people = _pages(landing, endpoint, day)
            provenance.add(endpoint, people, people.column("body").to_pylist())
        with BodySql(temporary) as sql:
            findings = []
            with ExitStack() as files:
                writers = {name: files.enter_context(lake.writer(name, day, marks[name])) for name in _STREAMED}
                read_bodies = partial(landing.bodies, "participant_metrics", day)
                for batch in flatten_metrics(sql, day, index, read_bodies, provenance):
                    for name, writer in writers.items():
                        writer.write(getattr(batch, name))
                    findings.append(batch.findings)
            participants = participants_table(sql, day, inventory.rows, findings)
            write("participant_sessions", participants)
            windows = windows_table(sql, day, expected, index, findings)
            write("windows", windows)
            judged = completeness_rows(judge_calls(inventory, requests, windows))
            write(
                "ingest_completeness_by_call",
                completeness_table(sql, day, inventory.rows, windows, judged, provenance.digests()),
            )
            for table, rows in incident_tables(sql, day, participants, findings).items():
                write(table, rows)
    _log_oddities(day, inventory, provenance)
    return TablesBuilt(
        rows={name: lake.rows(name, day) for name in TABLES},
        paths={name: lake.path(name, day) for name in TABLES},
        changed=frozenset(changed | extra_changed),
        unknown_fields=provenance.unknown_fields,
    )


def _pages(landing: Landing, endpoint: EndpointName, day: date) -> pa.Table:
    return read_pages(landing, endpoint, day, landing.index(endpoint, day))


def _expected_table(inventory: DayInventory, requests: Mapping[Stay, list[WindowRequest]]) -> pa.Table:
    """Return the windows that should exist, one row each: ids, `since`, `until`, sorted."""
    rows = [
        (*stay.key, window.since, window.until)
        for stay in sorted(inventory.stays)
        for window in expected_windows(inventory.stays[stay], requests.get(stay, ()))
    ]
    columns = zip(*rows, strict=True) if rows else ([] for _ in _EXPECTED)
    return pa.table([pa.array(column, item.type) for column, item in zip(columns, _EXPECTED, strict=True)], _EXPECTED)


def _fingerprints(day: date, inventory: DayInventory, landing: Landing, expected: pa.Table) -> dict[str, str]:
    """Return what each table of the day is made from, but `EXTRA_TABLES`, which have their own."""
    rows = inventory.rows
    facts = rows.call_sessions.select([*CALL_KEY, "ended_at", "generated_at", "sessions", "most_publishers"])
    endpoints: tuple[EndpointName, ...] = (*_OF_STAYS, "participant_metrics")
    segments = [name for endpoint in endpoints for name in landing.origins(endpoint, day)]
    mark = fingerprint(day, segments, rows.participants, rows.stats, expected, facts)
    names = [name for name in TABLES if name not in EXTRA_TABLES]
    return dict.fromkeys(names, mark) | {
        "call_sessions": fingerprint(day, rows.call_sessions),
        "user_ratings": fingerprint(day, rows.ratings, rows.participants.select(STAY_KEY)),
    }


def _log_oddities(day: date, inventory: DayInventory, provenance: Provenance) -> None:
    if inventory.rows.of_other_days:
        log.warning(
            "%s: %d call sessions that were listed for it report a start on another day; backfill that day to store "
            "them",
            day,
            inventory.rows.of_other_days,
            extra={"day": day},
        )
    if provenance.unknown_fields:
        fields = ", ".join(f"{name} ({count})" for name, count in sorted(provenance.unknown_fields.items()))
        log.warning(
            "%s: responses have unknown fields, which are kept in the raw responses: %s",
            day,
            fields,
            extra={"day": day},
        )
