"""What is known of a day and what of it is missing, in numbers and in sentences. Pure functions.

Something is missing where a call is over and the source still owes us an answer, or gave one that cannot be right; and
where nobody has looked since a call, or the day, was over. What the source says it does not know (404) is gone, and
nothing that anyone can do would bring it. The command line, the checks in Dagster and the column `is_complete` judge by
this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import pyarrow as pa

from pipeline.exchange import Call, Stay
from pipeline.knowledge import Known
from pipeline.plan import FORGETTING, Asked, Attendance, CallFacts, Listing, due, forgotten_on, is_listed

__all__ = [
    "CallSurvey",
    "Problem",
    "Survey",
    "edge_lines",
    "problem_lines",
    "survey",
    "survey_calls",
    "unheld_lines",
    "verdicts",
]

STALE = timedelta(hours=1)
"""How long after a day's end a call that was going on when last looked at may be left alone."""

_CALL = ("call_type", "call_id", "call_session_id")


@dataclass(frozen=True)
class Problem:
    """What is missing, as a sentence: of the list of calls, of who took part in them, of the windows; or that some
    windows are suspect, which asking again does not mend.
    """

    kind: Literal["calls", "stays", "windows", "suspect"]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class CallSurvey:
    """What is held of a call session. Windows that are `due` have no final answer, of `stays_due` stays; those that are
    `suspect` have an answer that cannot be right.
    """

    facts: CallFacts
    attendance: Attendance
    due: int
    stays_due: int
    suspect: int

    @property
    def is_listed(self) -> bool:
        """Whether the source has told to the end, since the call's report, who took part."""
        return is_listed(self.facts, self.attendance)

    @property
    def owes(self) -> bool:
        """Whether the call is over and the source still owes something of it."""
        lacks_stays = not self.is_listed or self.attendance.held < self.attendance.promised
        return self.facts.ended_at is not None and (lacks_stays or self.due > 0)

    @property
    def complete(self) -> bool:
        """Whether the call is over and nothing of it is missing or suspect."""
        return self.facts.ended_at is not None and not self.owes and not self.suspect


@dataclass(frozen=True)
class Survey:
    """Counts of one day. `windows` is by state, as the tables have it; `due` counts windows of calls that are over and
    have no final answer.

    `problems` say what is missing. `forgotten_on` is when the source forgets the first of the calls concerned, or of
    all where nothing is missing; None where no call has ended. `is_over` tells whether the day was over, by UTC.
    """

    day: date
    calls: int
    live_calls: int
    promised: int
    held: int
    windows: Mapping[str, int]
    due: int
    problems: Sequence[Problem]
    forgotten_on: datetime | None
    is_over: bool

    @property
    def complete(self) -> bool:
        """Whether the day and all its calls are over and nothing of them is missing."""
        return self.verdict == "complete"

    @property
    def verdict(self) -> Literal["complete", "going on", "incomplete"]:
        """Whether something is missing, and where not, whether more is still to come."""
        if self.problems:
            return "incomplete"
        return "complete" if self.is_over and not self.live_calls else "going on"

    @property
    def edge(self) -> datetime:
        """When the source begins to forget the day, at the earliest."""
        return self.forgotten_on or datetime.combine(self.day, time.min, UTC) + FORGETTING

    def days_left(self, now: datetime) -> int:
        """Days until the source forgets who took part in the first of the calls; 0 where it has begun to."""
        return max(0, (self.edge - now).days)


def survey(
    day: date,
    known: Known,
    enumerated: Sequence[Listing],
    asked: Mapping[Stay, Sequence[Asked]],
    windows: pa.Table | None,
    now: datetime,
) -> Survey:
    """The survey of a day as it is at `now`: from what is known of it, the listings of its calls, its requests, and the
    rows of its table `windows` (None: there is none yet).
    """
    calls = survey_calls(known, asked, windows)
    states = Counter[str](windows.column("state").to_pylist() if windows is not None else [])
    day_ends = datetime.combine(day, time.min, UTC) + timedelta(days=1)
    live = sum(call.facts.ended_at is None for call in calls)
    owing = [call for call in calls if call.owes]
    edges = [edge for call in owing or calls if (edge := forgotten_on(call.facts)) is not None]
    return Survey(
        day=day,
        calls=len(calls),
        live_calls=live,
        promised=sum(call.attendance.promised for call in calls),
        held=len(known.stays),
        windows={state: count for state, count in sorted(states.items()) if count},
        due=sum(call.due for call in owing),
        problems=[*_problems_of_listing(enumerated, live, day_ends, now), *_problems_of_calls(calls)],
        forgotten_on=min(edges, default=None),
        is_over=now >= day_ends,
    )


