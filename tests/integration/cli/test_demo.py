"""`call-metrics demo`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.command_line import DAYS, YESTERDAY, finish


def test_demo_needs_no_configuration(command: Callable[..., Any], tmp_path: Path) -> None:
    """Without an account there is a database, what landed, a first query's result, and how to look further."""
    code, out, err = finish(command("demo", "--days", "1"))
    assert code == 0, err
    assert [line for line in err.splitlines() if not re.search(r": \d+ of \d+ (calls|windows)", line)] == []
    for expected in (
        f"{YESTERDAY}",
        "ORDER BY fps",
        "media server sfu-2, ",
        "call-metrics ui",
        str(tmp_path / "data" / "warehouse.duckdb"),
    ):
        assert expected in out
    code, out, err = finish(command("sql", "SELECT count(*) FROM metric_points", "--format", "csv"))
    assert int(out.split()[1]) > 10_000
    code, out, err = finish(command("backfill", *DAYS, STREAM_API_KEY="k", STREAM_API_SECRET="s"))
    assert code == 2
    assert "holds the data of the demo" in err
