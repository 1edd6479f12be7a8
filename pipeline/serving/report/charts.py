"""Charts as Plotly figures: a timeline of who was there, and of one stay its tracks over time.

Here belong colours, marks and sizes. All figures are 700 pixels wide, which fits a laptop beside a table as well as the
width of A4 and Letter. Nothing is told by colour alone. Text from the source goes through `plain`, for Plotly reads
some HTML in any text.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.serving.report.content import Content, Stay, Track
from pipeline.serving.report.lines import COLUMNS, Line, line

__all__ = ["TRACKS", "WIDTH", "Chart", "merged_windows", "name_of", "plain", "stay_chart", "timeline"]

Row = Mapping[str, Any]

WIDTH = 700
TRACKS = 6
"""Tracks of one stay that are drawn, the worst ones first: as many as there are colours and dashes."""
STYLES = (
    ("#0072b2", "solid"),
    ("#c44e00", "dash"),
    ("#00805c", "dot"),
    ("#333333", "dashdot"),
    ("#a3447f", "longdash"),
    ("#7a5c00", "longdashdot"),
)
"""Okabe and Ito's colours, the light ones darker, so that a line has at least 3:1 contrast to white."""
INK, QUIET, GRID, STAY, ALERT = "#1f2933", "#52606d", "#e4e7eb", "#d3dae2", "#c44e00"
FIRST_LAST = ("first_point_at", "last_point_at")
MORE = ", and more"
AUDIO = ("audio", "screen_share_audio")
LANES = {
    "camera": ("camera", -0.22, STYLES[0][0]),
    "screen_share": ("screen share", 0.0, STYLES[2][0]),
    "audio": ("audio", 0.22, STYLES[4][0]),
    "screen_share_audio": ("audio", 0.22, STYLES[4][0]),
    "other": ("other", 0.0, STYLES[3][0]),
}
"""By kind of track the lane of a stay's bar that it lies in: name, place and colour."""
PANELS = (
    ("Bitrate of video, as received (bit/s)", "bitrate", False),
    ("Frame rate (frames per second)", "framerate", False),
    ("Resolution (shorter side, pixels)", "height", False),
    ("Bitrate of audio, as received (bit/s)", "bitrate", True),
)
"""Title, metric, and whether it is for audio."""
ROW, PANEL, SPACE, STRIP, TOP, BOTTOM = 30, 92, 30, 16, 30, 46
"""Heights in pixels: of a stay on the timeline, of a panel, between panels, of the strip with warnings, above and below
them all."""
LEGEND_ROW, LEGEND_COLUMNS = 20, 3
"""Of the legend: height of a row, entries in a row."""


@dataclass(frozen=True)
class Chart:
    """A figure as Plotly takes it, and in words what it shows. `thinned` where points were left out."""

    figure: dict[str, Any]
    label: str
    thinned: bool = False
    left_out: int = 0


