"""A day's raw answers made into its tables, where these are not made from the same already.

What rows say is `flatten.py`'s business, how files are replaced `lake.py`'s; here is which tables are due, in what
order they are made, and what is said of a day that has something odd.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa

from pipeline.exchange import PEOPLE, Endpoint, Stay
from pipeline.flatten import DayOfMetrics, Flattener, digest, fingerprint, pages
from pipeline.knowledge import expected_windows, requests_of
from pipeline.lake import Lake
from pipeline.landing import Landing
from pipeline.listed import Listed
from pipeline.plan import Asked
from pipeline.specification import unknown_fields
from pipeline.survey import survey_calls, verdicts
from pipeline.tables import TABLES

__all__ = ["Written", "tabulate"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """What writing a day's tables did: rows by table, the tables that changed, and fields that are new to us."""

    rows: dict[str, int]
    changed: frozenset[str]
    unknown_fields: dict[str, int] = field(default_factory=dict)


def tabulate(
    day: date, listed: Listed, landing: Landing, lake: Lake, *, temporary: Path, anew: bool = False
) -> Written:
    """Write the tables of a day whose file would come out another one; all of them with `anew`.

    Memory does not grow with the day. Raises `SetAside` where a segment is broken, and `FixStorage`.
    """
    index, bodies = landing.read("participant_metrics", day)
    asked = requests_of(index)
    expected = expected_windows(listed.known.stays, asked)
    marks = _fingerprints(day, listed, landing, expected)
    changed = {name for name, mark in marks.items() if anew or lake.fingerprint(name, day) != mark}
    found = DayOfMetrics()

    def write(table: str, rows: pa.Table) -> None:
        with lake.writer(table, day, marks[table]) as writer:
            writer.write(rows)

    if "call_sessions" in changed:
        for body in pages(*landing.read("call_stats", day)).column("body").to_pylist():
            found.unknown.update(unknown_fields("call_stats", body))
        write("call_sessions", listed.sessions)
    if changed - {"call_sessions"}:
        changed |= marks.keys() - {"call_sessions"}
        for endpoint in PEOPLE:
            answers = pages(*landing.read(endpoint, day))
            digest(endpoint, answers, answers.column("body").to_pylist(), found)
        with Flattener(temporary) as flattener:
            with ExitStack() as files:
                names = ("tracks", "metric_points", "track_warnings")
                writers = {name: files.enter_context(lake.writer(name, day, marks[name])) for name in names}
                for chunk in flattener.metrics(day, index, bodies, found):
                    for name, writer in writers.items():
                        writer.write(getattr(chunk, name))
            write(
                "participant_sessions",
                flattener.participant_sessions(day, listed.attended, listed.statistics, found),
            )
            windows = flattener.windows(day, expected, index, found)
            write("windows", windows)
            write("ingest_completeness_by_call", _certificates(day, flattener, listed, asked, windows, found))
    _say_what_is_odd(day, listed, found)
    return Written({name: lake.rows(name, day) for name in TABLES}, frozenset(changed), dict(found.unknown))


def _fingerprints(day: date, listed: Listed, landing: Landing, expected: pa.Table) -> dict[str, str]:
    """What each table of the day is made from."""
    facts = listed.sessions.select(
        ["call_type", "call_id", "call_session_id", "ended_at", "generated_at", "sessions", "most_publishers"]
    )
    endpoints: tuple[Endpoint, ...] = (*PEOPLE, "participant_metrics")
    segments = [path.name for endpoint in endpoints for path in landing.segments(endpoint, day)]
    mark = fingerprint(day, segments, listed.attended, listed.statistics, expected, facts)
    return dict.fromkeys(TABLES, mark) | {"call_sessions": fingerprint(day, listed.sessions)}


def _certificates(
    day: date,
    flattener: Flattener,
    listed: Listed,
    asked: dict[Stay, list[Asked]],
    windows: pa.Table,
    found: DayOfMetrics,
) -> pa.Table:
    judged = verdicts(survey_calls(listed.known, asked, windows))
    return flattener.completeness(day, listed.sessions, listed.promised, listed.attended, windows, judged, found)


def _say_what_is_odd(day: date, listed: Listed, found: DayOfMetrics) -> None:
    if listed.of_other_days:
        log.warning(
            "%s: %d call sessions that were listed for it say that they started on another day; backfill that day to "
            "have them",
            day,
            listed.of_other_days,
        )
    if found.unknown:
        fields = ", ".join(f"{name} ({count})" for name, count in sorted(found.unknown.items()))
        log.warning("%s: answers have fields that are new to us and stay in the raw answers: %s", day, fields)
