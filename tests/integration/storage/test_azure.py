"""A container in Azure as the data root, with a DuckLake on it; azurite stands in for Azure."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.catalog import LakeCatalog
from pipeline.emulator import Emulator, ManualClock
from pipeline.emulator import Fault as SlowResponse
from pipeline.errors import FixSettings, FixStorage
from pipeline.flow import Flow
from pipeline.serving.query import print_result
from pipeline.storage import OldVersions, connect
from pipeline.storage.objects import ObjectStore
from pipeline.storage.ranged import TAIL_BYTES
from pipeline.warehouse.attach import attach
from tests.integration.storage.conftest import Start, finish
from tests.integration.storage.test_lake import BOTH, TWO, on_days
from tests.support.azurite import ACCOUNT, KEY, PROGRAM, Container, azure_server
from tests.support.flows import AFTERWARDS, DAY, WORLD, assert_published, published
from tests.support.postgres import Database

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="needs azurite-blob on PATH, which stands in for Azure"),
]


class Azure(NamedTuple):
    """A container, and a prefix in it."""

    container: Container
    url: str


@pytest.fixture(scope="session")
def azure_endpoint() -> Iterator[str]:
    """Yield the address of the account of a server."""
    with azure_server() as endpoint:
        yield endpoint


@pytest.fixture
def data(azure_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """Return an empty container, which the environment points to."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", azure_endpoint)
    container = Container(azure_endpoint, f"container-{secrets.token_hex(6)}")
    return Azure(container, f"az://{container.name}/data")


@pytest.fixture
def data_url(data: Azure) -> str:
    """Return the data root of the machines that `start` starts."""
    return data.url


@pytest.fixture
def store(data: Azure, tmp_path: Path) -> ObjectStore:
    """Return a store on the container."""
    return ObjectStore(data.url, tmp_path / "scratch")


def put(store: ObjectStore, key: str, content: bytes) -> None:
    """Put an object in the place of any other."""
    with store.replacing(key) as path:
        path.write_bytes(content)


def get(store: ObjectStore, key: str) -> bytes:
    """Return an object."""
    with store.open(key) as file:
        return file.read()


def lake_of(data: Azure, database: Database, role: str = "writer") -> LakeCatalog:
    """Return the lake of the container."""
    return LakeCatalog.parse(database.setting(role), data.url)


def test_container_holds_files_as_a_folder_does(store: ObjectStore, data: Azure) -> None:
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


def test_container_adds_a_name_once(store: ObjectStore, data: Azure, tmp_path: Path) -> None:
    """The test at the start passes, and of two workers one creates a file."""
    store.prepare("raw")
    other = ObjectStore(data.url, tmp_path / "other")
    assert store.create("folder-id", b"mine")
    assert not other.create("folder-id", b"theirs")
    with pytest.raises(FileExistsError), other.adding("folder-id") as path:
        path.write_bytes(b"theirs")
    assert get(store, "folder-id") == b"mine"