def plain(text: object, length: int = 200) -> str:
    """Text that Plotly shows as it is: one line, of at most so many characters, with nothing that reads as HTML."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return html.escape(line if len(line) <= length else f"{line[: length - 1]}…", quote=False)


def timeline(content: Content) -> Chart:
    """Each stay as a bar with its tracks in it, the worst at the top."""
    stays = content.stays[: content.shown]
    since, until = _extent(stays, content.session["started_at"], content.session["ended_at"])
    column = (until - since) / COLUMNS
    bars, lost = _Stretches(), _Stretches()
    lanes = {name: _Stretches() for name, _, _ in LANES.values()}
    edges, unknown, warned = _Marks(), _Marks(), _Marks()
    for row, stay in enumerate(stays):
        joined, left = stay.facts["joined_at"], stay.facts["left_at"]
        first, last = _ends(stay, since, until, is_live=bool(content.session["is_live"]))
        bars.add(first, last, row)
        (edges if joined else unknown).add(first, row, "joined" if joined else "joined: not known")
        (edges if left else unknown).add(last, row, "left" if left else "left: not known")
        for name, spans in _by_lane(stay).items():
            for begin, end in _joined(spans, column):
                lanes[name].add(begin, end, row + next(place for lane, place, _ in LANES.values() if lane == name))
        for window in stay.windows:
            lost.add(_ms(window["since"]), _ms(window["until"]), row)
        for instant, text in _noted(stay.warnings, column):
            warned.add(instant, row + 0.36, text)
    colors = {name: color for name, _, color in LANES.values()}
    traces = [
        bars.trace("in the call", STAY, 22),
        *(stretches.trace(f"{name}, data", colors[name], 4) for name, stretches in lanes.items()),
        lost.trace("no usable answer", ALERT, 22, "2px,4px"),
        edges.trace("joined, left", "line-ns", INK, 20),
        unknown.trace("start or end not known", "diamond-open", INK, 9),
        warned.trace("warning", "triangle-up", ALERT, 9),
    ]
    traces = [trace for trace in traces if trace["x"]]
    ticks = [
        f"{'▼ ' if stay.quality['class'] == 'poor' else ''}{plain(stay.facts['user_id'], 20)}{_which(stay)}"
        for stay in stays
    ]
    rows = max(len(stays), 1)
    layout = _layout(since, until, ROW * rows, left=170, entries=len(traces))
    layout["yaxis"] = {
        "tickvals": list(range(len(stays))),
        "ticktext": ticks,
        "range": [rows - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "tickfont": {"size": 12, "color": INK},
    }
    poor = sum(stay.quality["class"] == "poor" for stay in stays)
    label = f"Timeline of {len(stays)} stays, {poor} of them poor; the table of people has the same times as text."
    return Chart({"data": traces, "layout": layout}, label)


def stay_chart(content: Content, stay: Stay) -> Chart | None:
    """The tracks of one stay over time, one panel a metric; None where it has no points."""
    tracks = [track for track in stay.tracks if track.samples is not None]
    labels = {(track.quality["track_id"], track.quality["track_type"]): track.label for track in stay.tracks}
    drawn = tracks[:TRACKS]
    panels = [
        (title, lines)
        for title, metric, is_audio in PANELS
        if (lines := list(_lines(drawn, metric, is_audio=is_audio)))
    ]
    if not panels:
        return None
    since, until = _extent([stay])
    warnings = _noted(stay.warnings, (until - since) / COLUMNS, labels)
    strip = STRIP + SPACE if warnings else 0
    inner = strip + len(panels) * (PANEL + SPACE) - SPACE
    layout = _layout(since, until, inner, left=58, entries=len(drawn))
    layout |= {"shapes": [], "annotations": []}
    data: list[dict[str, Any]] = []
    if warnings:
        layout["yaxis9"] = {"domain": [1 - STRIP / inner, 1], "visible": False, "range": [0, 1], "fixedrange": True}
        _title(layout, "Warnings", 1)
        marks = _Marks()
        for instant, text in warnings:
            marks.add(instant, 0.5, text)
        data.append(marks.trace("warning", "triangle-up", ALERT, 10) | {"yaxis": "y9", "showlegend": False})
    named: set[str] = set()
    for number, (title, lines) in enumerate(panels, 1):
        top = 1 - (strip + (number - 1) * (PANEL + SPACE)) / inner
        axis = "y" if number == 1 else f"y{number}"
        form = "s" if "bit/s" in title else "g"  # 1.2M, but 0.5 frames are not 500m
        layout[f"yaxis{number if number > 1 else ''}"] = {
            "domain": [max(top - PANEL / inner, 0), top],
            "rangemode": "tozero",
            "tickformat": f"~{form}",
            "nticks": 5,
            "gridcolor": GRID,
            "zerolinecolor": QUIET,
            "fixedrange": True,
        }
        lows = _low(content, [track for track, _, _ in lines]) if title.startswith("Frame rate") else []
        _thresholds(layout, lows, axis)
        below = ", ".join(f"under {low:g} for {kind}" for kind, low in lows)
        _title(layout, title, top, f"dotted: low, {below}" if below else "")
        for track, style, drawn_line in lines:
            data += _traces(track, style, drawn_line, axis, form, showlegend=track.label not in named)
            named.add(track.label)
    layout["xaxis"]["anchor"] = f"y{len(panels) if len(panels) > 1 else ''}"
    _not_ingested(layout, stay)
    for number in range(len(panels)):
        axis = f"y{number + 1 if number else ''} domain"
        for instant in (stay.facts["joined_at"], stay.facts["left_at"]):
            if instant:
                layout["shapes"].append(_vertical(_ms(instant), axis))
    label = (
        f"{', '.join(title.split(' (')[0].split(',')[0] for title, _ in panels)} over time of "
        f"{name_of(stay)}: {', '.join(track.label for track in drawn)}; the table of tracks has the figures."
    )
    thinned = any(found.kept < found.points for _, lines in panels for _, _, found in lines)
    return Chart({"data": data, "layout": layout}, label, thinned, len(tracks) - len(drawn))


# What they share.


def _lines(tracks: Sequence[Track], metric: str, *, is_audio: bool) -> Iterator[tuple[Track, tuple[str, str], Line]]:
    for track, style in zip(tracks, STYLES, strict=False):
        if (track.quality["track_kind"] in AUDIO) == is_audio and track.samples is not None:
            found = line(track.samples.instants, track.samples.values[metric], track.quality["step_seconds"])
            if found.points:
                yield track, style, found


def _traces(
    track: Track, style: tuple[str, str], found: Line, axis: str, form: str, *, showlegend: bool
) -> Iterator[dict[str, Any]]:
    color, dash = style
    shared = {
        "type": "scatter",
        "name": track.label,
        "legendgroup": track.label,
        "yaxis": axis,
        "hovertemplate": f"%{{y:.4~{form}}} at %{{x|%H:%M:%S}}",
    }
    yield shared | {
        "mode": "lines",
        "x": found.instants,
        "y": found.values,
        "line": {"color": color, "dash": dash, "width": 1.6, "shape": "hv"},
        "connectgaps": False,
        "showlegend": showlegend,
    }
    if len(found.alone):
        yield shared | {
            "mode": "markers",
            "x": found.instants[found.alone],
            "y": found.values[found.alone],
            "marker": {"color": color, "size": 4},
            "showlegend": False,
        }


def _thresholds(layout: dict[str, Any], lows: Iterable[tuple[str, float]], axis: str) -> None:
    for _, low in lows:
        layout["shapes"].append(
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "yref": axis,
                "y0": low,
                "y1": low,
                "line": {"color": QUIET, "width": 1, "dash": "dot"},
            }
        )


def _low(content: Content, tracks: Iterable[Track]) -> list[tuple[str, float]]:
    """Of each kind of track that is drawn, the frame rate under which the views call it low."""
    kinds = {track.quality["track_kind"] for track in tracks}
    return [(kind.replace("_", " "), low) for kind, low in content.low_framerates.items() if kind in kinds]


def _not_ingested(layout: dict[str, Any], stay: Stay) -> None:
    """Shade the time that the source gave no usable answer for, and say why it is blank."""
    for state, since, until in merged_windows(stay.windows):
        rectangle = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": _ms(since), "x1": _ms(until)}
        layout["shapes"].append(
            rectangle | {"fillcolor": ALERT, "opacity": 0.12, "line": {"width": 1, "color": ALERT}, "layer": "below"}
        )
        text = _text(f"window {state}", xref="x", x=_ms(since), yref="paper", y=0, xanchor="left")
        layout["annotations"].append(text | {"font": {"size": 11, "color": "#8a3700"}})


def merged_windows(windows: Iterable[Row]) -> list[tuple[str, datetime, datetime]]:
    """Windows of one state that follow one another as one stretch: state, since, until."""
    merged: list[tuple[str, datetime, datetime]] = []
    for window in windows:
        state, since, until = window["state"], window["since"], window["until"]
        if merged and merged[-1][0] == state and merged[-1][2] == since:
            since = merged.pop()[1]
        merged.append((state, since, until))
    return merged


def name_of(stay: Stay) -> str:
    """The user, and which of their stays it is where they have several."""
    return f"{stay.facts['user_id']}{_which(stay)}"


def _which(stay: Stay) -> str:
    return f" ({stay.stay_number} of {stay.stays})" if stay.stays > 1 else ""


def _title(layout: dict[str, Any], text: str, top: float, note: str = "") -> None:
    title = _text(f"<b>{text}</b>  {note}", x=0, y=top, xanchor="left", yref="paper", xshift=-46, yshift=2)
    layout["annotations"].append(title | {"font": {"size": 12, "color": INK}})


def _text(text: str, **placed: Any) -> dict[str, Any]:
    font = {"size": 11, "color": QUIET}
    return {"text": text, "showarrow": False, "xref": "paper", "yanchor": "bottom", "font": font} | placed


def _vertical(instant: int, axis: str) -> dict[str, Any]:
    edge = {"color": INK, "width": 1.5}
    return {"type": "line", "yref": axis, "y0": 0, "y1": 1, "x0": instant, "x1": instant, "line": edge}


def _layout(since: int, until: int, inner: int, *, left: int, entries: int) -> dict[str, Any]:
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


def _extent(stays: Iterable[Stay], *instants: datetime | None) -> tuple[int, int]:
    """The first and the last instant of all that there is to draw, in milliseconds; never the same."""
    known = [instant for instant in instants if instant]
    for stay in stays:
        known += [stay.facts[name] for name in ("joined_at", "left_at") if stay.facts[name]]
        known += [instant for span in _spans(stay) for instant in span]
        known += [track.quality[name] for track in stay.tracks for name in FIRST_LAST if track.quality[name]]
        known += [window[name] for window in stay.windows for name in ("since", "until")]
    if not known:
        return 0, 60_000
    return _ms(min(known)), max(_ms(max(known)), _ms(min(known)) + 1000)


def _ends(stay: Stay, since: int, until: int, *, is_live: bool) -> tuple[int, int]:
    """Where the bar of a stay begins and ends, in milliseconds, where the source does not say it too."""
    data = [_ms(instant) for span in _spans(stay) for instant in span]
    joined, left = stay.facts["joined_at"], stay.facts["left_at"]
    first = _ms(joined) if joined else min(data, default=since)
    return first, _ms(left) if left else until if is_live else max(data, default=first)


def _spans(stay: Stay) -> Iterator[tuple[datetime, datetime]]:
    for spans in (stay.spans or {}).values():
        yield from spans


def _by_lane(stay: Stay) -> dict[str, list[tuple[datetime, datetime]]]:
    lanes: dict[str, list[tuple[datetime, datetime]]] = {}
    for kind, spans in (stay.spans or {}).items():
        lanes.setdefault(LANES[kind][0], []).extend(spans)
    return lanes


def _joined(spans: Iterable[tuple[datetime, datetime]], column: float) -> list[tuple[int, int]]:
    """Stretches in milliseconds, as one where less than a column lies between them: that could not be seen."""
    joined: list[tuple[int, int]] = []
    for since, until in sorted((_ms(since), _ms(until)) for since, until in spans):
        if joined and since - joined[-1][1] < column:
            joined[-1] = joined[-1][0], max(joined[-1][1], until)
        else:
            joined.append((since, until))
    return joined


def _noted(warnings: Iterable[Row], column: float, labels: Mapping[Any, str] | None = None) -> list[tuple[int, str]]:
    """Instants in milliseconds with what to say there; warnings of one column are one mark."""
    noted: list[tuple[int, str]] = []
    for warning in warnings:
        if warning["time"] is None:
            continue
        instant = _ms(warning["time"])
        if noted and instant - noted[-1][0] < column:
            first = noted[-1][1]
            noted[-1] = noted[-1][0], first if first.endswith(MORE) else first + MORE
            continue
        track = (labels or {}).get((warning["track_id"], warning["track_type"]))
        said = ": ".join(plain(warning[name]) for name in ("code", "warning") if warning[name])
        noted.append((instant, f"{track}, {said}" if track else said))
    return noted


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


class _Marks:
    """What a trace of marks is made of."""

    def __init__(self) -> None:
        self._x: list[int] = []
        self._y: list[float | None] = []
        self._text: list[str] = []

    def add(self, instant: int, y: float, text: str) -> None:
        self._x.append(instant)
        self._y.append(y)
        self._text.append(text)

    def trace(self, name: str, symbol: str, color: str, size: int) -> dict[str, Any]:
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


class _Stretches:
    """What a trace of lines with breaks is made of."""

    def __init__(self) -> None:
        self._x: list[int] = []
        self._y: list[float | None] = []

    def add(self, since: int, until: int, y: float) -> None:
        self._x += [since, until, until]
        self._y += [y, y, None]

    def trace(self, name: str, color: str, width: int, dash: str = "solid") -> dict[str, Any]:
        return {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": self._x,
            "y": self._y,
            "line": {"color": color, "width": width, "dash": dash, "simplify": False},
            "hoverinfo": "skip",
        }
