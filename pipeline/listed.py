"""What the listings of a day say, as they have landed: its calls, who took part, and who published.

Reads raw answers (`landing.py`) through `flatten.py` and hands them to `knowledge.py`; what follows from it for
requests is `plan.py`'s business, for tables `tabulate.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from pipeline.errors import SetAside
from pipeline.exchange import LISTINGS
from pipeline.flatten import Flattener
from pipeline.knowledge import Known, known_of, listings_of
from pipeline.landing import Landing
from pipeline.plan import Listing

__all__ = ["Listed", "Listings"]


@dataclass(frozen=True)
class Listed:
    """Of one day: rows of call_sessions, how many more were listed that belong to other days, rows and totals of Call
    Attendance, rows of participant statistics, and what they say.
    """

    sessions: pa.Table
    of_other_days: int
    attended: pa.Table
    promised: pa.Table
    statistics: pa.Table
    known: Known


class Listings:
    """The listings under one folder of raw answers. The day read last is kept until something lands or is rewritten."""

    def __init__(self, landing: Landing, temporary: Path) -> None:
        self._landing = landing
        self._temporary = temporary
        self._kept: tuple[object, Listed] | None = None

    def of(self, day: date) -> Listed:
        """What they say of a day. Raises `SetAside` where a segment is broken, and `FixStorage`."""
        paths = [path for name in LISTINGS for path in self._landing.segments(name, day)]
        try:
            mark = day, [(path.name, path.stat().st_mtime_ns) for path in paths]  # forgetting rewrites them in place
        except FileNotFoundError as error:
            raise SetAside(f"{error.filename} is gone; what is there is read again") from None
        if self._kept is None or self._kept[0] != mark:
            self._kept = mark, self._read(day)
        return self._kept[1]

    def of_calls(self, day: date) -> Sequence[Listing]:
        """The listings of the day's calls themselves, oldest first."""
        return list(listings_of(self._landing.index("call_stats", day)).get(None, {}).values())

    def _read(self, day: date) -> Listed:
        with Flattener(self._temporary) as flattener:
            sessions, of_other_days = flattener.call_sessions(day, *self._landing.read("call_stats", day))
            index, bodies = self._landing.read("participant_sessions", day)
            attended, promised = flattener.attendance(index, bodies)
            statistics_index, bodies = self._landing.read("participant_stats", day)
            statistics = flattener.participant_stats(statistics_index, bodies)
        known = known_of(sessions, attended, promised, index, statistics, statistics_index)
        return Listed(sessions, of_other_days, attended, promised, statistics, known)
