"""The charts of one stay: its tracks over time, with one panel per metric.

What a stay is, is in `values`; lines are made in `lines`; shared parts of charts are in `figures`. First `_panels`
collects what is drawn, then `_Layout` places it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.serving.report.figures import (
    ALERT,
    GRID,
    INK,
    QUIET,
    STYLES,
    Chart,
    Marks,
    base_layout,
    extent,
    milliseconds,
    warning_marks,
)
from pipeline.serving.report.lines import MAX_COLUMNS, Line, line
from pipeline.serving.report.values import CallContent, StayContent, TrackContent

__all__ = ["MAX_TRACKS", "stay_chart"]

MAX_TRACKS = len(STYLES)
"""Tracks of one stay that are drawn, the worst ones first: as many as there are colours and dashes."""

AUDIO = ("audio", "screen_share_audio")

METRICS = (
    ("Bitrate of video, as received (bit/s)", "bitrate", False),
    ("Frame rate (frames per second)", "framerate", False),
    ("Resolution (shorter side, pixels)", "height", False),
    ("Bitrate of audio, as received (bit/s)", "bitrate", True),
)
"""Panels: title, metric, and whether it is about audio."""

PANEL, SPACE, STRIP = 92, 30, 16
"""Heights in pixels: of a panel, of the space between panels, of the strip with warnings."""

WARNINGS_AXIS = "yaxis9"


@dataclass(frozen=True)
class _DrawnLine:
    """The line of one track in a panel."""

    track: TrackContent
    color: str
    dash: str
    line: Line


@dataclass(frozen=True)
class _Panel:
    """One metric of all tracks that have it.

    Attributes:
        number: its number from the top, from 1.
        title: name and unit of the metric.
        metric: the metric.
        lines: a line per track.
        low: for frame rates, by kind of track that is drawn, the frame rate under which it is low.
    """

    number: int
    title: str
    metric: str
    lines: Sequence[_DrawnLine]
    low: Sequence[tuple[str, float]]

    @property
    def axis(self) -> str:
        """The vertical axis, as traces name it."""
        return "y" if self.number == 1 else f"y{self.number}"

    @property
    def axis_key(self) -> str:
        """The vertical axis, as the layout names it."""
        return self.axis.replace("y", "yaxis")

    @property
    def number_format(self) -> str:
        """The type of number, as d3 formats it: 1.2M for bitrates, but not 500m for half a frame."""
        return "s" if self.metric == "bitrate" else "g"


def stay_chart(call: CallContent, stay: StayContent) -> Chart | None:
    """Return the tracks of one stay over time; None if it has no points."""
    tracks = [track for track in stay.tracks if track.metrics is not None]
    drawn = tracks[:MAX_TRACKS]
    panels = _panels(call, drawn)
    if not panels:
        return None
    since, until = extent([stay])
    labels = {(track.quality["track_id"], track.quality["track_type"]): track.label for track in stay.tracks}
    warnings = warning_marks(stay.warnings, (until - since) / MAX_COLUMNS, labels)
    layout = _Layout(since, until, panels, has_warnings=bool(warnings), entries=len(drawn))
    for panel in panels:
        layout.add_panel(panel)
    layout.add_lost_time(stay)
    layout.add_edges(stay)
    names = ", ".join(panel.title.split(" (")[0].split(",")[0] for panel in panels)
    label = (
        f"{names} over time of {stay.name}: {', '.join(track.label for track in drawn)}; "
        "the table of tracks has the figures."
    )
    thinned = any(drawn.line.kept < drawn.line.points for panel in panels for drawn in panel.lines)
    figure = {"data": [*_warning_traces(warnings), *_line_traces(panels)], "layout": layout.layout}
    return Chart(figure, label, thinned, len(tracks) - len(drawn))


def _panels(call: CallContent, tracks: Sequence[TrackContent]) -> list[_Panel]:
    """Return the panels that have a line, numbered from the top."""
    panels: list[_Panel] = []
    for title, metric, is_audio in METRICS:
        if lines := list(_lines(tracks, metric, is_audio=is_audio)):
            kinds = {drawn.track.quality["track_kind"] for drawn in lines} if metric == "framerate" else set()
            low = [(kind.replace("_", " "), low) for kind, low in call.low_framerates.items() if kind in kinds]
            panels.append(_Panel(len(panels) + 1, title, metric, lines, low))
    return panels


def _lines(tracks: Sequence[TrackContent], metric: str, *, is_audio: bool) -> Iterator[_DrawnLine]:
    for track, (color, dash) in zip(tracks, STYLES, strict=False):
        if (track.quality["track_kind"] in AUDIO) == is_audio and track.metrics is not None:
            found = line(track.metrics.instants, track.metrics.values[metric], track.quality["step_seconds"])
            if found.points:
                yield _DrawnLine(track, color, dash, found)


def _warning_traces(warnings: Sequence[tuple[int, str]]) -> Iterator[dict[str, Any]]:
    if warnings:
        marks = Marks()
        for instant, text in warnings:
            marks.add(instant, 0.5, text)
        axis = WARNINGS_AXIS.replace("yaxis", "y")
        yield marks.trace("warning", "triangle-up", ALERT, 10) | {"yaxis": axis, "showlegend": False}


def _line_traces(panels: Sequence[_Panel]) -> Iterator[dict[str, Any]]:
    """Yield the traces of all lines. A track is in the legend once."""
    named: set[str] = set()
    for panel in panels:
        for drawn in panel.lines:
            yield from _traces(panel, drawn, showlegend=drawn.track.label not in named)
            named.add(drawn.track.label)


def _traces(panel: _Panel, drawn: _DrawnLine, *, showlegend: bool) -> Iterator[dict[str, Any]]:
    """Yield a line, and dots for its points without a neighbour."""
    shared = {
        "type": "scatter",
        "name": drawn.track.label,
        "legendgroup": drawn.track.label,
        "yaxis": panel.axis,
        "hovertemplate": f"%{{y:.4~{panel.number_format}}} at %{{x|%H:%M:%S}}",
    }
    yield shared | {
        "mode": "lines",
        "x": drawn.line.instants,
        "y": drawn.line.values,
        "line": {"color": drawn.color, "dash": drawn.dash, "width": 1.6, "shape": "hv"},
        "connectgaps": False,
        "showlegend": showlegend,
    }
    if len(drawn.line.alone):
        yield shared | {
            "mode": "markers",
            "x": drawn.line.instants[drawn.line.alone],
            "y": drawn.line.values[drawn.line.alone],
            "marker": {"color": drawn.color, "size": 4},
            "showlegend": False,
        }


class _Layout:
    """Places the panels below each other, and draws what is not a line. Instants are in milliseconds."""

    def __init__(self, since: int, until: int, panels: Sequence[_Panel], *, has_warnings: bool, entries: int) -> None:
        self._panels = panels
        self._strip = STRIP + SPACE if has_warnings else 0
        self._inner = self._strip + len(panels) * (PANEL + SPACE) - SPACE
        self._shapes: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self.layout = base_layout(since, until, self._inner, left=58, entries=entries)
        self.layout |= {"shapes": self._shapes, "annotations": self._annotations}
        self.layout["xaxis"]["anchor"] = panels[-1].axis
        if has_warnings:
            strip = {"domain": [1 - STRIP / self._inner, 1], "visible": False, "range": [0, 1], "fixedrange": True}
            self.layout[WARNINGS_AXIS] = strip
            self._add_title("Warnings", 1)

    def add_panel(self, panel: _Panel) -> None:
        """Add the vertical axis of a panel, its title, and lines at low frame rates."""
        top = 1 - (self._strip + (panel.number - 1) * (PANEL + SPACE)) / self._inner
        self.layout[panel.axis_key] = {
            "domain": [max(top - PANEL / self._inner, 0), top],
            "rangemode": "tozero",
            "tickformat": f"~{panel.number_format}",
            "nticks": 5,
            "gridcolor": GRID,
            "zerolinecolor": QUIET,
            "fixedrange": True,
        }
        for _, low in panel.low:
            at_low = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": panel.axis, "y0": low, "y1": low}
            self._shapes.append(at_low | {"line": {"color": QUIET, "width": 1, "dash": "dot"}})
        under = ", ".join(f"under {low:g} for {kind}" for kind, low in panel.low)
        self._add_title(panel.title, top, f"dotted: low, {under}" if under else "")

    def add_lost_time(self, stay: StayContent) -> None:
        """Shade the time without a usable response, and say why it is blank."""
        for lost in stay.lost_time:
            begin, end = milliseconds(lost.since), milliseconds(lost.until)
            rectangle = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": begin, "x1": end}
            shade = {"fillcolor": ALERT, "opacity": 0.12, "line": {"width": 1, "color": ALERT}, "layer": "below"}
            self._shapes.append(rectangle | shade)
            text = _text(f"window {lost.state}", xref="x", x=begin, yref="paper", y=0, xanchor="left")
            self._annotations.append(text | {"font": {"size": 11, "color": "#8a3700"}})

    def add_edges(self, stay: StayContent) -> None:
        """Draw vertical lines in each panel at joining and leaving."""
        for panel in self._panels:
            for instant in (stay.facts["joined_at"], stay.facts["left_at"]):
                if instant:
                    x = milliseconds(instant)
                    edge = {"type": "line", "yref": f"{panel.axis} domain", "y0": 0, "y1": 1, "x0": x, "x1": x}
                    self._shapes.append(edge | {"line": {"color": INK, "width": 1.5}})

    def _add_title(self, text: str, top: float, note: str = "") -> None:
        title = _text(f"<b>{text}</b>  {note}", x=0, y=top, xanchor="left", yref="paper", xshift=-46, yshift=2)
        self._annotations.append(title | {"font": {"size": 12, "color": INK}})


def _text(text: str, **placed: Any) -> dict[str, Any]:
    font = {"size": 11, "color": QUIET}
    return {"text": text, "showarrow": False, "xref": "paper", "yanchor": "bottom", "font": font} | placed
