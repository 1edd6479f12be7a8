"""A bucket that keeps versions, restored as it was at one instant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.emulator import Fault as BadResponse
from pipeline.flow import Flow
from pipeline.planning.completeness import day_ends
from pipeline.retention import prune
from tests.integration.storage.conftest import S3
from tests.support.flows import AFTERWARDS, DAY, WORLD, assert_published

LATER = day_ends(DAY) + timedelta(days=30)


@pytest.mark.slow
def test_a_bucket_is_restored_as_it_was_at_one_instant(flow_for: Callable[..., Flow], s3: S3, tmp_path: Path) -> None:
    """Whatever was replaced or pruned since is there again, and only what had not landed is requested."""
    s3.bucket.keep_versions()
    fault = BadResponse("unrecoverable", "participant_metrics", times=1)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=(fault,)) as source:
        flow = flow_for(source, data=s3.url, scratch=tmp_path / "one", keep_raw_days=30)
        assert not flow.run(DAY).is_complete
        present: dict[str, str] = {}
        for key, version, _ in s3.bucket.versions():
            present.setdefault(key, version)  # the newest comes first
        assert flow.run(DAY).is_complete
        assert [one.day for one in prune(flow, LATER).pruned] == [DAY]
        for key, version, content in s3.bucket.versions():
            if present.get(key) == version and content is not None:
                s3.bucket.write(key.replace("data/", "restored/", 1), content)
        restored = flow_for(source, data=f"s3://{s3.bucket.name}/restored", scratch=tmp_path / "two")
        before = source.count("participant_metrics")
        assert restored.run(DAY).is_complete
        assert source.count("participant_metrics") == before + 1
        assert_published(restored, source.expected_rows())
