"""Text that is safe in a Plotly figure."""

from __future__ import annotations

import html

import pytest

from pipeline.serving.report import figures
from tests.support.reports import HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_is_not_markup(text: str) -> None:
    """It contains neither tags nor entities, and reads as it was."""
    shown = figures.plain(text)
    assert "<" not in shown
    assert html.unescape(shown) == text.replace("\u2028", " ")


def test_plain_text_is_one_line_of_limited_length() -> None:
    """Line breaks and characters that turn text around become spaces."""
    assert figures.plain("a" * 30, 10) == "aaaaaaaaa…"
    assert figures.plain("a\nb\u202ec") == "a b c"
