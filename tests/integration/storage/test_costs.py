"""What a load costs does not grow with the days that a lake holds. Requests and statements are counted, not timed."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path

import pytest

from tests.bench.lake import Counted, opened
from tests.integration.storage.conftest import S3
from tests.support.lakes import ManyDays, days_from
from tests.support.postgres import Database, Postgres

DAYS = days_from(date(2026, 11, 1), 9)
EARLY, LATE = 2, 8


@pytest.mark.slow
def test_one_more_day_costs_the_same_requests_and_statements(
    s3: S3, postgres: Postgres, database: Database, tmp_path: Path
) -> None:
    """The last day of nine needs as many as the third."""
    database.execute(f"ALTER DATABASE {database.name} SET log_statement = 'all'")
    _, warehouse = opened(tmp_path, database.setting(), s3.url)
    source = ManyDays(DAYS)
    warehouse.load(ManyDays([]), [])
    counted = Counted(postgres, s3.proxy)
    costs = [counted.cost(partial(warehouse.load, source, [day])) for day in DAYS]
    warehouse.close()
    for cost in costs:
        del cost["seconds"], cost["CPU seconds"]
    assert costs[EARLY] == costs[LATE]
    assert costs[LATE]["statements"] > 0
    assert costs[LATE]["PUT"] > 0
