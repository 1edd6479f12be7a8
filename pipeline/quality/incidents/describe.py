"""The rows of `incidents` and `incident_calls`, from the data points of a day's cameras.

Affected are the people of the scope who got worse during the incident, or joined during it and were worse from the
start. Expected are those of its publishers who would have got worse in as many minutes as usual.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.quality.incidents.camera_minutes import CameraMinutes
from pipeline.quality.incidents.episodes import find_episodes, judge_minutes
from pipeline.quality.incidents.publishers import Publishers
from pipeline.quality.incidents.rates import Rates, personal_chances
from pipeline.quality.incidents.search import Day, Found, search_incidents
from pipeline.schema import CALL_KEY, TABLES

__all__ = ["find_incidents"]

Ints = npt.NDArray[np.int64]

EARLY = 1
"""Minutes before the start from which a person who gets worse is affected."""


def find_incidents(day: date, minutes: CameraMinutes, stays: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows of `incidents` and of `incident_calls`, sorted by their keys.

    `stays` are the rows of `participant_sessions` by number of the stay, see `publishers.STAY_COLUMNS`. `day` is the
    `session_date` of their calls.
    """
    publishers = Publishers.of(stays)
    judged = judge_minutes(minutes)
    known = Day(judged, find_episodes(judged), publishers)
    found = search_incidents(known)
    rates = Rates.of(judged, known.episodes, publishers) if found else None
    incidents: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for one in found:
        assert rates is not None  # noqa: S101 - for the type checker
        described, its_calls = _described(known, rates, one, stays)
        incidents.append(described)
        calls += its_calls
    return _table("incidents", day, incidents), _table("incident_calls", day, calls)


def _described(day: Day, rates: Rates, found: Found, stays: pa.Table) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the row of an incident, and the rows of its calls."""
    publishers, minutes, episodes = day.publishers, day.minutes, day.episodes
    in_scope = publishers.scopes[found.scope] == found.value
    present = (minutes.minute >= found.begins) & (minutes.minute < found.ends) & in_scope[minutes.stay]
    worse = in_scope[episodes.stay] & (episodes.begins >= found.begins - EARLY) & (episodes.begins < found.ends)
    stay_present, stay_worse = np.unique(minutes.stay[present]), np.unique(episodes.stay[worse])
    stay_worse = np.intersect1d(stay_worse, stay_present)
    users, person = np.unique(publishers.user[minutes.stay[present]], return_inverse=True)
    affected = np.unique(publishers.user[stay_worse])
    own = np.bincount(publishers.user[episodes.stay[worse & episodes.has_onset]], minlength=len(rates.user_onsets))[
        users
    ].astype(np.float64)
    chances = personal_chances(rates, found.rate, users, own, np.bincount(person).astype(np.float64))
    key = {
        "started_at": _instant(found.begins),
        "scope": found.scope,
        "scope_value": publishers.values[found.scope][found.value],
    }
    numbers = np.unique(publishers.call[stay_worse])
    row = key | {
        "ended_at": _instant(found.ends),
        "publishers": len(users),
        "affected": len(affected),
        "expected": float(chances.sum()),
        "excess": len(affected) - float(chances.sum()),
        "calls": len(numbers),
    }
    bad = present & minutes.bad & np.isin(minutes.stay, stay_worse)
    rows = []
    for number in numbers:
        here = publishers.call == number
        ids = {name: stays.column(name)[int(np.argmax(here))].as_py() for name in CALL_KEY}
        counts = {
            "publishers": len(np.unique(publishers.user[stay_present[here[stay_present]]])),
            "affected": len(np.unique(publishers.user[stay_worse[here[stay_worse]]])),
            "affected_minutes": int(np.count_nonzero(here[minutes.stay[bad]])),
        }
        rows.append(ids | key | counts)
    return row, rows


def _table(name: str, day: date, rows: list[dict[str, Any]]) -> pa.Table:
    table = TABLES[name]
    rows = [{"session_date": day} | row for row in rows]
    return pa.Table.from_pylist(rows, table.schema).sort_by([(column, "ascending") for column in table.key])


def _instant(minute: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
