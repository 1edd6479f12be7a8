"""Retention in an object store: what goes, what stays, and what another machine then knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.flow import Flow
from pipeline.planning.completeness import day_ends
from pipeline.retention import prune
from tests.integration.storage.conftest import S3
from tests.support import rows_in
from tests.support.flows import AFTERWARDS, DAY, WORLD

LATER = day_ends(DAY) + timedelta(days=30)


@pytest.mark.slow
def test_old_data_goes_from_a_bucket(machine: Callable[..., Flow], s3: S3) -> None:
    """First the raw responses, on one machine, then the whole day, on another; its files in the lake go by cleaning.

    Sizes come from listings: a dry run asks for no object's size.
    """
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        first = machine(source, keep_raw_days=30)
        first.run(DAY)
        raw = {key: len(content) for key, content in s3.bucket.contents().items() if "/session_date" in key}
        size = sum(size for key, size in raw.items() if key.startswith("data/raw/"))
        done = prune(first, LATER, dry_run=True)
        assert [(one.removed, one.size) for one in done.pruned] == [("raw", size)]
        assert prune(first, LATER).pruned == done.pruned
        keys = s3.bucket.list_keys()
        assert not [key for key in keys if key.startswith("data/raw/") and "session_date" in key]
        assert f"data/tables/pruned/session_date={DAY}.json" in keys
        requests = source.count()
        second = machine(source, keep_days=30)
        assert second.run(DAY).pruned == "raw"
        points = rows_in(second.settings.warehouse, "metric_points")
        assert points.total() > 0
        assert [one.removed for one in prune(second, LATER).pruned] == ["all"]
        assert [key for key in s3.bucket.list_keys() if key.startswith("data/tables/") and f"{DAY}" in key] == [
            f"data/tables/pruned/session_date={DAY}.json"
        ]
        assert not rows_in(second.settings.warehouse, "metric_points")
        assert first.run(DAY).pruned == "all"
        assert first.known_days() == [DAY]
        assert source.count() == requests
