"""Pruned days: complete days of which the raw responses, or everything, was removed on purpose.

    tables/pruned/session_date=2026-11-01.json

This file is written before anything of the day is removed, and closes the day. From then on its raw responses are not
read, even if some are left, and nothing of it is requested. What is known of the day is in the file. So an interrupted
removal never leaves half a day, and the next one finishes it. The files are beside the tables, because a copy of the
tables needs them. Which days are pruned, and when, is decided in `retention`; how their tables change is in
`tables.pruned`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from pipeline.errors import FixStorage
from pipeline.files import day_of, folder_name
from pipeline.planning.completeness import DayCompleteness
from pipeline.planning.problems import tables_lost
from pipeline.storage import Store, StoredFile

__all__ = ["PrunedDay", "PrunedDays", "Removed"]

Removed = Literal["raw", "all"]
"""What was removed of a day: its raw responses, or those and its tables and rows in the database."""

FOLDER = "pruned"


@dataclass(frozen=True)
class PrunedDay:
    """What is known of a pruned day. It names no person.

    Attributes:
        day: UTC date on which its call sessions started.
        removed: what was removed.
        at: when, in UTC.
        rules: the rules that its tables were last compared with, see `tables.provenance.rules`.
        tables: how many rows each of its tables had.
        calls: its call sessions.
        promised: stays that the source counted, without erased people.
        held: stays that had landed.
        windows: windows by state.
        first_expiry: when the first of its call sessions expires at the source; None if it had none.
    """

    day: date
    removed: Removed
    at: datetime
    rules: str
    tables: Mapping[str, int]
    calls: int
    promised: int
    held: int
    windows: Mapping[str, int]
    first_expiry: datetime | None

    @classmethod
    def of(
        cls, completeness: DayCompleteness, removed: Removed, at: datetime, rules: str, tables: Mapping[str, int]
    ) -> PrunedDay:
        """Return what must be known of a complete day after it is pruned."""
        return cls(
            day=completeness.day,
            removed=removed,
            at=at,
            rules=rules,
            tables=tables,
            calls=completeness.calls,
            promised=completeness.promised,
            held=completeness.held,
            windows=completeness.windows,
            first_expiry=completeness.first_expiry,
        )

    def completeness(self, lost: Sequence[str] = ()) -> DayCompleteness:
        """Return the day as complete as it was, unless tables that must be there are `lost`."""
        return DayCompleteness(
            day=self.day,
            calls=self.calls,
            live_calls=0,
            promised=self.promised,
            held=self.held,
            windows=self.windows,
            due=0,
            problems=[tables_lost(lost)] if lost else [],
            first_expiry=self.first_expiry,
            is_over=True,
            pruned=self.removed,
        )

    def text(self) -> str:
        """Return it as JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps(values, default=lambda value: value.isoformat(), indent=1)

    @classmethod
    def read(cls, text: bytes) -> PrunedDay:
        """Parse what `text` returned. Other input raises `ValueError`, `KeyError`, `TypeError` or `AttributeError`."""
        stored: dict[str, Any] = json.loads(text)
        expiry = stored["first_expiry"]
        removed = stored["removed"]
        if removed not in ("raw", "all"):
            raise ValueError(f"`removed` must be raw or all, and is {removed}")
        return cls(
            day=date.fromisoformat(stored["day"]),
            removed=removed,
            at=datetime.fromisoformat(stored["at"]),
            rules=str(stored["rules"]),
            tables={str(name): int(rows) for name, rows in stored["tables"].items()},
            calls=int(stored["calls"]),
            promised=int(stored["promised"]),
            held=int(stored["held"]),
            windows={str(state): int(count) for state, count in stored["windows"].items()},
            first_expiry=None if expiry is None else datetime.fromisoformat(expiry),
        )


class PrunedDays:
    """All pruned days of a data folder. `tables` is the store of its tables.

    Methods raise `FixStorage` if the files cannot be read or written.
    """

    def __init__(self, tables: Store) -> None:
        self._tables = tables

    def days(self) -> list[date]:
        """Return the pruned days, oldest first: one request."""
        names = [name.removesuffix(".json") for name in self._tables.names(FOLDER) if name.endswith(".json")]
        return [day for name in names if (day := day_of(name)) is not None]

    def has(self, day: date) -> bool:
        """Return whether a day was pruned: one request."""
        return self._file(day).exists()

    def get(self, day: date) -> PrunedDay | None:
        """Return what is known of a pruned day; None if it was not pruned."""
        file = self._file(day)
        try:
            return PrunedDay.read(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise FixStorage(
                f"{file} cannot be read; restore it from a backup: it says what was removed of {day}"
            ) from None

    def put(self, pruned: PrunedDay) -> None:
        """Keep what is known of a pruned day."""
        file = self._file(pruned.day)
        try:
            file.replace(pruned.text().encode())
        except OSError as error:
            raise FixStorage(f"{file} cannot be written ({error.strerror or error}); fix it and run again") from None

    def _file(self, day: date) -> StoredFile:
        return StoredFile(self._tables, f"{FOLDER}/{folder_name(day)}.json")
