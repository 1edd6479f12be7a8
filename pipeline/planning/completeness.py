"""The one judgement of what is missing, of a call session and of a day. Pure functions.

A call session is complete when it has ended, its participants were listed in full since its report, all promised stays
have landed, every window has a final response, and no response is suspect. A day is complete when it is over, all its
call sessions are complete, and they were listed after its end. A 404 fetched after the call's report counts as final:
another request would not bring more. Participant statistics do not count.

The command line, the report, the dashboard, the checks in Dagster and the column `is_complete` judge by this module.
Its words are in `problems`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import pyarrow as pa

from pipeline.model import RETENTION, Call, Stay
from pipeline.planning.due import due_windows, is_listed
from pipeline.planning.facts import CallFacts, Listing, WindowRequest
from pipeline.planning.inventory import DayInventory
from pipeline.planning.problems import (
    Problem,
    calls_not_listed,
    calls_still_live,
    completeness_unknown,
    listed_too_early,
    listing_incomplete,
    no_final_response,
    participants_not_listed,
    sentence,
    stays_missing,
    still_live,
    suspect_timestamps,
)
from pipeline.schema import CALL_KEY

__all__ = [
    "CallCompleteness",
    "DayCompleteness",
    "completeness_rows",
    "day_ends",
    "is_certified",
    "judge_calls",
    "judge_day",
    "row_problems",
]

STALE_AFTER = timedelta(hours=1)
"""How long after the last listing, made once the day was over, call sessions that were live in it are no problem."""

LISTING_GRACE = timedelta(minutes=10)
"""Upper bound on how long listing a day takes. A page that came this long after midnight belongs to a listing that
started after midnight."""


@dataclass(frozen=True)
class CallCompleteness:
    """What is stored of one call session, and what is missing.

    Attributes:
        is_live: whether it had not ended when it was last fetched.
        is_listed: whether its participants were listed in full since its report.
        promised: stays that the source counts, without erased people.
        held: stays that have landed.
        windows_due: windows without a final response.
        windows_suspect: windows with a response that cannot be right.
        stays_due: stays with a window that is due; None if unknown.
        windows_missing: windows that were never requested, if it was read from the database.
        windows_failed: windows without a usable response after all retries, if it was read from the database.
        facts: the call session; None if it was read from the database.
    """

    is_live: bool
    is_listed: bool
    promised: int
    held: int
    windows_due: int
    windows_suspect: int
    stays_due: int | None = None
    windows_missing: int = 0
    windows_failed: int = 0
    facts: CallFacts | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any], *, is_live: bool) -> CallCompleteness:
        """Return what a row of `ingest_completeness_by_call` says. The row must not be all NULL.

        A listing that is incomplete is reported only if nothing else is missing.
        """
        promised, held = row["stays_promised"] or 0, row["stays_held"] or 0
        due, suspect = row["windows_due"] or 0, row["windows_suspect"] or 0
        # The table has no column for `is_listed`. It follows: if nothing else is missing, this is.
        other = is_live or held < promised or due > 0 or suspect > 0
        return cls(
            is_live=is_live,
            is_listed=bool(row["is_complete"]) or other,
            promised=promised,
            held=held,
            windows_due=due,
            windows_suspect=suspect,
            windows_missing=row["windows_missing"] or 0,
            windows_failed=row["windows_failed"] or 0,
        )

    @property
    def is_complete(self) -> bool:
        """Whether the call session has ended and nothing of it is missing."""
        return not self.is_live and not self.problems

    @property
    def needs_requests(self) -> bool:
        """Whether it has ended, and another request may bring what is missing."""
        return not self.is_live and any(problem.kind != "suspect" for problem in self.problems)

    @property
    def problems(self) -> Sequence[Problem]:
        """What is missing, in sentences. Of a live call session more will come anyway."""
        problems = list(self.stays_problems())
        if self.windows_due:
            details = {"missing": self.windows_missing, "failed": self.windows_failed}
            problems.append(no_final_response(self.windows_due, self.stays_due, **details))
        if self.windows_suspect:
            problems.append(suspect_timestamps(self.windows_suspect))
        return problems

    def stays_problems(self, of: str = "") -> Iterator[Problem]:
        """Yield what is missing of the stays. `of` names the call session in the sentence."""
        if not self.is_listed:
            yield participants_not_listed(of)
        elif self.held < self.promised:
            yield stays_missing(self.held, self.promised, of)


@dataclass(frozen=True)
class DayCompleteness:
    """What is stored of one day, and what is missing.

    Attributes:
        day: UTC date on which the call sessions started.
        calls: call sessions.
        live_calls: those that had not ended when they were last fetched.
        promised: stays that the source counts, without erased people.
        held: stays that have landed.
        windows: windows by state, see `schema.WINDOW_STATES`.
        due: windows without a final response, of call sessions that have ended.
        problems: what is missing, in sentences.
        first_expiry: when the first of the incomplete call sessions expires at the source, or the first of all if none
            is incomplete; None if no call session has ended.
        is_over: whether the day was over, in UTC.
        pruned: what was removed of it on purpose, `raw` responses or `all`; None if nothing was.
    """

    day: date
    calls: int
    live_calls: int
    promised: int
    held: int
    windows: Mapping[str, int]
    due: int
    problems: Sequence[Problem]
    first_expiry: datetime | None
    is_over: bool
    pruned: Literal["raw", "all"] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the day and all its call sessions are over and nothing of them is missing."""
        return self.verdict == "complete"

    @property
    def verdict(self) -> Literal["complete", "in progress", "incomplete"]:
        """Whether something is missing, and if not, whether more is still to come."""
        if self.problems:
            return "incomplete"
        return "complete" if self.is_over and not self.live_calls else "in progress"

    @property
    def needs_another_run(self) -> bool:
        """Whether another run may bring more: calls are live, or something is missing that a request may bring."""
        return self.live_calls > 0 or any(problem.kind not in ("suspect", "tables") for problem in self.problems)

    @property
    def expires_at(self) -> datetime:
        """When the source begins to drop the day, at the earliest."""
        return self.first_expiry or datetime.combine(self.day, time.min, UTC) + RETENTION

    def days_left(self, now: datetime) -> int:
        """Return the whole days until then; 0 afterwards."""
        return max(0, (self.expires_at - now).days)


