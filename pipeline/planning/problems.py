"""The sentences about what is missing. The command line, the report, the dashboard and the checks in Dagster use them.

Sentences start in lower case and have no full stop, so that they can follow a day or a call; `sentence` completes one.
What counts as missing is decided in `completeness`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = [
    "Problem",
    "calls_not_listed",
    "calls_still_live",
    "completeness_unknown",
    "counted",
    "listed_too_early",
    "listing_incomplete",
    "no_final_response",
    "participants_not_listed",
    "sentence",
    "stays_missing",
    "still_live",
    "suspect_timestamps",
    "tables_lost",
]


@dataclass(frozen=True)
class Problem:
    """Something that is missing, as a sentence.

    `kind` says what is missing: the list of call sessions, stays in them, their windows, or what another request does
    not bring: right timestamps, and the tables of a pruned day.
    """

    kind: Literal["calls", "stays", "windows", "suspect", "tables"]
    text: str

    def __str__(self) -> str:
        return self.text


def calls_not_listed() -> Problem:
    """Report a day that was never fetched."""
    return Problem("calls", "its call sessions have not been listed yet")


def listing_incomplete() -> Problem:
    """Report a day whose list of call sessions was interrupted."""
    return Problem("calls", "the list of its call sessions is incomplete")


def listed_too_early(at: datetime) -> Problem:
    """Report a day whose call sessions were not listed after its end."""
    return Problem("calls", f"its call sessions were last listed at {_minute(at)}, before the day was over")


def calls_still_live(live: int, at: datetime | None) -> Problem:
    """Report call sessions of a day that had not ended when they were last fetched."""
    was = "call session was" if live == 1 else "call sessions were"
    when = f", at {_minute(at)}" if at is not None else ""
    return Problem("calls", f"{live} {was} still live when last fetched{when}")


def completeness_unknown() -> Problem:
    """Report one call session without a row on its completeness."""
    return Problem("calls", "the database does not say how complete the call is")


def still_live(at: datetime | None) -> Problem:
    """Report one call session that had not ended when its report was made."""
    when = f", at {_minute(at)}" if at is not None else ""
    return Problem("calls", f"the call was still live when last fetched{when}; later data is not stored")


def participants_not_listed(of: str = "") -> Problem:
    """Report a call session whose participants were not listed in full since its report."""
    return Problem(
        "stays",
        f"the participants{of and f' of {_printable(of)}'} have not been listed in full since the call's report",
    )


def stays_missing(held: int, promised: int, of: str = "") -> Problem:
    """Report stays that the source counts and that have not landed."""
    return Problem("stays", f"{held} of {promised} stays{of and f' of {_printable(of)}'} are stored")


def no_final_response(windows: int, stays: int | None = None, *, missing: int = 0, failed: int = 0) -> Problem:
    """Report windows that are due: of how many stays, how many were never requested, and how many failed, if known."""
    of = f" of {counted(stays, 'stay')}" if stays is not None else ""
    details = [f"{missing} not requested yet"] if missing else []
    details += [f"{failed} failed after all retries"] if failed else []
    note = f" ({', '.join(details)})" if details else ""
    return Problem("windows", f"{counted(windows, 'window')}{of} {_have(windows)} no final response{note}")


def suspect_timestamps(windows: int) -> Problem:
    """Report windows whose response is kept raw and whose points are not loaded."""
    return Problem("suspect", f"{counted(windows, 'window')} {_have(windows)} timestamps that cannot be right")


def tables_lost(tables: Sequence[str]) -> Problem:
    """Report tables of a pruned day that are missing or cannot be read."""
    names = ", ".join(tables)
    which, they = (f"table {names} is", "it") if len(tables) == 1 else (f"tables {names} are", "they")
    return Problem(
        "tables",
        f"its {which} missing or cannot be read, and its raw responses were pruned, so that {they} cannot be rebuilt; "
        "restore the folder `tables` from a backup",
    )


def _printable(of: str) -> str:
    """Return an id without characters that would control a terminal, or end a line."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in of)


def sentence(problem: Problem) -> str:
    """Return a problem as a sentence of its own."""
    return f"{problem.text[0].upper()}{problem.text[1:]}."


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless it is one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
