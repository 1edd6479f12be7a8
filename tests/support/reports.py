"""What tests of the report share: what is promised and lost of the small world, and a page read as text and figures."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.schema import WINDOW_STATES
from pipeline.serving.report import Report, content
from pipeline.serving.report.find import find_session
from pipeline.serving.report.values import CallContent
from pipeline.warehouse.published import open_published
from tests.support.small_world import IDS, SmallWorld, seconds

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)

HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "<img src=http://127.0.0.1:9/ onerror=window.pwned=2>",
    "<b>bold</b> <a href='http://127.0.0.1:9/'>x</a>",
    "&lt;b&gt; &amp; %{y} {{ 7 * 7 }} ${x}",
    "\"'><svg/onload=window.pwned=3>\u2028<!--",
)
"""Texts that would be markup, scripts or templates if they were not escaped."""


def promise(world: SmallWorld, **columns: Any) -> None:
    """Add a row on the completeness of the call; complete unless `columns` say otherwise."""
    counts = {f"windows_{state}": 0 for state in WINDOW_STATES}
    counts |= {
        "windows_due": 0,
        "stays_promised": 4,
        "stays_held": 4,
        "stays_forgotten": 0,
        "windows_expected": 5,
        "windows_landed": 5,
    }
    world.rows["ingest_completeness_by_call"].append(IDS | counts | {"is_complete": True, "points": 9} | columns)


def lose_a_window(world: SmallWorld) -> None:
    """Make ann's second window fail permanently."""
    stay = {"user_id": "ann", "user_session_id": "ann", "since": seconds(700), "until": seconds(900)}
    world.rows["windows"].append(IDS | stay | {"state": "failed", "error": "502"})
    promise(world, is_complete=False, windows_due=1, windows_failed=1, windows_landed=4)


def read_call(path: Path, participant: str | None = None) -> CallContent:
    """Return what a page shows of the small world's call."""
    with open_published(path) as database:
        return content.read(database, find_session(database, "s1"), participant)


def text_of(report: Report) -> str:
    """Return the page without scripts, styles and tags."""
    bare = re.sub(r"(?s)<(script|style)\b.*?</\1>|<[^>]*>", " ", report.html.decode())
    return " ".join(html.unescape(bare).split())


def figures_of(report: Report) -> dict[str, Any]:
    """Return the figures of the page, by the id of their element."""
    (found,) = re.findall(r'(?s)<script type="application/json" id="figures">(.*?)</script>', report.html.decode())
    return json.loads(found)
