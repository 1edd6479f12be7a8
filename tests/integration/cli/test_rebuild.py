"""`call-metrics rebuild`: without the source, beside a backfill, and under an open reader."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.emulator import Emulator, Quota
from tests.support.command_line import DAYS, LARGE, SMALL, YESTERDAY, finish, flow_on
from tests.support.flows import assert_published


def test_rebuild_needs_no_source(command: Callable[..., Any], tmp_path: Path) -> None:
    """Tables and database are rebuilt from the raw responses, without credentials."""
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
        (tmp_path / "data" / "warehouse.duckdb").unlink()
        code, out, err = finish(command("rebuild"))
        assert (code, err) == (0, "")
        assert f"{YESTERDAY}: 2 calls" in out
        assert_published(flow_on(tmp_path), emulator.expected_rows())


def test_rebuild_of_nothing_says_so(command: Callable[..., Any]) -> None:
    """Without raw responses there is one sentence, and nothing is missing."""
    code, out, err = finish(command("rebuild"))
    assert (code, err) == (0, "")
    assert out.endswith("there is nothing to rebuild\n")


def test_range_without_a_landed_day_names_the_landed_days(command: Callable[..., Any]) -> None:
    """`rebuild` and `status` do not say that there is nothing at all, and refuse dates in the wrong order."""
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
    long_ago = ("--from", "2020-01-01", "--to", "2020-01-02")
    sentence = f"no day from 2020-01-01 to 2020-01-02 has landed; the landed days are {YESTERDAY} to {YESTERDAY}\n"
    assert finish(command("rebuild", *long_ago)) == (0, sentence, "")
    for name in ("rebuild", "status"):
        code, out, err = finish(command(name, "--from", "2020-01-02", "--to", "2020-01-01"))
        assert (code, out) == (2, "")
        assert err == "call-metrics: --to 2020-01-01 is before --from 2020-01-02; swap them\n"


@pytest.mark.slow
def test_rebuild_waits_for_a_backfill(command: Callable[..., Any], tmp_path: Path) -> None:
    """Both succeed, nothing is fetched twice, and the database holds everything."""
    with Emulator(LARGE, quotas={"participant_metrics": Quota(60, 1.0)}) as emulator:
        backfill = command("backfill", *DAYS, on=emulator)
        while emulator.count("participant_metrics", 200) < 20:
            time.sleep(0.02)
        rebuild = command("rebuild")
        assert finish(backfill)[0] == 0
        code, _, err = finish(rebuild)
        assert code in (0, 1), err  # it may have run before the last windows landed
        assert emulator.count("participant_metrics", 200) == 120
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
        assert_published(flow_on(tmp_path), emulator.expected_rows())


@pytest.mark.slow
def test_rebuild_does_not_wait_for_a_reader(command: Callable[..., Any], tmp_path: Path) -> None:
    """A reader keeps the database it opened, while the next one takes its place."""
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
        with duckdb.connect(str(tmp_path / "data" / "warehouse.duckdb")) as reader:
            before = reader.execute("SELECT count(*) FROM metric_points").fetchone()
            code, _, err = finish(command("rebuild"))
            assert (code, err) == (0, "")
            assert reader.execute("SELECT count(*) FROM metric_points").fetchone() == before