def survey_calls(known: Known, asked: Mapping[Stay, Sequence[Asked]], windows: pa.Table | None) -> Sequence[CallSurvey]:
    """One survey per call session, in their order."""
    owed: dict[Call, list[int]] = {}
    for stay, facts in known.stays.items():
        if count := len(due(facts, asked.get(stay, ()))):
            owed.setdefault(stay.call, []).append(count)
    suspect = Counter[Call](_suspects(windows) if windows is not None else [])
    return [
        CallSurvey(facts, known.attendance[call], sum(owed.get(call, ())), len(owed.get(call, ())), suspect[call])
        for call, facts in sorted(known.calls.items())
    ]


def verdicts(calls: Iterable[CallSurvey]) -> pa.Table:
    """One row per call session: its ids, windows that are `due`, and `is_complete`."""
    rows = [(*_ids(call.facts.call), call.due, call.complete) for call in calls]
    columns = zip(*rows, strict=True) if rows else ([] for _ in range(5))
    types = [pa.string()] * 3 + [pa.int64(), pa.bool_()]
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    return pa.table(arrays, [*_CALL, "due", "is_complete"])


def edge_lines(surveys: Sequence[Survey], now: datetime, most: int = 3) -> Iterator[str]:
    """Sentences about the days that the source forgets next, and what of them is missing."""
    still_listed = [seen for seen in surveys if seen.edge + timedelta(days=1) > now]
    for seen in sorted(still_listed, key=lambda seen: (seen.edge, seen.day))[:most]:
        missing = "; ".join(map(str, seen.problems[:3])) or "nothing of it is missing"
        yield f"the source forgets {seen.day} in {seen.days_left(now)} days: {missing}"


def unheld_lines(landed: Sequence[date], start: date, now: datetime) -> Iterator[str]:
    """A sentence about the days from `start` to the first one held that the source still knows, where there are any."""
    first = max(start, now.date() - FORGETTING)
    if landed and first < landed[0]:
        last = landed[0] - timedelta(days=1)
        yield f"nothing was asked for of {first} to {last}, which the source still lists; it forgets {first} next"


def problem_lines(surveys: Sequence[Survey], most: int = 20) -> Iterator[str]:
    """Sentences about what is missing, by day."""
    lines = [f"{seen.day}: {problem}" for seen in surveys for problem in seen.problems]
    yield from lines[:most]
    if len(lines) > most:
        yield f"and {len(lines) - most} more; `call-metrics status --json` lists them all"


def _problems_of_listing(
    enumerated: Sequence[Listing], live: int, day_ends: datetime, now: datetime
) -> Iterator[Problem]:
    if not enumerated:
        yield Problem("calls", "its calls were not listed yet")
        return
    whole = [listing.began_at for listing in enumerated if listing.complete]
    if not enumerated[-1].complete:
        yield Problem("calls", "the list of its calls is incomplete")
    elif now >= day_ends and max(whole) < day_ends:
        yield Problem("calls", f"its calls were last listed at {_minute(max(whole))}, before the day was over")
    elif live and now >= day_ends and now - max(whole) > STALE:
        were = "1 of its calls was" if live == 1 else f"{live} of its calls were"
        yield Problem("calls", f"{were} going on when last looked at, at {_minute(max(whole))}")


def _problems_of_calls(calls: Sequence[CallSurvey]) -> Iterator[Problem]:
    owing = [call for call in calls if call.owes and call.due]
    if owing:
        count, stays = sum(call.due for call in owing), sum(call.stays_due for call in owing)
        yield Problem("windows", f"{count} windows of {stays} stays have no final answer")
    if suspect := sum(call.suspect for call in calls):
        yield Problem("suspect", f"{suspect} windows have timestamps that cannot be right")
    for call in calls:
        if call.facts.ended_at is None:
            continue
        ids, attendance = call.facts.call, call.attendance
        name = f"{ids.call_type}:{ids.call_id} (session {ids.call_session_id})"
        if not call.is_listed:
            yield Problem("stays", f"who took part in {name} was not listed to the end")
        elif attendance.held < attendance.promised:
            yield Problem("stays", f"{attendance.held} of {attendance.promised} stays of {name} are known")


def _suspects(windows: pa.Table) -> Iterator[Call]:
    for row in windows.select([*_CALL, "state"]).to_pylist():
        if row["state"] == "suspect":
            yield Call(*(row[name] for name in _CALL))


def _ids(call: Call) -> tuple[str, str, str]:
    return call.call_type, call.call_id, call.call_session_id


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
