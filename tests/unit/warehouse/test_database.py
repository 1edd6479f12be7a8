"""The writer's database: its transactions."""

import time
import weakref

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.warehouse.database import insert_rows, transaction


def test_inserted_rows_are_not_kept_until_the_transaction_ends() -> None:
    """The memory of rows is free once they are inserted, so a day of any size can be loaded in one transaction."""
    with duckdb.connect() as database:
        database.execute("CREATE TABLE numbers (first DOUBLE, second DOUBLE)")
        with transaction(database):
            values = np.arange(3.0)
            kept = weakref.ref(values)
            insert_rows(database, "numbers", pa.table({"second": values, "first": values + 10}))
            del values
            # A thread of DuckDB may hold them for a moment longer than the statement runs.
            deadline = time.monotonic() + 10
            while kept() is not None:
                assert time.monotonic() < deadline, "the rows are kept"
                time.sleep(0.001)
        assert database.execute("FROM numbers").fetchall() == [(10.0, 0.0), (11.0, 1.0), (12.0, 2.0)]
