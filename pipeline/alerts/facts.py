"""A look: facts from `flow`, the published database and the disk become causes.

What cannot be read is left out, with a sentence, and what is open of its kind stays open: no news is not good news.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pipeline.alerts.causes import (
    KINDS,
    Cause,
    DayAtRisk,
    Disk,
    Kind,
    RefusedQuota,
    disk_causes,
    field_causes,
    incident_causes,
    quota_causes,
    release_causes,
    risk_causes,
    risk_ending,
    runs_left,
    yesterday_cause,
)
from pipeline.alerts.state import Look, State
from pipeline.errors import CallMetricsError
from pipeline.flow import Flow
from pipeline.model import RETENTION
from pipeline.planning.completeness import DayCompleteness, day_ends
from pipeline.planning.problems import counted
from pipeline.quality.releases.compared import compared_releases
from pipeline.warehouse.published import newest_day, open_published, read_errors

__all__ = ["SOON", "days_at_risk", "disks", "look"]

SOON: tuple[Kind, ...] = ("quota", "disk")
"""Kinds that cannot wait for the next morning, and cost little to look at."""

ARRIVAL = time(6, 15)
"""When yesterday must be there (UTC): the night's runs start at 02:15."""

INCIDENT_DAYS = 3
"""Days whose incidents are told: those that run every night. Older ones are no news."""

FIELD_DAYS = 3
"""Newest days that are searched for new fields. A field that they do not have is gone, or known by now."""

ROOM = 1_000_000_000
"""Bytes that a load needs besides a copy of the database: for a day's tables and temporary files."""


@dataclass
class _Seen:
    """What a look has seen so far."""

    at: datetime
    state: State
    causes: list[Cause] = field(default_factory=list)
    endings: dict[str, str] = field(default_factory=dict)


def look(flow: Flow, state: State, now: datetime, kinds: Iterable[Kind] = KINDS) -> Look:
    """Look at everything (or at some kinds), and return the causes. `state` is what is remembered."""
    seen = _Seen(now, state)
    could, unseen = set[Kind](), []
    for kind in kinds:
        try:
            if _LOOKS[kind](flow, seen):
                could.add(kind)
        except (CallMetricsError, OSError) as error:
            unseen.append(f"{_NAMES[kind]} could not be looked at: {error}")
    causes = tuple(cause for cause in seen.causes if cause.kind in could)
    return Look(now, causes, frozenset(could), seen.endings, tuple(unseen))


def days_at_risk(flow: Flow, now: datetime, more: Iterable[date] = ()) -> Iterator[DayAtRisk]:
    """Yield the days of which something is missing that the source can still give, and those of `more` anyway.

    Also those from CALL_METRICS_START on that were never fetched, once anything has landed. Raises `FixStorage`.
    """
    landed = flow.known_days()
    stored = set(landed)
    for day in sorted({*flow.incomplete_days(now), *stored.intersection(more)}):
        completeness = flow.completeness(day)
        if completeness.problems:
            yield DayAtRisk(day, completeness.expires_at, _gone_at(day), _missing(completeness))
    never = flow.days_never_landed(now) if landed else []
    for day in sorted({*never, *more} - stored):
        if day >= flow.settings.start:
            starts = datetime.combine(day, time.min, UTC)
            yield DayAtRisk(day, starts + RETENTION, _gone_at(day), "it was never fetched")


def disks(flow: Flow) -> Iterator[Disk]:
    """Yield the disks that we write to, each once. Raises `OSError`."""
    settings = flow.settings
    published = settings.warehouse_path
    needed = ROOM
    with suppress(OSError):
        needed += published.stat().st_size if published else 0
    folders = {"data" if settings.remote is None else "scratch folder": settings.data}
    if published is not None:
        folders["database"] = published.parent
    devices = set()
    for name, folder in folders.items():
        there = _existing(folder)
        if (device := there.stat().st_dev) not in devices:
            devices.add(device)
            usage = shutil.disk_usage(there)
            yield Disk(name, str(folder), usage.total, usage.free, needed)


