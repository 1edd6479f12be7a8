"""The sentences of the page: what is missing, what is notable, what is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.serving import report
from pipeline.serving.report import sentences
from tests.support.reports import NOW, promise, read_call, text_of
from tests.support.small_world import SmallWorld, seconds


def test_findings_name_what_is_notable(published: Callable[[], Path]) -> None:
    """Who is poor and why, for how long and when most, who came back, and what the source warned about."""
    assert sentences.findings(read_call(published())) == [
        "Poor due to low framerate: ann.",
        "ann, camera: under 7 frames per second for 4 min 05 s of 16 min 40 s; worst from 00:05 to 00:10 UTC.",
        "More than one stay: bob (2).",
        "2 warnings from the source: 2 × X.",
    ]
    assert sentences.findings(read_call(published(), "cleo")) == ["Nothing unusual was found in the stored data."]


def test_complete_call_has_no_problem(world: SmallWorld, published: Callable[[], Path]) -> None:
    """The page calls it complete, and no sentence says that anything is missing."""
    promise(world)
    made = report.make(published(), "s1", None, NOW)
    assert made.problems == ()
    assert "✓ Complete" in text_of(made)
    assert "Incomplete" not in text_of(made)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ({"windows_due": 2, "windows_missing": 2}, "2 windows have no final response (2 not requested yet)."),
        ({"windows_due": 1, "windows_failed": 1}, "1 window has no final response (1 failed after all retries)."),
        ({"windows_due": 3}, "3 windows have no final response."),
        ({"windows_suspect": 1}, "1 window has timestamps that cannot be right."),
        ({"stays_promised": 7}, "4 of 7 stays are stored."),
        ({}, "The participants have not been listed in full since the call's report."),
    ],
)
def test_page_says_what_is_missing(
    world: SmallWorld, published: Callable[[], Path], missing: dict[str, int], expected: str
) -> None:
    """The page does not look complete if the call is not."""
    promise(world, is_complete=False, **missing)
    made = report.make(published(), "s1", None, NOW)
    assert [line for line in made.problems if line.startswith(expected)]
    assert f"⚠ Incomplete: parts of this call are missing. {expected}" in text_of(made)


def test_call_without_a_certificate_is_not_complete(published: Callable[[], Path]) -> None:
    """A call without a row on its completeness is not called complete."""
    assert report.make(published(), "s1", None, NOW).problems == (
        "The database does not say how complete the call is.",
    )


def test_live_call_is_not_complete(world: SmallWorld, published: Callable[[], Path]) -> None:
    """The page says when the call was last fetched, and who is still there."""
    world.rows["call_sessions"].clear()
    world.call(ended_at=None, is_live=True, generated_at=seconds(900))
    world.stay("dan", 30, None)
    promise(world, is_complete=False)
    made = report.make(published(), "s1", None, NOW)
    assert made.problems == (
        "The call was still live when last fetched, at 2026-11-01 00:15 UTC; later data is not stored.",
    )
    assert "still there" in text_of(made)


def test_live_call_that_everyone_has_left_is_not_complete(world: SmallWorld, published: Callable[[], Path]) -> None:
    """Nothing else is missing, so the page says only that the call was still live."""
    world.rows["call_sessions"].clear()
    world.call(ended_at=None, is_live=True, generated_at=None)
    promise(world, is_complete=False)
    made = report.make(published(), "s1", None, NOW)
    assert made.problems == ("The call was still live when last fetched; later data is not stored.",)
    assert "⚠ Incomplete: parts of this call are missing. The call was still live" in text_of(made)


def test_page_says_what_cannot_be_fetched(world: SmallWorld, published: Callable[[], Path]) -> None:
    """The call is complete, since nothing is left to fetch. The page still says what is not stored."""
    promise(world, windows_gone=1, stays_forgotten=2)
    shown = text_of(report.make(published(), "s1", None, NOW))
    assert "The source does not know 1 of 5 windows." in shown
    assert "2 stays of people who were erased on request are left out." in shown