def judge_day(
    day: date,
    inventory: DayInventory,
    listings: Sequence[Listing],
    requests: Mapping[Stay, Sequence[WindowRequest]],
    windows: pa.Table | None,
    now: datetime,
) -> DayCompleteness:
    """Return what is stored of a day and what is missing, at `now`.

    `listings` are those of the day's call sessions, `requests` those for windows, and `windows` the rows of its table
    of that name (None if there is none yet).
    """
    calls = judge_calls(inventory, requests, windows)
    states = Counter[str](windows.column("state").to_pylist() if windows is not None else [])
    live = sum(call.is_live for call in calls)
    lacking = [call for call in calls if call.needs_requests]
    expiries = [call.facts.expires_at for call in lacking or calls if call.facts and call.facts.expires_at]
    return DayCompleteness(
        day=day,
        calls=len(calls),
        live_calls=live,
        promised=sum(call.promised for call in calls),
        held=len(inventory.stays),
        windows={state: count for state, count in sorted(states.items()) if count},
        due=sum(call.windows_due for call in lacking),
        problems=[*_listing_problems(listings, live, day_ends(day), now), *_call_problems(calls)],
        first_expiry=min(expiries, default=None),
        is_over=now >= day_ends(day),
    )


def judge_calls(
    inventory: DayInventory, requests: Mapping[Stay, Sequence[WindowRequest]], windows: pa.Table | None
) -> Sequence[CallCompleteness]:
    """Return what is stored of each call session of a day, in the order of their ids. Parameters as in `judge_day`."""
    due: dict[Call, list[int]] = {}
    for stay, facts in inventory.stays.items():
        if count := len(due_windows(facts, requests.get(stay, ()))):
            due.setdefault(stay.call, []).append(count)
    suspect = Counter[Call](_suspect_calls(windows) if windows is not None else ())
    return [
        CallCompleteness(
            is_live=facts.is_live,
            is_listed=is_listed(facts, inventory.attendance[call]),
            promised=inventory.attendance[call].promised,
            held=inventory.attendance[call].held,
            windows_due=sum(due.get(call, ())),
            windows_suspect=suspect[call],
            stays_due=len(due.get(call, ())),
            facts=facts,
        )
        for call, facts in sorted(inventory.calls.items())
    ]


