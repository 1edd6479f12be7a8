"""Iceberg: other engines can register the files of the tables as they are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.schema import TABLES
from pipeline.tables.lake import Lake
from tests.support import DAY
from tests.unit.tables.test_lake import rows

pytest.importorskip("pyiceberg", reason="pyiceberg is not installed (extra dev)")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("table", TABLES)
def test_iceberg_reads_a_registered_day_right(table: str, tmp_path: Path) -> None:
    """A filter on the date finds the rows, by the statistics of the files; without them it finds none, in silence."""
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.expressions import EqualTo
    from pyiceberg.transforms import IdentityTransform

    lake = Lake(tmp_path / "tables")
    days = [DAY, DAY + timedelta(days=1)]
    for number, day in enumerate(days, start=2):
        content = rows(table, number)
        dates = content.column("session_date").to_pylist()
        moved = content.set_column(0, content.schema.field(0), [[day] * len(dates)])
        with lake.writer(table, day, "f1") as writer:
            writer.write(moved)
    catalog = SqlCatalog("test", uri=f"sqlite:///{tmp_path / 'catalog.db'}", warehouse=f"file://{tmp_path}/iceberg")
    try:
        catalog.create_namespace("calls")
        registered = catalog.create_table(f"calls.{table}", TABLES[table].schema)
        with registered.update_spec() as spec:
            spec.add_field("session_date", IdentityTransform(), "session_date")
        registered.add_files([str(lake.path(table, day)) for day in days])
        for number, day in enumerate(days, start=2):
            found = registered.scan(row_filter=EqualTo("session_date", day)).to_arrow()
            assert found.num_rows == number
            last = TABLES[table].schema.names[-1]
            assert found.column(last).to_pylist() == lake.read(table, day).column(last).to_pylist()
        assert registered.scan().to_arrow().num_rows == 5
    finally:
        catalog.engine.dispose()
