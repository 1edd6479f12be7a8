"""Days that are removed from a database, of either kind: they are gone, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.schema import TABLES
from pipeline.sql import adapted
from pipeline.warehouse.published import open_published
from tests.bench.lake import opened
from tests.support import DAY
from tests.support.lakes import ManyDays, days_from

DAYS = days_from(DAY, 3)
INTERNAL = ("loaded", "series", "samples", "track_statistics", "track_spans")


@pytest.mark.parametrize("kind", ["file", "lake"])
def test_dropped_days_are_gone_and_the_others_stay(tmp_path: Path, kind: str) -> None:
    """Every table loses them at once; a day that is not there is no error; a new file is made without them."""
    setting = None if kind == "file" else f"ducklake:{tmp_path / 'catalog.ducklake'}"
    place, warehouse = opened(tmp_path, setting)
    source = ManyDays(DAYS)

    def days() -> dict[str, set[object]]:
        found = {}
        with open_published(place) as database:
            for table in (*TABLES, *(f"store.{name}" for name in INTERNAL)):
                rows = database.execute(adapted(database, f"SELECT DISTINCT session_date FROM {table}")).fetchall()
                if rows:
                    found[table] = {day for (day,) in rows}
        return found

    warehouse.load(source, DAYS)
    before = days()
    assert set(before) >= {"call_sessions", "metric_points", "store.samples", "store.track_spans"}
    dropped = warehouse.load(source, [], drop=[DAYS[0], DAYS[1], days_from(DAY, 9)[-1]])
    assert (dropped.dropped, dropped.published) == (DAYS[:2], True)
    assert days() == {table: {DAYS[2]} for table in before}
    again = warehouse.load(source, [], drop=DAYS[:2])
    assert (again.dropped, again.published) == ([], False)
    warehouse.load(source, DAYS[:1])
    assert days() == {table: {DAYS[0], DAYS[2]} for table in before}
    if kind == "file":
        Path(f"{place}").unlink()
        warehouse.load(source, [], drop=DAYS[1:])
        assert days() == {table: {DAYS[0]} for table in before}
