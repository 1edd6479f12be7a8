"""What the charts share: the Plotly figure and its layout, colours, marks, stretches, and text that is safe in it.

All figures are 700 pixels wide, which fits a laptop beside a table, and the width of A4 and Letter. Nothing is shown
by colour alone. Text from the source goes through `plain`, because Plotly reads some HTML in any text. What is drawn is
in `timeline` and `stay_chart`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.serving.report.values import Row, StayContent

__all__ = [
    "ALERT",
    "GRID",
    "INK",
    "QUIET",
    "STAY",
    "STYLES",
    "WIDTH",
    "Chart",
    "Marks",
    "Stretches",
    "base_layout",
    "extent",
    "milliseconds",
    "plain",
    "warning_marks",
]

WIDTH = 700

STYLES = (
    ("#0072b2", "solid"),
    ("#c44e00", "dash"),
    ("#00805c", "dot"),
    ("#333333", "dashdot"),
    ("#a3447f", "longdash"),
    ("#7a5c00", "longdashdot"),
)
"""Colours and dashes of lines. They are Okabe and Ito's colours, the light ones darkened, so that a line has a contrast
of at least 3:1 to white."""

INK, QUIET, GRID, STAY, ALERT = "#1f2933", "#52606d", "#e4e7eb", "#d3dae2", "#c44e00"

TOP, BOTTOM = 30, 46
"""Heights of the margins in pixels, without the legend."""

LEGEND_ROW, LEGEND_COLUMNS = 20, 3
"""Height of a row of the legend in pixels, and entries in a row."""

AND_MORE = ", and more"


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        figure: data and layout, as Plotly takes them.
        label: what it shows, in words.
        thinned: whether points were left out of a line.
        left_out: tracks that are not drawn.
    """

    figure: dict[str, Any]
    label: str
    thinned: bool = False
    left_out: int = 0


class Marks:
    """Collects the points of a trace of marks."""

    def __init__(self) -> None:
        self._x: list[int] = []
        self._y: list[float | None] = []
        self._text: list[str] = []

    def add(self, instant: int, y: float, text: str) -> None:
        """Add a mark. Hovering over it shows the text."""
        self._x.append(instant)
        self._y.append(y)
        self._text.append(text)

    def trace(self, name: str, symbol: str, color: str, size: int) -> dict[str, Any]:
        """Return the trace."""
        return {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": self._x,
            "y": self._y,
            "text": self._text,
            "hovertemplate": "%{x|%Y-%m-%d %H:%M:%S} UTC, %{text}<extra></extra>",
            "marker": {"symbol": symbol, "color": color, "size": size, "line": {"width": 1.5, "color": INK}},
            "cliponaxis": False,
        }


class Stretches:
    """Collects the stretches of a trace of horizontal bars."""

    def __init__(self) -> None:
        self._x: list[int] = []
        self._y: list[float | None] = []

    def add(self, since: int, until: int, y: float) -> None:
        """Add a stretch."""
        self._x += [since, until, until]
        self._y += [y, y, None]

    def trace(self, name: str, color: str, width: int, dash: str = "solid") -> dict[str, Any]:
        """Return the trace."""
        return {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": self._x,
            "y": self._y,
            "line": {"color": color, "width": width, "dash": dash, "simplify": False},
            "hoverinfo": "skip",
        }


def plain(text: object, length: int = 200) -> str:
    """Return text that Plotly shows as it is: one line of at most `length` characters, without anything like HTML."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return html.escape(line if len(line) <= length else f"{line[: length - 1]}…", quote=False)


def milliseconds(instant: datetime) -> int:
    """Return an instant as Plotly takes it: milliseconds since 1970 (UTC)."""
    return round(instant.timestamp() * 1000)


def extent(stays: Iterable[StayContent], *instants: datetime | None) -> tuple[int, int]:
    """Return the first and the last instant to draw, in milliseconds. They are never equal."""
    known = [instant for instant in instants if instant]
    for stay in stays:
        known += [stay.facts[name] for name in ("joined_at", "left_at") if stay.facts[name]]
        known += [instant for span in stay.all_spans for instant in span]
        known += [
            track.quality[name]
            for track in stay.tracks
            for name in ("first_point_at", "last_point_at")
            if track.quality[name]
        ]
        known += [window[name] for window in stay.windows for name in ("since", "until")]
    if not known:
        return 0, 60_000
    first, last = milliseconds(min(known)), milliseconds(max(known))
    return first, max(last, first + 1000)


def warning_marks(
    warnings: Iterable[Row], column: float, labels: Mapping[Any, str] | None = None
) -> list[tuple[int, str]]:
    """Return the instants of warnings in milliseconds, with their text. Warnings within one column are one mark.

    `labels` are the names of tracks, by id and type; without them, texts name no track.
    """
    marks: list[tuple[int, str]] = []
    for warning in warnings:
        if warning["time"] is None:
            continue
        instant = milliseconds(warning["time"])
        if marks and instant - marks[-1][0] < column:
            first = marks[-1][1]
            marks[-1] = marks[-1][0], first if first.endswith(AND_MORE) else first + AND_MORE
            continue
        track = (labels or {}).get((warning["track_id"], warning["track_type"]))
        text = ": ".join(plain(warning[name]) for name in ("code", "warning") if warning[name])
        marks.append((instant, f"{track}, {text}" if track else text))
    return marks


def base_layout(since: int, until: int, inner: int, *, left: int, entries: int) -> dict[str, Any]:
    """Return a layout without a vertical axis.

    `since` and `until` are milliseconds, `inner` is the height of the plot and `left` the width of its left margin in
    pixels, `entries` the number of entries in the legend.
    """
    top = TOP + LEGEND_ROW * -(-entries // LEGEND_COLUMNS)
    pad = (until - since) // 150
    return {
        "width": WIDTH,
        "height": top + inner + BOTTOM,
        "margin": {"l": left, "r": 12, "t": top, "b": BOTTOM},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "font": {"family": "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 12, "color": INK},
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": QUIET, "font": {"color": INK}},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "tracegroupgap": 0,
            "entrywidth": (WIDTH - left - 12) // LEGEND_COLUMNS - 46,
            "itemclick": False,
            "itemdoubleclick": False,
        },
        "xaxis": {
            "type": "date",
            "range": [since - pad, until + pad],
            "gridcolor": GRID,
            "hoverformat": "%Y-%m-%d %H:%M:%S UTC",
            "title": {"text": "time, UTC", "font": {"size": 11, "color": QUIET}, "standoff": 4},
            "ticks": "outside",
            "tickangle": 0,
            "nticks": 6,
            "tickcolor": QUIET,
            "linecolor": QUIET,
            "showline": True,
        },
    }
