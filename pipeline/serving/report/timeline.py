"""The timeline: each stay as a bar, with the data of its tracks, lost time and warnings in it.

What a stay is, is in `values`; shared parts of charts are in `figures`; the charts of one stay are in `stay_chart`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.serving.report.figures import (
    ALERT,
    INK,
    STAY,
    STYLES,
    Chart,
    Marks,
    Stretches,
    base_layout,
    extent,
    milliseconds,
    plain,
    warning_marks,
)
from pipeline.serving.report.lines import MAX_COLUMNS
from pipeline.serving.report.values import CallContent, Span, StayContent

__all__ = ["timeline"]

LANES = {
    "camera": ("camera", -0.22, STYLES[0][0]),
    "screen_share": ("screen share", 0.0, STYLES[2][0]),
    "audio": ("audio", 0.22, STYLES[4][0]),
    "screen_share_audio": ("audio", 0.22, STYLES[4][0]),
    "other": ("other", 0.0, STYLES[3][0]),
}
"""By kind of track, its lane in the bar of a stay: name, vertical position and colour."""

ROW = 30
"""Height of a stay in pixels."""

MAX_LABEL = 20
"""Characters of a user id beside the bar."""


def timeline(call: CallContent) -> Chart:
    """Return the timeline of a call, with the worst stay at the top."""
    stays = call.stays[: call.shown]
    since, until = extent(stays, call.session["started_at"], call.session["ended_at"])
    bars = _Bars(since, until, is_live=bool(call.session["is_live"]))
    for row, stay in enumerate(stays):
        bars.add(row, stay)
    traces = bars.traces()
    poor = sum(stay.is_poor for stay in stays)
    label = f"Timeline of {len(stays)} stays, {poor} of them poor; the table of people has the same times as text."
    return Chart({"data": traces, "layout": _layout(stays, since, until, len(traces))}, label)


@dataclass
class _Bars:
    """Collects what is drawn: for each stay a bar, and what is in it. Instants are in milliseconds."""

    since: int
    until: int
    is_live: bool
    bars: Stretches = field(default_factory=Stretches)
    lanes: dict[str, Stretches] = field(default_factory=lambda: {name: Stretches() for name, _, _ in LANES.values()})
    lost: Stretches = field(default_factory=Stretches)
    edges: Marks = field(default_factory=Marks)
    unknown: Marks = field(default_factory=Marks)
    warnings: Marks = field(default_factory=Marks)

    def add(self, row: int, stay: StayContent) -> None:
        """Draw a stay in a row."""
        column = (self.until - self.since) / MAX_COLUMNS
        joined, left = stay.facts["joined_at"], stay.facts["left_at"]
        first, last = self._ends(stay)
        self.bars.add(first, last, row)
        (self.edges if joined else self.unknown).add(first, row, "joined" if joined else "joined: unknown")
        (self.edges if left else self.unknown).add(last, row, "left" if left else "left: unknown")
        for name, (position, spans) in _by_lane(stay).items():
            for begin, end in _joined(spans, column):
                self.lanes[name].add(begin, end, row + position)
        for window in stay.windows:
            self.lost.add(milliseconds(window["since"]), milliseconds(window["until"]), row)
        for instant, text in warning_marks(stay.warnings, column):
            self.warnings.add(instant, row + 0.36, text)

    def traces(self) -> list[dict[str, Any]]:
        """Return the traces that have something to draw."""
        colors = {name: color for name, _, color in LANES.values()}
        traces = [
            self.bars.trace("in the call", STAY, 22),
            *(stretches.trace(f"{name}, data", colors[name], 4) for name, stretches in self.lanes.items()),
            self.lost.trace("no usable response", ALERT, 22, "2px,4px"),
            self.edges.trace("joined, left", "line-ns", INK, 20),
            self.unknown.trace("start or end unknown", "diamond-open", INK, 9),
            self.warnings.trace("warning", "triangle-up", ALERT, 9),
        ]
        return [trace for trace in traces if trace["x"]]

    def _ends(self, stay: StayContent) -> tuple[int, int]:
        """Return where the bar of a stay begins and ends: by the source, or by its data if the source does not know."""
        data = [milliseconds(instant) for span in stay.all_spans for instant in span]
        joined, left = stay.facts["joined_at"], stay.facts["left_at"]
        first = milliseconds(joined) if joined else min(data, default=self.since)
        if left:
            return first, milliseconds(left)
        return first, self.until if self.is_live else max(data, default=first)


def _layout(stays: Sequence[StayContent], since: int, until: int, entries: int) -> dict[str, Any]:
    rows = max(len(stays), 1)
    layout = base_layout(since, until, ROW * rows, left=170, entries=entries)
    layout["yaxis"] = {
        "tickvals": list(range(len(stays))),
        "ticktext": [
            f"{'▼ ' if stay.is_poor else ''}{plain(stay.facts['user_id'], MAX_LABEL)}{stay.ordinal}" for stay in stays
        ],
        "range": [rows - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "tickfont": {"size": 12, "color": INK},
    }
    return layout


def _by_lane(stay: StayContent) -> dict[str, tuple[float, list[Span]]]:
    """Return by lane its vertical position and the stretches with data."""
    lanes: dict[str, tuple[float, list[Span]]] = {}
    for kind, spans in stay.spans.items():
        name, position, _ = LANES[kind]
        lanes.setdefault(name, (position, []))[1].extend(spans)
    return lanes


def _joined(spans: Iterable[Span], column: float) -> list[tuple[int, int]]:
    """Return stretches in milliseconds, joined if less than a column is between them, which could not be seen."""
    joined: list[tuple[int, int]] = []
    for since, until in sorted((milliseconds(since), milliseconds(until)) for since, until in spans):
        if joined and since - joined[-1][1] < column:
            joined[-1] = joined[-1][0], max(joined[-1][1], until)
        else:
            joined.append((since, until))
    return joined
