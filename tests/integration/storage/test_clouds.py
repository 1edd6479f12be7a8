"""A container in Azure or a bucket of Google as the data root, with a DuckLake on it. Servers stand in for them.

What is of one of them alone is in `test_azure` and `test_google`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.emulator import Fault as SlowResponse
from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.serving.query import print_result
from pipeline.storage import OldVersions
from pipeline.storage.objects import ObjectStore
from pipeline.storage.ranged import TAIL_BYTES
from pipeline.warehouse.attach import attach
from tests.integration.storage.conftest import Cloud, Start, finish
from tests.integration.storage.test_lake import BOTH, TWO, on_days
from tests.support.flows import AFTERWARDS, DAY, WORLD, assert_published, published
from tests.support.object_store import get, put
from tests.support.postgres import Database


@pytest.fixture(params=["azure", "google"])
def data(request: pytest.FixtureRequest) -> Cloud:
    """Return an empty container or bucket, which the environment points to."""
    cloud: Cloud = request.getfixturevalue(request.param)
    return cloud


@pytest.fixture
def data_url(data: Cloud) -> str:
    """Return the data root of the machines that `start` starts."""
    return data.url


@pytest.fixture
def store(data: Cloud, tmp_path: Path) -> ObjectStore:
    """Return a store on the container."""
    return ObjectStore(data.url, tmp_path / "scratch")


def test_container_holds_files_as_a_folder_does(store: ObjectStore, data: Cloud) -> None:
    """Also large ones, which go in parts, and empty ones; what is not there is deleted in silence."""
    raw = store.below("raw")
    large = bytes(range(256)) * 80_000
    for key, content in {"a/x": large, "a/y": b"22", "b/x": b""}.items():
        put(raw, key, content)
    assert data.container.list_keys() == ["data/raw/a/x", "data/raw/a/y", "data/raw/b/x"]
    assert (raw.names(), raw.names("a"), raw.names("none")) == (["a", "b"], ["x", "y"], [])
    assert (get(raw, "a/x") == large, get(raw, "a/y"), get(raw, "b/x")) == (True, b"22", b"")
    assert (raw.folders_with("", "x"), raw.exists("a/x"), raw.exists("a")) == (["a", "b"], True, False)
    before = raw.versions("a")
    put(raw, "a/x", b"3")
    assert raw.versions("a")["x"] != before["x"]
    raw.delete("none", "a/x", "nor this", "a/y")
    assert raw.names() == ["b"]
    with pytest.raises(FileNotFoundError):
        get(raw, "a/x")
    sentence = store.quarantine("raw/b/x", "is broken", "it will be fetched again")
    assert sentence.startswith(f"{data.url}/raw/b/x is broken and was quarantined as x.set-aside-")
    assert len(store.quarantined()) == 1


def test_container_adds_a_name_once(store: ObjectStore, data: Cloud, tmp_path: Path) -> None:
    """The test at the start passes, and of two workers one creates a file."""
    store.prepare("raw")
    other = ObjectStore(data.url, tmp_path / "other")
    assert store.create("folder-id", b"mine")
    assert not other.create("folder-id", b"theirs")
    with pytest.raises(FileExistsError), other.adding("folder-id") as path:
        path.write_bytes(b"theirs")
    assert get(store, "folder-id") == b"mine"


def test_object_that_is_replaced_while_it_is_read_is_not_mixed(store: ObjectStore, data: Cloud) -> None:
    """A reader gets the whole of one object, or learns that it is gone, listed before or not."""
    for is_listed in (False, True):
        put(store, "x", b"a" * (3 * TAIL_BYTES))
        with store.listing_once():
            if is_listed:
                store.names()
            with store.open("x") as file:
                assert file.read(10) == b"a" * 10
                data.container.write("data/x", b"b" * (3 * TAIL_BYTES))
                with pytest.raises(FileNotFoundError):
                    file.read(10)


def test_container_that_does_not_exist_is_not_an_empty_folder(data: Cloud, tmp_path: Path) -> None:
    """A wrong address must not look like a new data root."""
    url = f"{data.scheme}://no-such-container/data"
    store = ObjectStore(url, tmp_path)
    for use in (store.names, lambda: get(store, "x"), lambda: store.prepare("raw"), store.quarantined):
        with pytest.raises(FixStorage, match=rf"^{url} does not exist; create the (container|bucket), or"):
            use()


@pytest.mark.slow
def test_killed_backfill_is_finished_and_every_command_works(start: Start, data: Cloud) -> None:
    """Workers with empty disks land, publish, query and forget; only what was on its way is requested twice."""
    slow = SlowResponse("slow", "participant_metrics", delay_seconds=0.05)
    with Emulator(BOTH, faults=(slow,)) as source:
        first = start(*on_days(TWO[0]), on=source)
        for _ in range(600):
            if any("/participant_metrics/" in key for key in data.container.list_keys()):
                break
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        code, _, err = finish(start(*on_days(TWO[0]), on=source))
        assert code == 0, err
        asked = [request.target for request in source.requests if request.endpoint == "participant_metrics"]
        assert len(asked) - len(set(asked)) <= 16
        counted = "SELECT count(*) AS n FROM call_sessions"
        code, out, err = finish(start("sql", counted, "--format", "csv", role="reader"))
        assert (code, out) == (0, "n\n6\n"), err
        code, out, err = finish(start("status", *on_days(TWO[0])[1:], role="reader"))
        assert (code, "complete" in out) == (0, True), out + err
        session = BOTH.calls[0].call_session_id
        code, out, err = finish(start("report", session, "-o", "-", role="reader"))
        assert (code, session in out) == (0, True), err
        user = BOTH.calls[0].participants[0].user_id
        code, out, err = finish(start("forget", "--user", user))
        assert code == 0, err
        assert f"{data.url} {data.may_keep}" in out
        assert not any(user.encode() in content for content in data.container.contents().values())
        out = finish(start("doctor", on=source))[1]
        assert f"ok    data: {data.url} can be written, and has conditional puts" in out
        assert "FAIL" not in out


@pytest.mark.slow
def test_lake_in_a_container_is_like_any_other(
    data: Cloud, database: Database, flow_for: Callable[..., Flow], tmp_path: Path
) -> None:
    """A day is compacted, its old files are cleaned up, it equals the source, and nothing of the erased is left."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        flow = flow_for(source, data=data.url, scratch=tmp_path / "scratch", warehouse_file=database.setting())
        data.give_for(60)
        data.keep_versions()
        assert flow.run(DAY).is_complete
        data.age()
        before = data.container.list_keys()
        flow.load([DAY], rebuild=True)
        assert len(data.container.list_keys()) > len(before)
        flow.warehouse.clean(timedelta(0))
        flow.warehouse.clean(timedelta(0), grace=timedelta(seconds=-5))
        assert len(data.container.list_keys()) == len(before)
        assert_published(flow, source.expected_rows())
        orphan = f"data/lake/store/series/session_date={DAY}/x-1.parquet"
        data.container.write(orphan, b"user-1")
        data.age()
        assert any(b"user-1" in content for content in data.everything())
        assert flow.forget("user-1") == [DAY]
        assert not any(b"user-1" in content for content in data.everything())
        assert published(flow, "participant_sessions")
        assert flow.store.old_versions() is OldVersions.UNKNOWN