def test_object_that_is_replaced_while_it_is_read_is_not_mixed(store: ObjectStore, data: Azure) -> None:
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


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"AZURE_STORAGE_ACCOUNT_KEY": "aHVudGVyMg=="},
            "does not allow it (AuthorizationFailure); the cred",
        ),
        ({"AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:1/x"}, "cannot be reached; check the network and AZURE_STORAGE_"),
    ],
    ids=["key", "network"],
)
def test_account_that_refuses_is_named_in_one_sentence(
    data: Azure, variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sentence holds neither a secret nor the server's words."""
    monkeypatch.setattr(connect, "RETRIES", 1)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore(data.url, tmp_path)
    for use in (store.names, lambda: store.create("x", b"1"), lambda: store.prepare("raw")):
        with pytest.raises(FixStorage) as caught:
            use()
        message = str(caught.value)
        assert message.startswith(f"{data.url} ")
        assert sentence in message
        assert not any(word in message for word in ("\n", "aHVudGVyMg", KEY, "http", "AWS_"))


@pytest.mark.usefixtures("data")
def test_container_that_does_not_exist_is_not_an_empty_folder(tmp_path: Path) -> None:
    """A wrong address must not look like a new data root."""
    store = ObjectStore("az://no-such-container/data", tmp_path)
    for use in (store.names, lambda: get(store, "x"), lambda: store.prepare("raw"), store.quarantined):
        with pytest.raises(FixStorage, match=r"^az://no-such-container/data does not exist; create the container"):
            use()


def test_connection_string_is_enough(
    data: Azure, database: Database, azure_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It serves raw responses, tables and DuckDB."""
    for name in ("ACCOUNT_NAME", "ACCOUNT_KEY", "ENDPOINT"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}")
    parts = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={azure_endpoint};"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", parts)
    assert ObjectStore(data.url, tmp_path).create("x", b"1")
    with attach(lake_of(data, database), read_only=False) as lake:
        lake.execute("CREATE TABLE t AS SELECT 1 AS x")
        assert lake.execute("FROM t").fetchall() == [(1,)]
        assert KEY not in str(lake.execute("FROM duckdb_secrets()").fetchall())


@pytest.mark.slow
def test_killed_backfill_is_finished_and_every_command_works(start: Start, data: Azure) -> None:
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
        user = BOTH.calls[0].participants[0].user_id
        code, out, err = finish(start("forget", "--user", user))
        assert code == 0, err
        assert f"{data.url} may keep what `forget` deletes for some days (soft delete of Azure)" in out
        assert not any(user.encode() in content for content in data.container.contents().values())
        out = finish(start("doctor", on=source))[1]
        assert f"ok    data: {data.url} can be written, and has conditional puts" in out
        assert "FAIL" not in out


def test_lake_in_a_container_is_like_any_other(
    data: Azure, database: Database, flow_for: Callable[..., Flow], tmp_path: Path
) -> None:
    """A day is compacted, its old files are cleaned up, it equals the source, and nothing of the erased is left."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        flow = flow_for(source, data=data.url, scratch=tmp_path / "scratch", warehouse_file=database.setting())
        assert flow.run(DAY).is_complete
        before = data.container.list_keys()
        flow.load([DAY], rebuild=True)
        assert len(data.container.list_keys()) > len(before)
        flow.warehouse.clean(timedelta(0))
        flow.warehouse.clean(timedelta(0), grace=timedelta(seconds=-5))
        assert len(data.container.list_keys()) == len(before)
        assert_published(flow, source.expected_rows())
        orphan = f"data/lake/store/series/session_date={DAY}/x-1.parquet"
        data.container.write(orphan, b"user-1")
        assert flow.forget("user-1") == [DAY]
        assert not any(b"user-1" in content for content in data.container.contents().values())
        assert published(flow, "participant_sessions")
        assert flow.store.old_versions() is OldVersions.UNKNOWN


def test_queries_reach_nothing_but_the_lake(
    data: Azure, database: Database, flow_for: Callable[..., Flow], tmp_path: Path
) -> None:
    """No other object or file, and no key."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        flow_for(source, data=data.url, scratch=tmp_path / "scratch", warehouse_file=database.setting()).run(DAY)
    key = next(key for key in data.container.list_keys() if "/tables/" in key and key.endswith(".parquet"))
    other = f"az://{data.container.name}/{key}"
    before = data.container.list_keys()
    lake = lake_of(data, database, "reader")
    for query in (
        f"FROM '{other}'",
        f"FROM '{data.url}/lake/../{key.partition('/')[2]}'",
        f"FROM read_parquet('{other}')",
        "FROM '/etc/passwd'",
        f"FROM glob('{data.url}/**')",
        "FROM duckdb_secrets()",
        f"COPY (SELECT 1) TO '{data.url}/lake/x.csv'",
        "CREATE SECRET x (TYPE azure)",
    ):
        with pytest.raises(FixSettings) as refused:
            print_result(lake, query, "csv")
        assert KEY not in str(refused.value)
    assert data.container.list_keys() == before
    with attach(lake, read_only=True) as reader:
        assert KEY not in str(reader.execute("FROM duckdb_secrets()").fetchall())
