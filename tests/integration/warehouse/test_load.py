"""Loading: what the published database contains beside the rows."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pyarrow as pa

from pipeline.emulator import Emulator, ManualClock
from pipeline.flow import Flow
from pipeline.schema import TABLES
from tests.support.flows import AFTERWARDS, DAY, WORLD


def test_published_tables_have_the_comments_of_the_contract(flow_for: Callable[..., Flow]) -> None:
    """Every table and column has its comment and every instant its type, also in the view of points."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
    with duckdb.connect(str(flow.settings.warehouse), read_only=True) as database:
        columns = {
            (table, column): comment
            for table, column, comment in database.execute(
                "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'main'"
            ).fetchall()
        }
    for table in TABLES.values():
        for name in table.schema.names:
            assert columns[table.name, name] == table.comment_of(name)
            assert pa.types.is_timestamp(table.schema.field(name).type) == (
                name.endswith("_at") or name in ("timestamp", "time", "since", "until")
            )
