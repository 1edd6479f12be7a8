"""How values read in the report and the dashboard: instants, durations, numbers, bitrates, shares.

Here are functions of single values only. An unknown value is a dash. How rows of values are laid out is in `report` and
`dashboard`; numbers in the dashboard's tables are formatted by Streamlit, see `dashboard.columns`.
"""

from __future__ import annotations

from datetime import datetime

__all__ = ["bits", "clock", "duration", "number", "percent", "share"]

UNKNOWN = "–"


def clock(instant: datetime | None, started_at: datetime | None) -> str:
    """Return the time of day, with the date if it is not the day on which the call started."""
    if instant is None:
        return UNKNOWN
    is_same_day = started_at is not None and instant.date() == started_at.date()
    return f"{instant:%H:%M:%S}" if is_same_day else f"{instant:%Y-%m-%d %H:%M:%S}"


def duration(seconds: float | None) -> str:
    """Return a length of time in its two largest units."""
    if seconds is None:
        return UNKNOWN
    if seconds < 59.95:
        return f"{seconds:.0f} s" if seconds == round(seconds) else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def number(value: float | None) -> str:
    """Return a number, with one decimal if it is not whole."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def bits(value: float | None) -> str:
    """Return a bitrate with three digits, such as 1.20 M or 32.0 k."""
    if value is None:
        return UNKNOWN
    value = float(f"{value:.3g}")  # round first: the result may belong to the next unit
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.{max(0, 3 - len(str(int(abs(value) / size))))}f} {unit}"
    return f"{value:.0f}"


def percent(of: float | None) -> str:
    """Return a share as a percentage. It reads 0 % or 100 % only if it is exactly that."""
    if of is None:
        return UNKNOWN
    if 0 < of < 0.001:
        return "< 0.1 %"
    if 0.999 < of < 1:
        return "> 99.9 %"
    return f"{100 * of:.0f} %" if of in (0, 1) else f"{100 * of:.1f} %"


def share(part: int, whole: int) -> float | None:
    """Return a part of a count, from 0 to 1; None without a count."""
    return part / whole if whole else None