@pytest.mark.slow
def test_queries_reach_nothing_but_the_lake(
    data: Cloud, database: Database, flow_for: Callable[..., Flow], tmp_path: Path
) -> None:
    """They read what the source has, no other object or file, and no key."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        flow = flow_for(source, data=data.url, scratch=tmp_path / "scratch", warehouse_file=database.setting())
        assert flow.run(DAY).is_complete
        assert_published(flow, source.expected_rows())
    key = next(key for key in data.container.list_keys() if "/tables/" in key and key.endswith(".parquet"))
    other = f"{data.scheme}://{data.container.name}/{key}"
    before = data.container.list_keys()
    lake = data.lake(database, "reader")
    for query in (
        f"FROM '{other}'",
        f"FROM '{data.url}/lake/../{key.partition('/')[2]}'",
        f"FROM read_parquet('{other}')",
        "FROM '/etc/passwd'",
        f"FROM glob('{data.url}/**')",
        "FROM duckdb_secrets()",
        f"COPY (SELECT 1) TO '{data.url}/lake/x.csv'",
        f"CREATE OR REPLACE SECRET lake_files (TYPE {data.secret_type})",
    ):
        with pytest.raises(FixSettings) as refused:
            print_result(lake, query, "csv")
        assert not data.shows_a_secret(str(refused.value))
    assert data.container.list_keys() == before
    with attach(lake, read_only=True) as reader:
        assert not data.shows_a_secret(str(reader.execute("FROM duckdb_secrets()").fetchall()))
