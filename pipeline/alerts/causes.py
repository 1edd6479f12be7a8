"""What needs a person, as pure functions from facts to causes.

A cause is told once, so its key must stay the same for as long as it lasts. Nothing of a cause names a person: causes
are stored, and are not searched when somebody is forgotten.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal, get_args

from pipeline.planning.problems import counted
from pipeline.quality.incidents.sentences import incident_sentence
from pipeline.quality.releases.sentences import comparison_sentence

__all__ = [
    "KINDS",
    "LONG_REFUSED",
    "URGENT_WITHIN",
    "Cause",
    "DayAtRisk",
    "Disk",
    "Kind",
    "RefusedQuota",
    "disk_causes",
    "failed_run",
    "field_causes",
    "incident_causes",
    "quota_causes",
    "release_causes",
    "risk_causes",
    "risk_ending",
    "runs_left",
    "shortened",
    "with_earlier",
    "yesterday_cause",
]

Kind = Literal["run", "risk", "yesterday", "quota", "disk", "field", "release", "incident"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""Every kind of cause. What can be seen of one kind says nothing about another."""

URGENT_WITHIN = timedelta(days=14)
"""What is missing is told if it expires at the source within this time."""

LONG_REFUSED = timedelta(minutes=10)
"""A quota has a window of a minute. Who is refused ten times as long gets nothing: others use up all of it."""

FREE_SHARE = 0.05
"""A disk is nearly full if less than this share of it is free, or less than a publication needs."""

RELIEF = 1.2
"""A disk that was nearly full must have this much more than it needs before that is over."""

SAME_INCIDENT = timedelta(hours=1)
"""Late data moves the start of an incident by some minutes. Within this time, it is still the same one."""

MAX_TEXT = 300
"""Characters that are kept of a sentence of other software or of a name in the data."""


@dataclass(frozen=True)
class Cause:
    """Something that needs a person.

    Attributes:
        kind: what was looked at.
        key: the same as long as it is the same cause.
        title: a few words.
        text: what is wrong, in sentences.
        remedy: what to do, in sentences.
        subjects: what it is about, if a part of it can be over: days, or names of jobs.
        is_past: whether it was over before anyone could know. Such a cause is told in one message.
        is_failure: whether something does not work; otherwise it is a warning.
    """

    kind: Kind
    key: str
    title: str
    text: str
    remedy: str
    subjects: frozenset[str] = field(default=frozenset())
    is_past: bool = False
    is_failure: bool = False


@dataclass(frozen=True)
class DayAtRisk:
    """A day with something missing. `missing` says what; the source drops it from `expires_at` on, until `gone_at`."""

    day: date
    expires_at: datetime
    gone_at: datetime
    missing: str


@dataclass(frozen=True)
class Disk:
    """The disk of a folder, in bytes. `needed` is what a publication takes for a moment."""

    name: str
    path: str
    size: int
    free: int
    needed: int


@dataclass(frozen=True)
class RefusedQuota:
    """An endpoint whose requests have all been refused (429) from `since` on, as seen at `seen_at`."""

    endpoint: str
    since: datetime
    seen_at: datetime


def failed_run(subject: str, sentence: str) -> Cause:
    """Return the cause that a run failed. `subject` is its day, or its job if it has none.

    The same failure of other days is the same cause: wrong credentials fail every day of a night.
    """
    words = re.sub(r"[0-9a-f]{8,}|\d+", "#", sentence)
    return Cause(
        kind="run",
        key=f"run:{hashlib.sha256(words.encode()).hexdigest()[:12]}",
        title="A run failed",
        text=f"The run of {subject} failed: {shortened(sentence)}",
        remedy="Do what the sentence says, and run it again: it resumes where it stopped.",
        subjects=frozenset([subject]),
        is_failure=True,
    )


def with_earlier(cause: Cause, known: Mapping[str, Cause]) -> Cause:
    """Return a cause with the subjects that it has already, too."""
    return replace(cause, subjects=cause.subjects | known[cause.key].subjects) if cause.key in known else cause


