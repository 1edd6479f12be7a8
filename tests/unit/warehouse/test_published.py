"""The published database, as readers open it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pipeline.errors import FixStorage
from pipeline.warehouse.published import open_published


def test_published_database_can_be_opened_twice_in_a_process(tmp_path: Path) -> None:
    """Both connections are in UTC and reach no file, and so are those that are opened after both are closed."""
    path = tmp_path / "published.duckdb"
    duckdb.connect(str(path)).close()
    for _ in range(2):
        with open_published(path) as first, open_published(path) as second:
            for connection in (first, second):
                assert connection.execute("SELECT current_setting('TimeZone')").fetchone() == ("UTC",)
                for refused in ("SET TimeZone = 'Asia/Tokyo'", f"FROM read_text('{__file__}')"):
                    with pytest.raises(duckdb.Error):
                        connection.execute(refused)


def test_broken_database_is_one_sentence_that_says_what_makes_it_again(tmp_path: Path) -> None:
    """A file that was cut short, and one that never was a database."""
    whole = tmp_path / "whole.duckdb"
    with duckdb.connect(str(whole)) as database:
        database.execute("CREATE TABLE t AS SELECT range AS n FROM range(100000)")
    path = tmp_path / "published.duckdb"
    for content in (whole.read_bytes()[:5000], b"this is text" * 1000):
        path.write_bytes(content)
        with pytest.raises(FixStorage, match=r"is broken .*; `call-metrics rebuild` makes it again") as refused:
            open_published(path)
        assert "\n" not in str(refused.value)
