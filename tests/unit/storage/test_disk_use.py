"""How many bytes there are, by day and table."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.settings import Settings
from pipeline.storage import LocalStore
from pipeline.storage.disk_use import database_bytes, disk_use, megabytes
from tests.support import DAY


def test_bytes_are_counted_by_day_and_table(tmp_path: Path) -> None:
    """Files of other days, quarantined and temporary files, and files beside the days are not of the day."""
    store, folder = LocalStore(tmp_path), f"session_date={DAY}"
    for key, size in {
        f"raw/call_stats/{folder}/a.parquet": 1,
        f"raw/call_stats/{folder}/b.parquet": 2,
        f"raw/call_stats/{folder}/c.parquet.set-aside-20261101T000000Z": 4,
        f"raw/participant_metrics/{folder}/a.parquet": 8,
        f"raw/call_stats/session_date={DAY + timedelta(days=1)}/a.parquet": 16,
        "raw/forgotten.json": 32,
        f"tables/tracks/{folder}/tracks.parquet": 64,
        f"tables/tracks/{folder}/.tracks.parquet.0.tmp": 128,
        f"tables/pruned/{folder}.json": 256,
    }.items():
        store.create(key, b"x" * size)
    use = disk_use(store)
    assert use.raw[DAY] == {"call_stats": 3, "participant_metrics": 8}
    assert use.tables[DAY] == {"tracks": 64}
    assert (use.raw_bytes(DAY), use.table_bytes(DAY)) == (11, 64)
    assert (use.raw_bytes(DAY + timedelta(days=1)), use.table_bytes(DAY + timedelta(days=1))) == (16, 0)


def test_bytes_of_the_database_are_those_of_its_files(tmp_path: Path) -> None:
    """A file counts with the writer's copy, a DuckLake with the app's files and its catalog; none is unknown."""
    settings = Settings(data=tmp_path)
    assert database_bytes(settings) is None
    store = LocalStore(tmp_path)
    store.create("warehouse.duckdb", b"123")
    store.create(".work/warehouse.duckdb", b"12345")
    assert database_bytes(settings) == 8
    for key in ("lake/main/tracks/a.parquet", "lake/store/samples/b.parquet", "lake/other/tracks/c.parquet"):
        store.create(key, b"x")
    store.create("catalog", b"123")
    assert database_bytes(Settings(data=tmp_path, warehouse_file=f"ducklake:{tmp_path / 'catalog'}")) == 5


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0.0 MB"), (12_340_000, "12.3 MB"), (5 * 10**9, "5.0 GB"), (2_500_000_000_000, "2.5 TB")]
)
def test_bytes_read_as_megabytes(size: int, text: str) -> None:
    """Large ones have a larger unit."""
    assert megabytes(size) == text
