"""What is known of a day and what of it is missing, in numbers and in sentences. Pure functions.

Something is missing where a call is over and the source still owes us an answer, or gave one that cannot be right. What
the source says it does not know (404) is gone, and nothing that anyone can do would bring it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa

from pipeline.exchange import Stay
from pipeline.knowledge import Known
from pipeline.plan import Asked, CallFacts, Listing, due, forgotten_on

__all__ = ["Survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """Counts of one day. `windows` is by state, as the tables have it; `due` counts windows of calls that are over and
    have no final answer.

    `problems` are sentences about what is missing, empty for a complete day. `forgotten_on` is when the source forgets
    the first of the calls concerned (None: nothing is missing).
    """

    day: date
    calls: int
    live_calls: int
    promised: int
    held: int
    windows: dict[str, int]
    due: int
    problems: Sequence[str]
    forgotten_on: datetime | None

    @property
    def complete(self) -> bool:
        return not self.problems


def survey(
    day: date,
    known: Known,
    enumerated: Sequence[Listing],
    asked: dict[Stay, list[Asked]],
    states: pa.Table | None,
) -> Survey:
    """The survey of a day: from what is known of it, the listings of its calls, its requests, its windows' states."""
    windows = Counter[str](states.column("state").to_pylist() if states is not None else [])
    owed = {
        stay: count
        for stay, facts in known.stays.items()
        if facts.call.ended_at is not None and (count := len(due(facts, asked.get(stay, ()))))
    }
    calls_owed = {known.stays[stay].call for stay in owed}
    problems = []
    if not enumerated:
        problems.append("its calls were not listed yet")
    elif not enumerated[-1].complete:
        problems.append("the list of its calls is incomplete")
    if owed:
        problems.append(f"{sum(owed.values())} windows of {len(owed)} stays have no final answer")
    if windows["suspect"]:
        problems.append(f"{windows['suspect']} windows have timestamps that cannot be right")
    for call, attendance in known.attendance.items():
        facts = known.calls[call]
        name = f"{call.call_type}:{call.call_id} (session {call.call_session_id})"
        if facts.ended_at is None:
            continue
        if not any(_is_whole(listing, facts) for listing in attendance.listings):
            problems.append(f"who took part in {name} was not listed to the end")
            calls_owed.add(facts)
        elif attendance.held < attendance.promised:
            problems.append(f"{attendance.held} of {attendance.promised} stays of {name} are known")
            calls_owed.add(facts)
    edges = [edge for facts in calls_owed if (edge := forgotten_on(facts)) is not None]
    return Survey(
        day=day,
        calls=len(known.calls),
        live_calls=sum(facts.ended_at is None for facts in known.calls.values()),
        promised=sum(attendance.promised for attendance in known.attendance.values()),
        held=len(known.stays),
        windows={state: count for state, count in sorted(windows.items()) if count},
        due=sum(owed.values()),
        problems=problems,
        forgotten_on=min(edges, default=None),
    )


def _is_whole(listing: Listing, call: CallFacts) -> bool:
    """Whether a listing tells who took part in a call that is over: it was begun after the end, and came to its own."""
    over = call.ended_at is not None and listing.began_at >= call.ended_at
    return over and (listing.complete or listing.gone)
