"""The participant timeline of a stay: a small table of kinds of events, and marks on the chart of both sides.

Types and severities are the source's own and not documented, so none of them is taken for good or bad: they are shown
as they came, in the order of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from pipeline.serving.report.figures import Marks, milliseconds, plain
from pipeline.serving.report.values import Row, StayContent

__all__ = ["MAX_DATA", "MAX_MARKS", "event_groups", "event_marks"]

MAX_DATA = 100
"""Characters of an event's data on the page. The table has all of it."""

MAX_MARKS = 500
"""Marks on a chart, which has about as many pixels."""

SYMBOLS = ("triangle-down", "diamond", "square", "circle", "x")
"""Symbols of the severities, in the order of their names; nothing is shown by colour alone."""

COLORS = ("#0072b2", "#c44e00", "#00805c", "#333333", "#a3447f")


def event_groups(stay: StayContent) -> list[dict[str, Any]]:
    """Return the events of a stay, those with the same type and severity as one.

    Of each kind: how many, when the first and the last, and what the first one says.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in stay.events:
        groups.setdefault((row["type"], row["severity"]), []).append(row)
    return [
        {
            "type": kind,
            "severity": severity,
            "count": len(rows),
            "first": rows[0]["timestamp"],
            "last": _last(rows),
            "data": _short(rows[0]["data"]),
        }
        for (kind, severity), rows in groups.items()
    ]


def event_marks(stay: StayContent, y: float) -> list[dict[str, Any]]:
    """Return a trace of marks for each severity. Hovering over a mark shows the event."""
    marks: dict[str, Marks] = {}
    known = [row for row in stay.events if row["timestamp"] is not None]
    for row in known[:MAX_MARKS]:
        text = ": ".join(plain(part) for part in (row["type"], _short(row["data"])) if part)
        severity = row["severity"] or "no severity"
        marks.setdefault(severity, Marks()).add(milliseconds(row["timestamp"]), y, text or "event")
    return [
        marks[severity].trace(f"event: {plain(severity, 40)}", symbol, color, 8)
        for severity, symbol, color in zip(sorted(marks), cycle(SYMBOLS), cycle(COLORS), strict=False)
    ]


def _last(rows: Sequence[Row]) -> Any:
    """Return the last known instant; None if none is."""
    return next((row["timestamp"] for row in reversed(rows) if row["timestamp"] is not None), None)


def _short(data: str | None) -> str:
    if data in (None, "{}"):
        return ""
    return data if len(data) <= MAX_DATA else f"{data[: MAX_DATA - 1]}…"