def runs_left(open_runs: Iterable[Cause], settled: Collection[str]) -> Iterator[Cause]:
    """Yield the causes of failed runs of which something is left, without the days and jobs that are settled."""
    for cause in open_runs:
        if left := cause.subjects.difference(settled):
            yield replace(cause, subjects=left)


def risk_causes(days: Iterable[DayAtRisk], now: datetime, known: Mapping[str, Cause]) -> Iterator[Cause]:
    """Yield a cause for each span of days in a row of which something is missing and about to expire.

    Each night another day comes near its end. A day next to those of a known cause belongs to it, and is no news.
    """
    urgent = sorted((day for day in days if day.expires_at - URGENT_WITHIN <= now < day.gone_at), key=_day)
    taken: set[str] = set()
    for span in _spans(urgent):
        around = {f"{day.day + timedelta(days=offset)}" for day in span for offset in (-1, 0, 1)}
        same = (key for key, cause in known.items() if cause.subjects & around and key not in taken)
        key = next(same, f"risk:{span[0].day}")
        taken.add(key)
        first, last = span[0].day, span[-1].day
        expiry = min(day.expires_at for day in span)
        missing = f"{span[0].missing}"
        if any(f"{day.missing}" != missing for day in span):
            missing = f"of the first day {missing}, and something of the others"
        when = f"{expiry:%Y-%m-%d %H:%M} UTC"
        cause = Cause(
            kind="risk",
            key=key,
            title="Data is missing that Stream soon forgets",
            text=f"{_span(first, last)}: {missing}. The first of it "
            + (f"expires at the source on {when}." if now < expiry else f"began to expire at the source on {when}."),
            remedy=f"Run `call-metrics backfill --from {first} --to {last}` {'before' if now < expiry else 'now'}. "
            "`call-metrics status --ledger` says by when it must start. For days that you do not want, set "
            "CALL_METRICS_START to a later one.",
            subjects=frozenset(f"{day.day}" for day in span),
            is_failure=True,
        )
        yield with_earlier(cause, known)


def risk_ending(cause: Cause, days: Iterable[DayAtRisk], now: datetime) -> str:
    """Return how a cause of `risk_causes` ended: what is lost, or that nothing is."""
    lost = sorted(f"{day.day}: {day.missing}" for day in days if f"{day.day}" in cause.subjects and day.gone_at <= now)
    if not lost:
        return "Nothing of these days is missing any more, or CALL_METRICS_START leaves them out."
    return f"It can no longer be fetched, and is lost: {shortened('; '.join(lost))}."


def yesterday_cause(day: date, newest: date | None, problem: str | None = None) -> Cause:
    """Return the cause that a day is not in the database. `problem` is why the database cannot be read, if so."""
    found = problem or (f"the newest day in the database is {newest}" if newest else "the database has no days")
    return Cause(
        kind="yesterday",
        key="yesterday",
        title="Yesterday has not arrived",
        text=f"{day} is not in the database: {shortened(found)}.",
        remedy="Check that the schedule trailing_days (or your cron job) runs, and what its last run says. Then run "
        f"`call-metrics backfill --from {day} --to {day}`.",
        is_failure=True,
    )


