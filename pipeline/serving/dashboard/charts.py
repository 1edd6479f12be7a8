"""The charts, as Altair draws them: from the rows of a query to a chart. Where they are placed is in `app`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import altair as alt

from pipeline.serving.dashboard.columns import COLUMNS
from pipeline.serving.formatting import percent, share

__all__ = ["poor_share_by_segment", "publishers_by_day", "video_by_minute"]

Row = Mapping[str, Any]

CLASS_COLORS = {"poor": "#a8324a", "good": "#6fb98f", "unclassified": "#c4c4c4"}
"""Classes in the order of the stacks. Their colours differ in lightness too."""

MAX_LABELLED_DAYS = 20
"""Days up to which each bar shows its share of poor publishers."""


def publishers_by_day(days: Sequence[Row]) -> Any:
    """Return publishers by day and class, stacked, with the share of poor ones above. A day without data has a "?"."""
    day_axis = alt.X("session_date:O", title="day (UTC)", axis=alt.Axis(labelAngle=0, labelOverlap="greedy"))
    stacks = (
        alt.Chart(_values(_by_class(days)))
        .mark_bar()
        .encode(
            x=day_axis,
            y=alt.Y("count:Q", title="publishers", stack="zero"),
            color=alt.Color(
                "class:N",
                title=None,
                scale=alt.Scale(domain=list(CLASS_COLORS), range=list(CLASS_COLORS.values())),
                legend=alt.Legend(orient="top"),
            ),
            order="place:Q",
            tooltip=_tooltips("session_date", "poor_publishers", "good_publishers", "unclassified_publishers"),
        )
    )
    labels = alt.Chart(_values(_day_labels(days))).mark_text(dy=-7, fontSize=11)
    return alt.layer(stacks, labels.encode(x=day_axis, y="top:Q", text="text:N"))


def poor_share_by_segment(segments: Sequence[Row]) -> Any:
    """Return the share of poor tracks by segment, with its interval."""
    base = alt.Chart(_values(segments)).encode(
        y=alt.Y("segment:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)),
        tooltip=_tooltips("segment", "poor_share", "poor_share_low", "poor_share_high", "n"),
    )
    axis = alt.Axis(format="%", title="share of poor tracks")
    interval = base.mark_rule(size=2, color="#888888").encode(
        x=alt.X("poor_share_low:Q", axis=axis, scale=alt.Scale(domain=[0, 1])), x2="poor_share_high:Q"
    )
    share = base.mark_point(filled=True, size=90, color=CLASS_COLORS["poor"], opacity=1).encode(
        x=alt.X("poor_share:Q", axis=axis)
    )
    return interval + share


def video_by_minute(minutes: Sequence[Row]) -> Iterator[Any]:
    """Yield frame rate and bitrate over time, one line per user and kind of video. Lines break if data is missing."""
    base = alt.Chart(_values(minutes)).encode(
        x=alt.X("minute:T", title="time (UTC)", scale=alt.Scale(type="utc"), axis=alt.Axis(format="%H:%M")),
        color=alt.Color("user_id:N", title="user", scale=alt.Scale(scheme="tableau10")),
        shape=alt.Shape("user_id:N", title="user"),
        strokeDash=alt.StrokeDash(
            "track_kind:N",
            title="kind",
            scale=alt.Scale(domain=["camera", "screen share"], range=[[1, 0], [5, 3]]),
            legend=None,
        ),
        tooltip=[
            alt.Tooltip("utchoursminutes(minute):T", title="time (UTC)", format="%H:%M"),
            *_tooltips("user_id", "track_kind"),
            alt.Tooltip("framerate:Q", title="frames per second"),
            alt.Tooltip("kbit_per_s:Q", title="kbit/s"),
        ],
    )
    for column, title in (("framerate", "frames per second"), ("kbit_per_s", "kbit/s")):
        lines = base.mark_line(invalid="break-paths-show-domains", point=alt.OverlayMarkDef(size=22)).encode(
            y=alt.Y(f"{column}:Q", title=title, scale=alt.Scale(zero=True))
        )
        yield lines.configure_legend(orient="bottom", columns=10)


def _by_class(days: Sequence[Row]) -> Iterator[dict[str, Any]]:
    for day in days:
        for place, name in enumerate(CLASS_COLORS):
            yield {**day, "class": name, "count": day[f"{name}_publishers"] or 0, "place": place}


def _day_labels(days: Sequence[Row]) -> Iterator[dict[str, Any]]:
    for day in days:
        text = "" if day["calls"] else "?"
        if day["calls"] and len(days) <= MAX_LABELLED_DAYS:
            poor, good = day["poor_publishers"], day["good_publishers"]
            text = percent(share(poor, poor + good))
        top = sum(day[f"{name}_publishers"] or 0 for name in CLASS_COLORS)
        yield {"session_date": day["session_date"], "top": top, "text": text}


def _tooltips(*names: str) -> list[alt.Tooltip]:
    tooltips = []
    for name in names:
        column = COLUMNS[name]
        if form := {"percent": ".1%", "%d": ",d"}.get(column.form):
            tooltips.append(alt.Tooltip(f"{name}:Q", title=column.label, format=form))
        else:
            tooltips.append(alt.Tooltip(f"{name}:N", title=column.label))
    return tooltips


def _values(rows: Iterable[Row]) -> dict[str, Any]:
    """Return rows as the data of a chart. Days and instants are text that contains the zone."""
    return {
        "values": [
            {name: value.isoformat() if isinstance(value, date | datetime) else value for name, value in row.items()}
            for row in rows
        ]
    }
