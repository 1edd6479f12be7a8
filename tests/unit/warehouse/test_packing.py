"""Packing samples: what DuckDB computes from ticks are the instants that went in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.schema import METRICS
from pipeline.warehouse.database import open_writer
from pipeline.warehouse.packing import pack_samples

DAY = date(2026, 11, 1)
TEN = datetime(2026, 11, 1, 10, tzinfo=UTC)
CAMERA, MICROPHONE = METRICS, ("bitrate",)


def samples_of(*series: tuple[list[timedelta], tuple[str, ...]]) -> pa.Table:
    """Return samples of some series, numbered from 7: the instants of each after ten o'clock, and its metrics."""
    rows = [
        {"session_date": DAY, "series_id": number, "timestamp": TEN + after, "interval_seconds": 1.0}
        | {metric: float(place) if metric in metrics else None for metric in METRICS}
        for number, (instants, metrics) in enumerate(series, start=7)
        for place, after in enumerate(instants)
    ]
    schema = [("session_date", pa.date32()), ("series_id", pa.int64()), ("timestamp", pa.timestamp("us", "UTC"))]
    return pa.Table.from_pylist(
        rows, pa.schema([*schema, *((name, pa.float64()) for name in (*METRICS, "interval_seconds"))])
    )


def seconds(*after: float) -> list[timedelta]:
    return [timedelta(seconds=one) for one in after]


EVEN = seconds(*range(0, 50, 5))
RANDOM = [
    timedelta(microseconds=int(one)) for one in np.unique(np.random.default_rng(1).integers(0, 3_600_000_000, 500))
]


@pytest.mark.parametrize(
    "instants",
    [
        [EVEN, EVEN],
        [seconds(0, 5, 20, 25), seconds(2, 7)],
        [seconds(3), seconds(4), EVEN],
        [seconds(0.000001, 0.000003), seconds(0, 0.123, 7)],
        [RANDOM, EVEN, RANDOM],
        [[timedelta(days=-9000), timedelta(days=9000), timedelta(days=20000)], EVEN],  # no step may overflow
    ],
    ids=["even", "gap", "single", "micros", "random", "decades"],
)
@pytest.mark.parametrize("kinds", [(CAMERA, CAMERA, CAMERA), (CAMERA, MICROPHONE, CAMERA)], ids=["alike", "mixed"])
def test_database_gives_the_samples_that_went_in(
    kinds: tuple[tuple[str, ...], ...], instants: list[list[timedelta]], tmp_path: Path
) -> None:
    """All columns are the same to the microsecond, whatever the steps are."""
    samples = samples_of(*zip(instants, kinds, strict=False))
    packed = pack_samples(samples)  # noqa: F841 - DuckDB reads it
    with open_writer(tmp_path / "writer.duckdb", "") as database:
        database.execute("INSERT INTO store.samples BY NAME SELECT * FROM packed")
        names = ", ".join(f'"{name}"' for name in samples.column_names)
        found = database.execute(f'SELECT {names} FROM store.samples ORDER BY series_id, "timestamp"')
        assert found.to_arrow_table().to_pylist() == samples.to_pylist()


def test_series_with_the_same_metrics_are_next_to_each_other() -> None:
    """Their samples stay together and in order."""
    packed = pack_samples(samples_of((EVEN, CAMERA), (EVEN, MICROPHONE), (EVEN, CAMERA), (EVEN, MICROPHONE)))
    assert packed.column("series_id").to_pylist()[:: len(EVEN)] == [8, 10, 7, 9]
    assert packed.column("bitrate").to_pylist() == [*range(len(EVEN))] * 4


def test_ticks_of_even_series_grow_by_one_from_row_to_row() -> None:
    """So DuckDB stores them as next to nothing, also if series begin at different times and have different steps."""
    packed = pack_samples(samples_of((EVEN, CAMERA), (seconds(1, 4, 7), CAMERA), (seconds(*range(60)), MICROPHONE)))
    assert packed.column("tick").to_pylist() == [*range(packed.num_rows)]


def test_no_samples_are_no_rows() -> None:
    """A day without data points has the same columns."""
    empty = pack_samples(samples_of((EVEN, CAMERA)).slice(0, 0))
    assert empty.num_rows == 0
    assert {"tick", "step_micros", "shift_micros"} < set(empty.column_names)


def test_file_has_no_bytes_for_even_ticks(tmp_path: Path) -> None:
    """Half a million even samples: all columns of their instants fit into the block that every column needs."""
    instants = seconds(*range(0, 5000, 5))
    one = samples_of((instants, CAMERA))
    many = pa.concat_tables(
        one.set_column(1, "series_id", pa.array(np.full(one.num_rows, number))) for number in range(500)
    )
    packed = pack_samples(many)  # noqa: F841 - DuckDB reads it
    with open_writer(tmp_path / "writer.duckdb", "") as database:
        database.execute("INSERT INTO store.samples BY NAME SELECT * FROM packed; CHECKPOINT")
        blocks = database.execute(
            "SELECT count(DISTINCT block_id) FROM pragma_storage_info('store.samples') "
            "WHERE column_name IN ('tick', 'step_micros', 'shift_micros') AND block_id >= 0"
        ).fetchone()
    assert blocks[0] <= 3
