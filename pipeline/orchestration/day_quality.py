"""How good the calls of a day were, as Dagster shows it: numbers that it plots over the days, a picture, a short list.

The figures are those of the views in the published database; what they mean is said there. A picture is not worth a
run: where something goes wrong here, there is none.
"""

from __future__ import annotations

import base64
import logging
import re
from datetime import date
from typing import Any
from xml.sax.saxutils import escape

import dagster as dg

from pipeline.flow import Flow
from pipeline.quality.day import DayQuality

__all__ = ["quality_metadata"]

WORST = 5
"""Calls in the list."""

GOOD, POOR, UNCLASSIFIED, INK = "#46a485", "#8f3d56", "#c4c4c4", "#8a8a8a"
"""Colours that read on a light page and on a dark one."""


def quality_metadata(flow: Flow, day: date, log: logging.Logger) -> dict[str, Any]:
    """Metadata for the materialization of a day; empty, and said so in `log`, where it cannot be had."""
    try:
        return _metadata(flow.day_quality(day))
    except Exception as error:  # noqa: BLE001 - whatever it is, the day is loaded
        log.warning("the quality of %s is not shown: %s", day, error)
        return {}


def _metadata(quality: DayQuality) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "publishers": quality.publishers,
        "publishers_good": quality.good,
        "publishers_poor": quality.poor,
        "publishers_unclassified": quality.unclassified,
    }
    if judged := quality.good + quality.poor:
        numbers["publishers_poor_share"] = quality.poor / judged
    if quality.framerate_by_hour:
        numbers["framerate_p5_of_worst_hour"] = min(quality.framerate_by_hour.values())
    summary = (
        f"{quality.publishers} publishers in {len(quality.calls)} calls: {quality.good} good, {quality.poor} poor, "
        f"{quality.unclassified} unclassified"
    )
    # Two texts: Dagster shows one of less than a thousand characters at once, a longer one when it is asked to.
    shown = {"quality": dg.MetadataValue.md("\n\n".join([f"{summary}.", *_worst_calls(quality)]))}
    if quality.publishers:
        picture = base64.b64encode(_picture(quality).encode()).decode()
        shown["quality_picture"] = dg.MetadataValue.md(f"![{summary}](data:image/svg+xml;base64,{picture})")
    return numbers | shown


def _worst_calls(quality: DayQuality) -> list[str]:
    rows = [
        f"| {_plain(call['call_type'] + ':' + call['call_id'])} | {call['poor']} of {call['publishers']} | "
        f"{'–' if call['framerate_p5'] is None else round(call['framerate_p5'])} |"
        for call in quality.calls[:WORST]
        if call["poor"]
    ]
    return ["\n".join(["| worst calls | poor publishers | lowest p5 fps |", "|---|---|---|", *rows])] if rows else []


def _plain(text: str) -> str:
    """Text that someone chose, with nothing in it that Markdown would read as its own."""
    short = text if len(text) <= 60 else f"{text[:59]}…"
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(short.split()))


def _picture(quality: DayQuality) -> str:
    """An SVG: the publishers as one bar, and a column an hour for the frame rate."""
    hours = quality.framerate_by_hour
    columns = min(48, max(24, *(hour + 1 for hour in hours))) if hours else 0
    width, height = 640, 190 if columns else 40
    shapes = []
    x = 0.0
    for count, colour, name in (
        (quality.good, GOOD, "good"),
        (quality.poor, POOR, "poor"),
        (quality.unclassified, UNCLASSIFIED, "unclassified"),
    ):
        share = width * count / quality.publishers
        if count:
            shapes.append(f'<rect x="{x:.1f}" y="0" width="{share:.1f}" height="18" fill="{colour}"/>')
            anchor, place = ("end", width) if x + share >= width and x > width / 2 else ("start", x)
            shapes.append(_text(place, 32, f"{count} {name}", anchor))
        x += share
    if columns:
        step, base, top = width / columns, 170, max(30, *hours.values())
        shapes.append(_text(0, 56, "frames per second that 5 % of all camera time does not exceed, by hour (UTC)"))
        for hour in range(columns):
            middle = (hour + 0.5) * step
            shapes.append(_text(middle, base + 14, f"{hour % 24}", "middle"))
            if hour in hours:
                tall = max(1.0, 90 * hours[hour] / top)
                shapes.append(
                    f'<rect x="{hour * step + 2:.1f}" y="{base - tall:.1f}" width="{step - 4:.1f}" '
                    f'height="{tall:.1f}" fill="{GOOD}"/>'
                )
                shapes.append(_text(middle, base - tall - 4, f"{hours[hour]}", "middle"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        f'font-size="11">{"".join(shapes)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="{anchor}">{escape(text)}</text>'
