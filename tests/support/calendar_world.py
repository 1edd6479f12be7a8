"""Several days of calls written by hand, each day a `SmallWorld`, to be loaded into any kind of warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.catalog import LakeCatalog
from pipeline.settings import Settings
from pipeline.warehouse.choice import choose_turns, choose_warehouse
from tests.support import DAY
from tests.support.small_world import SmallWorld

__all__ = ["Calendar"]


@dataclass
class Calendar:
    """A source of days. Every day is written as if it were `DAY`, and moved when it is added.

    The table `without` was never made.
    """

    worlds: dict[date, SmallWorld] = field(default_factory=dict)
    without: str | None = None

    def add(self, world: SmallWorld, *, days_before: int = 0) -> None:
        """Add a day, so many days before `DAY`."""
        moved, back = SmallWorld(), timedelta(days=days_before)
        for name, rows in world.rows.items():
            moved.rows[name] = [{key: _earlier(value, back) for key, value in row.items()} for row in rows]
        self.worlds[DAY - back] = moved

    def publish(self, settings: Settings) -> None:
        """Load all days into the warehouse of some settings, and publish it."""
        settings.work.mkdir(parents=True, exist_ok=True)
        warehouse = choose_warehouse(
            settings.warehouse,
            settings.work / "writer.duckdb",
            turns=choose_turns(settings.warehouse, settings.location, settings.work / "locks"),
            owner=lambda: "the test",
            thresholds=settings.data / "quality_thresholds.csv",
            work=settings.work,
        )
        warehouse.load(self, self.days())
        if isinstance(settings.warehouse, LakeCatalog):
            warehouse.close()

    # The protocol `pipeline.warehouse.load.Source`.

    def fingerprint(self, table: str, day: date) -> str | None:
        return "made by hand" if day in self.worlds and table != self.without else None

    def read(self, table: str, day: date) -> pa.Table:
        return self.worlds[day].read(table, day)

    def chunks(self, table: str, day: date, **given: Any) -> Iterator[pa.Table]:
        yield from self.worlds[day].chunks(table, day, **given)

    def days(self) -> list[date]:
        return sorted(self.worlds)


def _earlier(value: Any, back: timedelta) -> Any:
    return value - back if isinstance(value, date | datetime) else value