def completeness_rows(calls: Iterable[CallCompleteness]) -> pa.Table:
    """Return one row per call session: its ids, `promised`, `due`, `is_complete`."""
    rows = [(*call.facts.call.key, call.promised, call.windows_due, call.is_complete) for call in calls if call.facts]
    types = [*[pa.string()] * len(CALL_KEY), pa.int64(), pa.int64(), pa.bool_()]
    columns = zip(*rows, strict=True) if rows else ([] for _ in types)
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    return pa.table(arrays, [*CALL_KEY, "promised", "due", "is_complete"])


def row_problems(row: Mapping[str, Any], *, is_live: bool, live_at: datetime | None) -> tuple[str, ...]:
    """Return what is missing of one call session, in sentences; none if it is complete.

    `row` is its row of `ingest_completeness_by_call`, with NULL in every column if it has none. `live_at` is when a
    call session that `is_live` was last fetched; None if unknown.
    """
    if row["is_complete"] is None:
        return (sentence(completeness_unknown()),)
    problems = list(CallCompleteness.of_row(row, is_live=is_live).problems)
    if is_live:
        problems.insert(0, still_live(live_at))
    return tuple(map(sentence, problems))


def is_certified(day: date, is_complete: Iterable[bool], newest_page: Mapping[str, Any] | None) -> bool:
    """Return whether a day is known to be complete without judging it again, which reads all its listings.

    That is so if its table `ingest_completeness_by_call` says that every call session `is_complete`, and the newest
    page of call_stats (a row of `Landing.index`) ends a listing that began after the day was over.
    """
    if newest_page is None or newest_page["error"] is not None or newest_page["next_cursor"] is not None:
        return False
    return all(is_complete) and newest_page["fetched_at"] >= day_ends(day) + LISTING_GRACE


def day_ends(day: date) -> datetime:
    """Return the end of a day, in UTC."""
    return datetime.combine(day + timedelta(days=1), time.min, UTC)


def _listing_problems(listings: Sequence[Listing], live: int, ends: datetime, now: datetime) -> Iterator[Problem]:
    if not listings:
        yield calls_not_listed()
    elif not listings[-1].complete:
        yield listing_incomplete()
    else:
        began_at = max(listing.began_at for listing in listings if listing.complete)
        if now >= ends and began_at < ends:
            yield listed_too_early(began_at)
        elif live and now >= ends and now - began_at > STALE_AFTER:
            yield calls_still_live(live, began_at)


def _call_problems(calls: Sequence[CallCompleteness]) -> Iterator[Problem]:
    ended = [call for call in calls if not call.is_live]
    if due := sum(call.windows_due for call in ended):
        yield no_final_response(due, sum(call.stays_due or 0 for call in ended))
    if suspect := sum(call.windows_suspect for call in calls):
        yield suspect_timestamps(suspect)
    for call in ended:
        yield from call.stays_problems(str(call.facts.call) if call.facts else "")


def _suspect_calls(windows: pa.Table) -> Iterator[Call]:
    for row in windows.select([*CALL_KEY, "state"]).to_pylist():
        if row["state"] == "suspect":
            yield Call(*(row[name] for name in CALL_KEY))
