"""Two deployments that were given the same place by mistake: one data root with two lakes, one lake with two roots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.errors import FixStorage
from pipeline.flow import Flow
from pipeline.warehouse.ducklake import DuckLake
from tests.support.flows import AFTERWARDS, DAY, WORLD, assert_published
from tests.support.lakes import files, lake_of
from tests.support.postgres import Database, Postgres

FOREIGN_FILES = "belong to another lake than .*; set CALL_METRICS_WAREHOUSE to that one, or CALL_METRICS_DATA to"


@pytest.mark.slow
def test_second_lake_on_a_data_root_is_refused(
    flow_for: Callable[..., Flow], postgres: Postgres, database: Database
) -> None:
    """It publishes and cleans nothing, and the first one goes on with what the second one has fetched."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        first = flow_for(source, warehouse_file=database.setting())
        first.run(DAY)
        before = files(lake_of(first.settings))
        second = flow_for(source, warehouse_file=postgres.create_database().setting())
        assert isinstance(second.warehouse, DuckLake)
        for attempt in (
            lambda: second.run(DAY),
            second.clean_lake,
            lambda: second.warehouse.clean(timedelta(0), grace=timedelta(seconds=-5)),
            second.warehouse.remove_everything_old,
            lambda: second.rebuild([DAY]),
        ):
            with pytest.raises(FixStorage, match=FOREIGN_FILES) as refused:
                attempt()
            assert "\n" not in str(refused.value)
        assert second.requests_sent == {"call_stats": 1}
        assert files(lake_of(first.settings)) == before
        again = flow_for(source, warehouse_file=database.setting())
        assert again.run(DAY).is_complete
        assert_published(again, source.expected_rows())


@pytest.mark.slow
def test_new_lake_takes_the_place_of_one_that_is_gone(
    flow_for: Callable[..., Flow], postgres: Postgres, database: Database
) -> None:
    """Once the file is deleted that the sentence names."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        first = flow_for(source, warehouse_file=database.setting())
        first.run(DAY)
        second = flow_for(source, warehouse_file=postgres.create_database().setting())
        with pytest.raises(FixStorage, match="if that lake is gone for good, delete ") as refused:
            second.run(DAY)
        Path(str(refused.value).partition("delete ")[2].rstrip(")")).unlink()
        assert second.run(DAY).is_complete
        assert_published(second, source.expected_rows())
        with pytest.raises(FixStorage, match=FOREIGN_FILES):
            first.load([DAY], rebuild=True)


def test_second_data_root_on_a_lake_is_refused(
    flow_for: Callable[..., Flow], database: Database, tmp_path: Path
) -> None:
    """What it fetched has landed under its own root, and goes into a lake of its own later."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        first = flow_for(source, warehouse_file=database.setting())
        first.run(DAY)
        second = flow_for(source, warehouse_file=database.setting(), data=tmp_path / "other")
        with pytest.raises(FixStorage, match=r"; set CALL_METRICS_") as refused:
            second.run(DAY)
        assert "\n" not in str(refused.value)
        assert_published(first, source.expected_rows())
        assert first.run(DAY).is_complete
        own = flow_for(source, warehouse_file=f"ducklake:{tmp_path}/own.ducklake", data=tmp_path / "other")
        assert own.run(DAY).is_complete
        assert own.requests_sent == {"call_stats": 1}
        assert_published(own, source.expected_rows())
