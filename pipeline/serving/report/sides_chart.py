"""The chart of both sides: what was sent and what was received, minute by minute on one time axis.

What a way is, and where it lost something, is in `sides`; shared parts of charts are in `figures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.serving.report.events import event_marks
from pipeline.serving.report.figures import GRID, INK, QUIET, STYLES, Chart, base_layout, extent, milliseconds, plain
from pipeline.serving.report.sides import Way
from pipeline.serving.report.values import Row, StayContent

__all__ = ["MAX_WAYS", "sides_chart"]

MAX_WAYS = 3
"""Ways that are drawn, those that lost most first: each has two lines in each panel."""

PANELS = (
    ("Bitrate, minute means, as received", ("sent", "received")),
    ("Packet loss (%)", ("sent_loss", "received_loss")),
)
"""Panels: title, and the columns of the publisher's side and of the subscriber's."""

PANEL, SPACE, STRIP = 92, 34, 36
"""Heights in pixels: of a panel, of the space above one, and of the strip of events with its space."""

MINUTE_MS = 60_000


def sides_chart(stay: StayContent) -> Chart | None:
    """Return both sides of a stay's ways over time; None if there are no details."""
    ways = stay.ways[:MAX_WAYS]
    if not ways:
        return None
    since, until = extent([stay])
    since = min(since, *(milliseconds(way.minutes[0]["minute"]) for way in ways))
    until = max(until, *(milliseconds(way.minutes[-1]["minute"]) + MINUTE_MS for way in ways))
    marks = event_marks(stay, 0)
    inner = len(PANELS) * (PANEL + SPACE) - SPACE + (STRIP if marks else 0)
    layout = base_layout(since, until, inner, left=58, entries=2 * len(ways) + len(marks))
    layout["annotations"] = []
    data: list[dict[str, Any]] = []
    for number, (title, columns) in enumerate(PANELS):
        axis = f"y{number + 1}" if number else "y"
        top = 1 - number * (PANEL + SPACE) / inner
        layout[axis.replace("y", "yaxis")] = {
            "domain": [max(top - PANEL / inner, 0), top],
            "rangemode": "tozero",
            "tickformat": "~s" if number == 0 else "~g",
            "nticks": 5,
            "gridcolor": GRID,
            "zerolinecolor": QUIET,
            "fixedrange": True,
        }
        layout["annotations"].append(_title(title, top))
        for way, (color, _) in zip(ways, STYLES, strict=False):
            for column, side, dash in zip(columns, ("sent", "received"), ("solid", "dot"), strict=True):
                data.append(_trace(way, column, f"{side}: {way.name}", color, dash, axis, showlegend=number == 0))
    if marks:
        strip = len(PANELS) + 1
        data += [{**trace, "yaxis": f"y{strip}"} for trace in marks]
        layout[f"yaxis{strip}"] = {
            "domain": [0, STRIP / 2 / inner],
            "range": [-1, 1],
            "visible": False,
            "fixedrange": True,
        }
        layout["xaxis"]["anchor"] = f"y{strip}"
    else:
        layout["xaxis"]["anchor"] = f"y{len(PANELS)}"
    label = f"Both sides of what {stay.name} sent or received, over time; the sentences below say where it got lost."
    return Chart({"data": data, "layout": layout}, label, left_out=len(stay.ways) - len(ways))


def _trace(way: Way, column: str, name: str, color: str, dash: str, axis: str, *, showlegend: bool) -> dict[str, Any]:
    """Return one line. It breaks where a minute is missing."""
    instants, values = _broken(way.minutes, column)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plain(name),
        "legendgroup": plain(name),
        "showlegend": showlegend,
        "yaxis": axis,
        "x": instants,
        "y": values,
        "line": {"color": color, "dash": dash, "width": 1.6, "shape": "hv"},
        "connectgaps": False,
        "hovertemplate": "%{y:.4~g} at %{x|%H:%M}",
    }


def _broken(minutes: Sequence[Row], column: str) -> tuple[list[int], list[float]]:
    """Return instants and values of a line: each value holds for its minute, and NaN ends it if none follows."""
    instants: list[int] = []
    values: list[float] = []
    for row in minutes:
        at = milliseconds(row["minute"])
        if instants and at == instants[-1]:
            instants.pop()
            values.pop()
        value = np.nan if row[column] is None else float(row[column])
        instants += [at, at + MINUTE_MS - 1, at + MINUTE_MS]
        values += [value, value, np.nan]
    return instants, values


def _title(text: str, top: float) -> dict[str, Any]:
    placed = {"x": 0, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return (
        {"text": f"<b>{text}</b>", "showarrow": False, "xshift": -46, "yshift": 2}
        | placed
        | {"font": {"size": 12, "color": INK}}
    )
