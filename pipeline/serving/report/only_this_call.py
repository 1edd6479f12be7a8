"""Whether what went wrong in a call went wrong elsewhere too, in sentences: incidents, the day, the people, releases.

What is not known is said to be unknown, and is neither good nor bad. What is asked of the database is in `around`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from pipeline.planning.problems import counted
from pipeline.quality.releases.sentences import comparison_sentence
from pipeline.serving.formatting import percent
from pipeline.serving.report.around import MAX_COMPARED, MAX_STAYS, client_of
from pipeline.serving.report.values import EVERYWHERE, CallContent, Row, StayContent
from pipeline.serving.report.worst import MAX_PEOPLE, minute_of

__all__ = ["only_this_call"]

MIN_STAYS, MIN_CALLS = 30, 5
"""Judged stays, and call sessions with any, that a share needs on both sides. `explain` needs as many stays."""

SURE = 2.576
"""Standard errors by which a share must differ to be unusual. Chance alone does that in 1 % of cases; 5 % would be too
many, since several values are looked at."""

DAYS = 28
"""Days before the call that are looked at."""

USUAL = {
    "more than usual": "More poor stays than usual that day",
    "fewer than usual": "Fewer poor stays than usual that day",
    "not clearly different from usual": "Not clearly different from usual that day",
    "unknown": "Too few stays to know whether they were as usual",
}
"""How a share compares with that of the days before, and the beginning of its sentence."""


def only_this_call(call: CallContent) -> list[str]:
    """Return what is known of others at that time, on that day, and before, the most important first."""
    poor = [stay for stay in call.stays if stay.is_poor]
    found = [*_incidents(call)]
    if not poor:
        judged = any(stay.quality["class"] == "good" for stay in call.stays)
        who = "Nobody was judged poor" if judged else "Nobody could be judged"
        return [*found, f"{who}, so there is nothing to compare with other calls."]
    return [*found, *_shares(call), *_releases(call, poor), *_earlier(call, poor), *_stored_days(call)]


def _incidents(call: CallContent) -> Iterator[str]:
    around = call.around
    for row in around.incidents:
        since, until = (minute_of(row[name], call.session["started_at"]) for name in ("started_at", "ended_at"))
        what = "it was not only this call" if row["call_affected"] else "there was an incident"
        where = "everywhere" if row["scope"] == "everything" else f"on {row['scope']} {row['scope_value']}"
        yield (
            f"From {since} to {until} UTC {what}: {row['affected']} of {row['publishers']} publishers {where} got "
            f"worse, {row['expected']:.1f} expected, in {counted(row['calls'], 'call')}. {_here(call, row)}"
        )
    if around.incidents:
        return
    if not around.day["has_incidents"]:
        yield "Whether there was an incident at the time is unknown: incidents of the day are not stored."
    elif around.day["complete_calls"] < around.day["calls"]:
        missing = around.day["calls"] - around.day["complete_calls"]
        yield (
            "No incident that its people belong to is known so far, but "
            f"{missing} of {counted(around.day['calls'], 'call session')} of the day "
            f"{'is' if missing == 1 else 'are'} not complete."
        )
    else:
        yield "No incident on a media server, network, country or client of its people was found at the time."


def _here(call: CallContent, row: Row) -> str:
    """Return what an incident did to this call, and who was there."""
    affected = "In this call nobody is known to have got worse"
    if row["call_affected"]:
        affected = f"In this call {row['call_affected']} of {row['call_publishers']} got worse"
    if call.participant is None:
        return f"{affected}; {row['people']} of its users {'was' if row['people'] == 1 else 'were'} there."
    return f"{affected}; {call.participant} {'was' if row['people'] else 'was not'} there."


def _shares(call: CallContent) -> Iterator[str]:
    """Yield how the day was in other calls, then the values of the poor stays by whether that is usual."""
    around, day = call.around, call.session["session_date"]
    if around.shares is None:
        yield (
            f"Whether the shares of poor stays were usual is not answered here: the day has more than {MAX_STAYS:,} "
            "stays. The view quality_by_segment has them."
        )
        return
    yield _everywhere(around.shares.get(EVERYWHERE), day)
    grouped: dict[str, list[str]] = {}
    for dimension, value in around.values:
        if (dimension, value) != EVERYWHERE:
            row = around.shares.get((dimension, value))
            grouped.setdefault(_usual(row), []).append(f"{dimension} {value} ({_counts(row)})")
    for usual, said in USUAL.items():
        if found := grouped.get(usual):
            yield f"{said}: {'; '.join(found)}."


def _everywhere(row: Row | None, day: date) -> str:
    if row is None or not row["n"]:
        return f"How other calls of {day} were is unknown: no other stay of the day could be judged."
    usual = _usual(row)
    said = f"In the other calls of {day}, {percent(row['poor_share'])} of {row['n']:,} judged stays were poor"
    if usual == "unknown":
        return (
            f"{said}; whether that is usual is unknown: {row['n_before']:,} judged stays are stored of the days before."
        )
    return f"{said}: {usual} ({percent(row['poor_share_before'])} of {row['n_before']:,} in the days before)."


def _usual(row: Row | None) -> str:
    """Return whether a share is usual; unknown with too few stays or calls on one side."""
    if (
        row is None
        or min(row["n"], row["n_before"]) < MIN_STAYS
        or min(row["calls"], row["calls_before"]) < MIN_CALLS
        or row["standard_error"] is None
    ):
        return "unknown"
    difference = row["poor_share"] - row["poor_share_before"]
    if abs(difference) <= SURE * row["standard_error"]:
        return "not clearly different from usual"
    return "more than usual" if difference > 0 else "fewer than usual"


def _counts(row: Row | None) -> str:
    if row is None:
        return "no other judged stay"
    then = f"{percent(row['poor_share'])} of {row['n']:,} poor" if row["n"] else "no other judged stay"
    return f"{then}, {percent(row['poor_share_before'])} of {row['n_before']:,} before" if row["n_before"] else then


def _releases(call: CallContent, poor: Sequence[StayContent]) -> Iterator[str]:
    releases = call.around.releases
    if releases is None:
        yield (
            f"Whether a client version is worse is not answered here: the database has more than {MAX_COMPARED:,} "
            "stays. The view release_comparison has it."
        )
        return
    for dimension, client in call.around.values:
        if dimension == "client":
            yield _release(client, releases.get(client))
    if unknown := sum(client_of(stay.facts) is None for stay in poor):
        yield f"The client version of {counted(unknown, 'poor stay')} is unknown."


def _release(client: str, row: Any) -> str:
    if row is None:
        return f"Whether {client} is worse than the version before it is unknown: no lower version was seen."
    if row["verdict"] == "too few":
        return (
            f"Whether {client} is worse than {row['baseline_version']} is unknown: too few people used both on like "
            f"networks and countries ({row['people']:,} and {row['baseline_people']:,})."
        )
    judged = {"worse": "Client version judged worse", "better": "Client version judged better"}
    return f"{judged.get(row['verdict'], 'Client version')}: {comparison_sentence(row)}."


def _earlier(call: CallContent, poor: Sequence[StayContent]) -> Iterator[str]:
    """Yield for the worst people how their earlier stays were, and for all others in one sentence."""
    users = list(dict.fromkeys(str(stay.facts["user_id"]) for stay in poor))
    known = [user for user in users if user in call.around.earlier]
    for user in known[:MAX_PEOPLE]:
        row = call.around.earlier[user]
        of = counted(row["judged"], "judged stay")
        yield f"{user}: poor in {row['poor'] or 'none'} of {of} in the {DAYS} days before."
    if more := known[MAX_PEOPLE:]:
        before = sum(call.around.earlier[user]["poor"] > 0 for user in more)
        yield f"Of {len(more)} more poor users with earlier judged stays, {before or 'none'} had a poor one."
    if new := [user for user in users if user not in call.around.earlier]:
        named = ", ".join(new[:MAX_PEOPLE]) + (f" and {len(new) - MAX_PEOPLE} more" if len(new) > MAX_PEOPLE else "")
        yield (f"Without a judged stay in the {DAYS} days before, it is unknown whether this is usual: {named}.")


def _stored_days(call: CallContent) -> Iterator[str]:
    """Yield how many of the days before are behind the sentences, if not all."""
    if (days := call.around.day["days"]) < DAYS:
        yield f"Of the {DAYS} days before, {days or 'none'} {'is' if days == 1 else 'are'} stored and counted here."