def _look_at_runs(flow: Flow, seen: _Seen) -> bool:
    """A failed run is over when its day is complete or past its end. What a later run does is told by `teller`."""
    known = seen.state.known("run")
    if not known:
        return True
    incomplete, landed = set(flow.incomplete_days(seen.at)), set(flow.known_days())
    expired, settled = set[str](), set[str]()
    for subject in {subject for cause in known.values() for subject in cause.subjects}:
        with suppress(ValueError):  # the name of a job: over when it has run
            day = date.fromisoformat(subject)
            if _gone_at(day) <= seen.at:
                expired.add(subject)
            elif day in landed and day not in incomplete:
                settled.add(subject)
    seen.causes += runs_left(known.values(), settled | expired)
    for key, cause in known.items():
        if lost := sorted(cause.subjects & expired):
            seen.endings[key] = f"Expired at the source meanwhile: {', '.join(lost)}."
    return True


def _look_at_risk(flow: Flow, seen: _Seen) -> bool:
    known = seen.state.known("risk")
    subjects = {date.fromisoformat(subject) for cause in known.values() for subject in cause.subjects}
    days = list(days_at_risk(flow, seen.at, subjects))
    seen.causes += risk_causes(days, seen.at, known)
    seen.endings |= {key: risk_ending(cause, days, seen.at) for key, cause in known.items()}
    return True


def _look_at_yesterday(flow: Flow, seen: _Seen) -> bool:
    days = 1 if seen.at.time() >= ARRIVAL else 2
    day = seen.at.date() - timedelta(days=days)
    if day < flow.settings.start:
        return True
    try:
        newest, is_there = newest_day(flow.settings.warehouse, day)
    except CallMetricsError as error:
        seen.causes.append(yesterday_cause(day, None, str(error)))
        return True
    if not is_there:
        seen.causes.append(yesterday_cause(day, newest))
    return True


def _look_at_quotas(flow: Flow, seen: _Seen) -> bool:
    note = flow.quotas_seen()
    if note is None:
        return False
    refused = {
        endpoint: datetime.fromtimestamp(quota.refused_since, UTC)
        for endpoint, quota in note.quotas.items()
        if quota.refused_since is not None
    }
    seen.causes += quota_causes(RefusedQuota(endpoint, since, note.seen_at) for endpoint, since in refused.items())
    return True


def _look_at_disks(flow: Flow, seen: _Seen) -> bool:
    seen.causes += disk_causes(disks(flow), seen.state.known("disk"))
    return True


def _look_at_fields(flow: Flow, seen: _Seen) -> bool:
    fields: dict[str, date] = {}
    days = flow.lake.days()[-FIELD_DAYS:]
    for day in days:
        fields |= dict.fromkeys(flow.unknown_fields(day), day)
    seen.causes += field_causes(fields)
    return bool(days)


def _look_at_releases(flow: Flow, seen: _Seen) -> bool:
    published = flow.settings.warehouse
    with open_published(published) as database, read_errors(published):
        seen.causes += release_causes(compared_releases(database))
    return True


def _look_at_incidents(flow: Flow, seen: _Seen) -> bool:
    today = seen.at.date()
    known = seen.state.known("incident")
    for day in (today - timedelta(days=back) for back in range(INCIDENT_DAYS, -1, -1)):
        incidents, _ = flow.incidents(day)
        seen.causes += incident_causes(incidents, known)
    return True


_LOOKS: Mapping[Kind, Callable[[Flow, _Seen], bool]] = {
    "run": _look_at_runs,
    "risk": _look_at_risk,
    "yesterday": _look_at_yesterday,
    "quota": _look_at_quotas,
    "disk": _look_at_disks,
    "field": _look_at_fields,
    "release": _look_at_releases,
    "incident": _look_at_incidents,
}

_NAMES: Mapping[Kind, str] = {
    "run": "failed runs",
    "risk": "what is missing",
    "yesterday": "yesterday",
    "quota": "the quotas",
    "disk": "the disk",
    "field": "new fields",
    "release": "releases",
    "incident": "incidents",
}


def _gone_at(day: date) -> datetime:
    """Return when the source has dropped everything of a day whose calls ended on it."""
    return day_ends(day) + RETENTION


def _missing(day: DayCompleteness) -> str:
    """Return what is missing of a day, in numbers: ids of calls and people stay out of alerts."""
    parts = [f"{counted(day.due, 'window')} without a final response"] if day.due else []
    if day.held < day.promised:
        parts.append(f"{day.held} of {counted(day.promised, 'stay')} stored")
    return ", ".join(parts) or "its lists are not complete"


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