def quota_causes(refused: Iterable[RefusedQuota]) -> Iterator[Cause]:
    """Yield a cause for each endpoint that has been refused for long."""
    for quota in refused:
        if quota.seen_at - quota.since >= LONG_REFUSED:
            minutes = int((quota.seen_at - quota.since).total_seconds() // 60)
            yield Cause(
                kind="quota",
                key=f"quota:{quota.endpoint}",
                title="Stream refuses requests for long",
                text=f"From {quota.since:%Y-%m-%d %H:%M} UTC on, all requests of {quota.endpoint} were refused for "
                f"{minutes} minutes (HTTP 429): the quota is used up.",
                remedy="Something else uses the same quota. Find it, lower CALL_METRICS_QUOTA_SHARE there, or ask "
                "Stream for more. The run waits, and goes on by itself.",
            )


def disk_causes(disks: Iterable[Disk], known: Collection[str]) -> Iterator[Cause]:
    """Yield a cause for each disk that is nearly full. `known` are the keys that are open."""
    for disk in disks:
        key = f"disk:{disk.name}"
        least = max(FREE_SHARE * disk.size, disk.needed)
        if disk.free < least * (RELIEF if key in known else 1):
            yield Cause(
                kind="disk",
                key=key,
                title=f"The disk of the {disk.name} is nearly full",
                text=f"{disk.path} has {_gigabytes(disk.free)} free of {_gigabytes(disk.size)}; "
                f"{_gigabytes(int(least))} are needed.",
                remedy="Make room, or move the folder to a larger disk. What has landed is safe: a run that finds the "
                "disk full stops, and resumes.",
                is_failure=True,
            )


def field_causes(fields: Mapping[str, date]) -> Iterator[Cause]:
    """Yield a cause for each field that Stream has added. `fields` has the newest day on which it was seen."""
    for name, day in sorted(fields.items()):
        yield Cause(
            kind="field",
            key=f"field:{shortened(name)}",
            title=f"Stream has a new field: {shortened(name)}",
            text=f"Responses have the field {shortened(name)} (endpoint and name; last seen on {day}), which this "
            "version does not know. It is kept in the raw responses, and is in no table.",
            remedy="Nothing is lost. See whether a newer version of Call Metrics has it: then tables are rebuilt by "
            "themselves, for past days too.",
        )


def release_causes(releases: Iterable[Mapping[str, Any]]) -> Iterator[Cause]:
    """Yield a cause for each release that is worse than the one before, from rows of `compared_releases`."""
    for row in releases:
        if row["verdict"] == "worse":
            name = shortened(f"{row['client_name']} {row['client_version']}")
            yield Cause(
                kind="release",
                key=f"release:{name}",
                title=f"A release is worse: {name}",
                text=f"{shortened(comparison_sentence(row))}.",
                remedy="Look at the view release_comparison or the dashboard's page of releases, and consider to stop "
                "its roll-out.",
            )


def incident_causes(incidents: Iterable[Mapping[str, Any]], known: Collection[str]) -> Iterator[Cause]:
    """Yield a cause for each incident, from rows of `incidents`. Data comes when calls are over, so it is past.

    `known` are the keys of incidents that were told. One whose start moved a little keeps its key.
    """
    for row in incidents:
        scope, start = shortened(f"{row['scope']}:{row['scope_value']}"), row["started_at"]
        same = (key for key in known if _is_same_incident(key, scope, start))
        where = shortened(f"{row['scope']} {row['scope_value']}" if row["scope_value"] else f"{row['scope']}")
        yield Cause(
            kind="incident",
            key=next(same, f"incident:{start:%Y-%m-%dT%H:%M}:{scope}"),
            title=f"Incident: {where}",
            text=f"{shortened(incident_sentence(row))}. It is over.",
            remedy="Look at the table incident_calls for the calls, or at the dashboard's page of incidents.",
            is_past=True,
        )


def shortened(text: str) -> str:
    """Return a text of others in one line, without control characters, cut to `MAX_TEXT`."""
    printable = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return printable if len(printable) <= MAX_TEXT else f"{printable[:MAX_TEXT]}…"


def _day(item: DayAtRisk) -> date:
    return item.day


def _spans(days: Sequence[DayAtRisk]) -> Iterator[list[DayAtRisk]]:
    """Yield the days in groups without a gap."""
    span: list[DayAtRisk] = []
    for day in days:
        if span and day.day - span[-1].day > timedelta(days=1):
            yield span
            span = []
        span.append(day)
    if span:
        yield span


def _span(first: date, last: date) -> str:
    days = (last - first).days + 1
    return f"{first}" if days == 1 else f"{first} to {last} ({counted(days, 'day')})"


def _is_same_incident(key: str, scope: str, start: datetime) -> bool:
    kind, _, rest = key.partition(":")
    before, its_scope = rest[:16], rest[17:]
    if kind != "incident" or its_scope != scope:
        return False
    return abs(datetime.fromisoformat(before).replace(tzinfo=start.tzinfo) - start) <= SAME_INCIDENT


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
