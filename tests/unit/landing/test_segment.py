"""Segments: the file format of raw responses."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.landing.landing import Landing
from pipeline.landing.segment import RAW_SCHEMA
from tests.support import DAY
from tests.support.responses import METRICS, land, landed, metrics_response


def test_segment_appears_whole_to_concurrent_readers(tmp_path: Path) -> None:
    """Every segment that another thread sees can be read to its last row."""
    landing = Landing(tmp_path)
    done = threading.Event()
    looks: list[int] = []
    broken: list[Exception] = []

    def look() -> None:
        while not done.is_set():
            for path in landing.segments(METRICS, DAY):
                try:
                    looks.append(pq.read_table(path).num_rows)
                except Exception as error:  # noqa: BLE001 - whatever it is, it fails the test
                    broken.append(error)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        land(landing, *([metrics_response("x" * 100_000)] * 7 for _ in range(5)))
    finally:
        done.set()
        looker.join()
    assert broken == []
    assert set(looks) <= {7}
    assert len(landed(landing)) == 35


def test_segment_is_plain_parquet_with_comments_and_a_version(tmp_path: Path) -> None:
    """Any Parquet reader can read a segment, with the comments of its columns and a version."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response("x")])
    (path,) = landing.segments(METRICS, DAY)
    table = pq.read_table(path, partitioning=None)
    assert table.column("body").to_pylist() == ["x"]
    assert table.schema.metadata[b"call_metrics.raw_version"] == b"1"
    assert table.schema.field("status").metadata[b"comment"] == RAW_SCHEMA.field("status").metadata[b"comment"]
