"""How good the calls of a day were, as metadata: numbers that Dagster plots over the days, a short list, a picture.

The figures are those of the views in the published database, and `quality.day` reads them. The picture is drawn in
`day_picture`. They are an extra: if something goes wrong here, the run continues without them.
"""

from __future__ import annotations

import base64
import logging
from datetime import date
from typing import Any

import dagster as dg

from pipeline.flow import Flow
from pipeline.orchestration.day_picture import draw_day
from pipeline.orchestration.markdown import escaped
from pipeline.quality.day import DayQuality

__all__ = ["describe_quality", "quality_metadata"]

WORST_CALLS = 5
"""Calls in the list."""


def quality_metadata(flow: Flow, day: date, log: logging.Logger) -> dict[str, Any]:
    """Return metadata for the materialization of a day. It is empty if the figures cannot be read; `log` says why."""
    try:
        return describe_quality(flow.day_quality(day))
    except Exception as error:  # noqa: BLE001 - whatever it is, the day is loaded
        log.warning("the quality of %s is not shown: %s", day, error)
        return {}


def describe_quality(quality: DayQuality) -> dict[str, Any]:
    """Return the quality of a day as metadata. A day without publishers has no picture."""
    summary = (
        f"{quality.publishers} publishers in {len(quality.calls)} calls: {quality.good} good, {quality.poor} poor, "
        f"{quality.unclassified} unclassified"
    )
    # Two texts: Dagster shows a text at once only if it has less than a thousand characters.
    texts = {"quality": dg.MetadataValue.md("\n\n".join([f"{summary}.", *_worst_calls(quality)]))}
    if quality.publishers:
        picture = base64.b64encode(draw_day(quality).encode()).decode()
        texts["quality_picture"] = dg.MetadataValue.md(f"![{summary}](data:image/svg+xml;base64,{picture})")
    return _numbers(quality) | texts


def _numbers(quality: DayQuality) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "publishers": quality.publishers,
        "publishers_good": quality.good,
        "publishers_poor": quality.poor,
        "publishers_unclassified": quality.unclassified,
    }
    if classified := quality.good + quality.poor:
        numbers["publishers_poor_share"] = quality.poor / classified
    if quality.framerate_by_hour:
        numbers["framerate_p5_of_worst_hour"] = min(quality.framerate_by_hour.values())
    return numbers


def _worst_calls(quality: DayQuality) -> list[str]:
    """Return a Markdown table of the calls with most poor publishers, or nothing if no publisher is poor."""
    rows = [
        f"| {escaped(call['call_type'] + ':' + call['call_id'])} | {call['poor']} of {call['publishers']} | "
        f"{'–' if call['framerate_p5'] is None else round(call['framerate_p5'])} |"
        for call in quality.calls[:WORST_CALLS]
        if call["poor"]
    ]
    return ["\n".join(["| worst calls | poor publishers | lowest p5 fps |", "|---|---|---|", *rows])] if rows else []
