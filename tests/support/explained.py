"""A source with two days of publishers' stays, of which those of one client version get worse; for whole warehouses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from tests.support import DAY
from tests.support.lakes import ManyDays
from tests.support.small_world import steady

__all__ = ["AFTER", "BEFORE", "Worse"]

BEFORE, AFTER = DAY, DAY + timedelta(days=1)


class Worse(ManyDays):
    """Publishers of two days, and one who publishes nothing. One of ten is poor; on the second day so is version 2.0.

    A third of the people have version 2.0 of the client; a quarter have no known network.
    """

    def __init__(self, people: int = 60) -> None:
        super().__init__([BEFORE, AFTER], people=0)
        for number in range(people):
            user = f"user-{number}"
            self.stay(
                user,
                network_type=None if number % 4 == 0 else "wifi",
                country=("Norway", "Chile")[number % 2],
                client_name="web",
                client_version="2.0" if number % 3 == 0 else "1.0",
                current_sfu=("sfu-1", "sfu-2")[number // 7 % 2],
            )
            self.track(steady(0, 60, framerate=3 if number % 10 == 1 else 30), user_id=user, user_session_id=user)
        self.stay("mute")
        self.worse = {f"user-{number}" for number in range(0, people, 3)}

    def chunks(self, table: str, day: date, **given: Any) -> Iterator[pa.Table]:
        """Yield the rows of a day."""
        kept = self.rows[table]
        if day == AFTER and table == "metric_points":
            self.rows[table] = [
                row | {"value": 3.0} if row["metric"] == "framerate" and row["user_id"] in self.worse else row
                for row in kept
            ]
        yield from super().chunks(table, day, **given)
        self.rows[table] = kept
