"""Judgements of complete days, kept until something of the day changes.

To judge a day reads all its listings, so the status of a year would read a year of them each time. The files are
scratch, `.work/judged/2026-11-01.json`: without them, days are judged again. They name no person.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipeline.planning.completeness import DayCompleteness

__all__ = ["JudgedDays"]


class JudgedDays:
    """Keeps judgements of complete days in a local folder. What cannot be read or written is not kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, day: date, made_from: str) -> DayCompleteness | None:
        """Return the judgement of a day that was made from the same; None if none is kept."""
        try:
            stored: dict[str, Any] = json.loads(self._file(day).read_bytes())
            if stored["made_from"] != made_from:
                return None
            expiry = stored["first_expiry"]
            return DayCompleteness(
                day=day,
                calls=int(stored["calls"]),
                live_calls=0,
                promised=int(stored["promised"]),
                held=int(stored["held"]),
                windows={str(state): int(count) for state, count in stored["windows"].items()},
                due=0,
                problems=[],
                first_expiry=None if expiry is None else datetime.fromisoformat(expiry),
                is_over=True,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def put(self, judged: DayCompleteness, made_from: str) -> None:
        """Keep the judgement of a day if it is complete. `made_from` must change with anything that it depends on."""
        if not judged.is_complete:
            return
        values = {
            "made_from": made_from,
            "calls": judged.calls,
            "promised": judged.promised,
            "held": judged.held,
            "windows": dict(judged.windows),
            "first_expiry": judged.first_expiry and judged.first_expiry.isoformat(),
        }
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file(judged.day).write_text(json.dumps(values), encoding="utf-8")

    def _file(self, day: date) -> Path:
        return self._folder / f"{day}.json"
