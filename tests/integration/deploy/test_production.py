"""Dagster as it is deployed: its records in PostgreSQL, runs in a queue, a process with an empty disk for each."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("dagster_postgres", reason="needs dagster-postgres")
pytest.importorskip("moto", reason="needs moto, which stands in for S3")

from tests.support.postgres import missing_programs
from tests.support.production import backfill_with_a_kill


@pytest.mark.timeout(400)
@pytest.mark.skipif(missing_programs() is not None, reason=f"{missing_programs()}")
@pytest.mark.slow
def test_killed_run_is_repeated_and_nothing_is_lost(tmp_path: Path) -> None:
    """Run monitoring notices a run that was killed, its day runs again elsewhere, and the lake has every row once."""
    trial = backfill_with_a_kill(tmp_path, days=3, workers=2)
    assert trial.differences == []
    assert trial.windows <= trial.metrics_requests <= trial.windows + 20  # those in flight when it was killed
