"""The picture of a day's quality: what is drawn, and how large."""

from __future__ import annotations

from xml.etree import ElementTree

from pipeline.orchestration.day_picture import draw_day
from pipeline.quality.day import DayQuality


def shapes(quality: DayQuality, tag: str) -> list[ElementTree.Element]:
    return [shape for shape in ElementTree.fromstring(draw_day(quality)) if shape.tag.endswith(tag)]


def test_picture_divides_the_bar_among_the_classes() -> None:
    """Widths are shares of all publishers, side by side; a class without publishers is left out."""
    bars = shapes(DayQuality([{"publishers": 4, "good": 1, "poor": 3}], {}), "rect")
    assert [(float(bar.get("x", "")), float(bar.get("width", ""))) for bar in bars] == [(0, 160), (160, 480)]
    texts = shapes(DayQuality([{"publishers": 4, "good": 1, "poor": 3}], {}), "text")
    assert [text.text for text in texts] == ["1 good", "3 poor"]


def test_picture_has_a_column_per_hour_into_the_next_day() -> None:
    """Hours without camera video stay empty; those after midnight continue the axis."""
    quality = DayQuality([{"publishers": 1, "good": 1, "poor": 0}], {0: 15, 25: 30})
    _, first, last = shapes(quality, "rect")
    assert float(last.get("height", "")) == 2 * float(first.get("height", "")) == 90
    assert float(last.get("x", "")) > 600
    labels = [text.text for text in shapes(quality, "text")]
    assert labels.count("1") == 2, "25 hours after midnight it is one o'clock again"
    assert {"15", "30"} <= {*labels}
