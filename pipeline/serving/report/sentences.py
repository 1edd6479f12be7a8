"""The sentences of the page: what is missing of the call, what is notable in it, and what the page leaves out.

What counts as missing, and its words, are in `planning`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.planning.completeness import row_problems
from pipeline.planning.problems import counted
from pipeline.serving.formatting import clock
from pipeline.serving.report.content import MAX_TABLE_ROWS
from pipeline.serving.report.values import CallContent
from pipeline.serving.report.worst import worst_of

__all__ = ["findings", "left_out", "notes", "problems"]

MAX_NAMES = 5
"""Users, or codes of warnings, that a sentence names."""


def problems(call: CallContent) -> tuple[str, ...]:
    """Return what is missing of the call; empty if it is complete."""
    return row_problems(call.completeness, is_live=bool(call.session["is_live"]), live_at=call.session["generated_at"])


def notes(call: CallContent) -> tuple[str, ...]:
    """Return what is not stored and cannot be fetched. The call can be complete all the same."""
    row, found = call.completeness, []
    if row["windows_gone"]:
        found.append(f"The source does not know {row['windows_gone']} of {row['windows_expected']} windows.")
    if erased := row["stays_forgotten"]:
        are = "is" if erased == 1 else "are"
        found.append(f"{counted(erased, 'stay')} of people who were erased on request {are} left out.")
    return tuple(found)


def findings(call: CallContent) -> list[str]:
    """Return what is notable in the call, the most important first."""
    found = [*_poor(call), *worst_of(call), *_low_at_once(call), *_unclassified(call), *_rejoined(call), *_warned(call)]
    return found or (["Nothing unusual was found in the stored data."] if call.stays else [])


def left_out(call: CallContent) -> list[str]:
    """Return what the page leaves out to stay usable, and how to see it."""
    total, found = len(call.stays), []
    how = "The option --participant USER makes a page about one user."
    if call.participant is not None:
        how = "The command call-metrics sql shows the rest."
    if call.charted < total:
        found.append(f"Charts and tracks: the first {call.charted} of {total} stays, worst first. {how}")
    if call.shown < total:
        found.append(f"Timeline: the first {call.shown} of {total} stays, worst first.")
    if total > MAX_TABLE_ROWS:
        found.append(f"Table of people: the first {MAX_TABLE_ROWS} of {total} stays, worst first.")
    return found


def _poor(call: CallContent) -> Iterator[str]:
    names: dict[str, list[str]] = {}
    for stay in call.stays:
        if stay.is_poor:
            names.setdefault(stay.quality["poor_due_to"], []).append(stay.name)
    for reason, users in names.items():
        yield f"Poor due to {reason}: {_named(users)}."


def _low_at_once(call: CallContent) -> Iterator[str]:
    quality = call.quality
    if quality["peak_publishers_low"] > 1:
        yield (
            f"At {clock(quality['peak_publishers_low_at'], call.session['started_at'])} UTC, "
            f"{quality['peak_publishers_low']} of {quality['publishers']} publishers had a low frame rate at the same "
            "time. Several at once point to the call or its media server, one alone to that person's network or device."
        )


def _unclassified(call: CallContent) -> Iterator[str]:
    published = [stay for stay in call.stays if stay.quality["tracks"] > 0]
    if unclassified := sum(stay.quality["class"] == "unclassified" for stay in published):
        yield (
            f"{unclassified} of {len(published)} stays with tracks could not be judged: there is too little data, or "
            "no rule for that kind of track. They count as neither good nor bad."
        )


def _rejoined(call: CallContent) -> Iterator[str]:
    if rejoined := [f"{stay.facts['user_id']} ({stay.stays})" for stay in call.stays if stay.stay_number == 2]:
        yield f"More than one stay: {_named(rejoined)}."


def _warned(call: CallContent) -> Iterator[str]:
    if total := sum(stay.quality["warnings"] for stay in call.stays):
        codes = Counter(row["code"] or row["warning"] or "no code" for stay in call.stays for row in stay.warnings)
        named = ", ".join(f"{count} × {code}" for code, count in codes.most_common(MAX_NAMES))
        yield f"{counted(total, 'warning')} from the source" + (f": {named}." if named else ".")


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
