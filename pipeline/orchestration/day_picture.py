"""The picture of a day's quality, as SVG: publishers by class, and the frame rate by hour.

What Dagster shows around it is in `day_quality`; what the figures mean is in `quality.day`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from pipeline.quality.day import DayQuality

__all__ = ["draw_day"]

GOOD, POOR, UNCLASSIFIED, INK = "#46a485", "#8f3d56", "#c4c4c4", "#8a8a8a"
"""Colours that are legible on a light page and on a dark one."""

WIDTH = 640
BAR_HEIGHT = 18
BAR_ONLY_HEIGHT = 40
FULL_HEIGHT = 190
COLUMN_BASE = 170
"""Baseline of the columns, in pixels from the top."""
COLUMN_HEIGHT = 90
MIN_SCALE_TOP = 30
"""Frames per second that the highest column stands for at least, so that low rates look low."""


def draw_day(quality: DayQuality) -> str:
    """Return an SVG: one bar with all publishers (there must be one), and a column per hour with camera video."""
    height = FULL_HEIGHT if quality.framerate_by_hour else BAR_ONLY_HEIGHT
    shapes = [*_publishers(quality), *_framerates(quality.framerate_by_hour)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="11">{"".join(shapes)}</svg>'
    )


def _publishers(quality: DayQuality) -> Iterator[str]:
    x = 0.0
    for count, colour, name in (
        (quality.good, GOOD, "good"),
        (quality.poor, POOR, "poor"),
        (quality.unclassified, UNCLASSIFIED, "unclassified"),
    ):
        share = WIDTH * count / quality.publishers
        if count:
            yield _rectangle(x, 0, share, BAR_HEIGHT, colour)
            anchor, place = ("end", WIDTH) if x + share >= WIDTH and x > WIDTH / 2 else ("start", x)
            yield _text(place, 32, f"{count} {name}", anchor)
        x += share


def _framerates(by_hour: Mapping[int, int]) -> Iterator[str]:
    if not by_hour:
        return
    columns = min(48, max(24, *(hour + 1 for hour in by_hour)))  # calls may go on into the next day
    step, top = WIDTH / columns, max(MIN_SCALE_TOP, *by_hour.values())
    yield _text(0, 56, "frames per second that 5 % of all camera time does not exceed, by hour (UTC)")
    for hour in range(columns):
        middle = (hour + 0.5) * step
        yield _text(middle, COLUMN_BASE + 14, f"{hour % 24}", "middle")
        if hour in by_hour:
            tall = max(1.0, COLUMN_HEIGHT * by_hour[hour] / top)
            yield _rectangle(hour * step + 2, COLUMN_BASE - tall, step - 4, tall, GOOD)
            yield _text(middle, COLUMN_BASE - tall - 4, f"{by_hour[hour]}", "middle")


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="{anchor}">{escape(text)}</text>'
