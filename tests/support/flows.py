"""What tests of whole runs share: run days, and compare the published database with the truth."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

from pipeline.flow import Flow
from tests.support import Truth, differences, rows_in


def run(flow: Flow, *days: date) -> None:
    """All steps for some days."""
    for day in days:
        flow.extract.call_stats(day)
        flow.extract.participant_sessions(day)
        flow.extract.participant_stats(day)
        flow.extract.participant_metrics(day)
        flow.build_tables(day)
        flow.load([day])


def days_from(first: date, count: int) -> list[date]:
    return [first + timedelta(days=offset) for offset in range(count)]


def published(flow: Flow, table: str) -> Counter[tuple[Any, ...]]:
    """The rows of a table of the published database, counted, columns in the order of the contract."""
    return rows_in(flow.settings.warehouse, table)


def assert_published(flow: Flow, truth: Truth, *, but: tuple[str, ...] = ()) -> None:
    """The published tables hold what the source has, row by row: nothing missing, nothing extra."""
    assert not list(differences(flow.settings.warehouse, flow.landing, truth, but=but))
