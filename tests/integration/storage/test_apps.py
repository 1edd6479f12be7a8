"""Several apps in one bucket and one lake: workers without a disk, each with the name of its app."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.emulator import Emulator, uniform_world
from pipeline.flow import Flow
from tests.integration.storage.conftest import S3
from tests.support.apps import SALES, SUPPORT, access, two_apps
from tests.support.flows import DAY, assert_published, published
from tests.support.lakes import lake_of, query
from tests.support.postgres import Database


@pytest.fixture
def emulators() -> Iterator[dict[str, Emulator]]:
    """Yield the emulators of two apps, by name."""
    with two_apps(uniform_world(DAY, calls=2, people=3, minutes=30, step_seconds=60)) as both:
        yield both


@pytest.fixture
def machine(
    s3: S3, database: Database, flow_for: Callable[..., Flow], emulators: dict[str, Emulator], tmp_path: Path
) -> Callable[[str], Flow]:
    """Return a function that makes flows of an app on new machines. All have the same data root and lake."""

    def make(app: str) -> Flow:
        scratch = tmp_path / f"machine-{secrets.token_hex(4)}"
        settings = {"app": app, "data": s3.url, "scratch": scratch, "warehouse_file": database.setting()}
        return flow_for(emulators[app], **settings | access(app, emulators[app]))

    return make


@pytest.mark.slow
def test_apps_share_a_bucket_and_a_lake(machine: Callable[[str], Flow], emulators: dict[str, Emulator], s3: S3) -> None:
    """Each has a prefix and schemas of its own, and erasing a person in one leaves every object of the other."""
    flows = {app: machine(app) for app in emulators}
    for app, flow in flows.items():
        flow.run(DAY)
        assert_published(flow, emulators[app].expected_rows())
    prefix = s3.url.split("/", 3)[3]
    tops = {key.removeprefix(f"{prefix}/").partition("/")[0] for key in s3.bucket.list_keys()}
    assert tops == {SUPPORT, SALES, "lake", "lake-id"}
    lake = lake_of(flows[SUPPORT].settings)
    assert query(lake, "SELECT app, count(*) FROM all_apps.call_quality GROUP BY app ORDER BY app") == [
        (SALES, 2),
        (SUPPORT, 2),
    ]

    def of_sales() -> dict[str, bytes]:
        others = (f"{prefix}/{SALES}/", f"{prefix}/lake/{SALES}/", f"{prefix}/lake/{SALES}_store/")
        return {key: content for key, content in s3.bucket.contents().items() if key.startswith(others)}

    being_written = f"{prefix}/lake/{SALES}/tracks/session_date={DAY}/x-1.parquet"
    s3.bucket.write(being_written, b"not registered yet")
    before, rows = of_sales(), {table: published(flows[SALES], table) for table in ("windows", "metric_points")}
    assert being_written in before
    assert flows[SUPPORT].forget("user-1") == [DAY]
    assert of_sales() == before
    assert {table: published(flows[SALES], table) for table in rows} == rows
    erased = [key for key, content in s3.bucket.contents().items() if b"user-1" in content and key not in before]
    assert erased == []
    assert not any("user-1" in row for row in published(flows[SUPPORT], "participant_sessions"))
    assert machine(SUPPORT).clean_lake() is not None
    machine(SUPPORT).warehouse.clean(timedelta(0), grace=timedelta(seconds=-5))  # type: ignore[union-attr]
    assert of_sales().keys() == before.keys() - {being_written}
