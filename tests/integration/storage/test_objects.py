"""An object store as a store: what it holds, what it costs, and what it does on bad days."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import FixStorage
from pipeline.storage.objects import ObjectStore
from pipeline.storage.ranged import TAIL_BYTES
from tests.integration.storage.conftest import S3
from tests.support.object_store import Fault, get, put


def test_store_holds_files_as_a_folder_does(store: ObjectStore, s3: S3) -> None:
    """Keys are the relative paths of a data folder; names, versions and folders are listed."""
    raw = store.below("raw")
    put(raw, "a/x.parquet", b"1")
    put(raw, "a/y.parquet", b"22")
    put(raw, "b/x.parquet", b"")
    assert s3.bucket.list_keys() == ["data/raw/a/x.parquet", "data/raw/a/y.parquet", "data/raw/b/x.parquet"]
    assert raw.sizes() == {"a/x.parquet": 1, "a/y.parquet": 2, "b/x.parquet": 0}
    assert raw.below("a").list_keys() == ["x.parquet", "y.parquet"]
    assert (raw.names(), raw.names("a"), raw.names("none")) == (["a", "b"], ["x.parquet", "y.parquet"], [])
    assert (get(raw, "a/y.parquet"), get(raw, "b/x.parquet")) == (b"22", b"")
    assert (raw.exists("a/x.parquet"), raw.exists("a"), raw.exists("none")) == (True, False, False)
    assert raw.folders_with("", "x.parquet") == ["a", "b"]
    assert store.folders_with("raw", "y.parquet") == ["a"]
    assert (store.url, str(raw.path("a/x.parquet"))) == (s3.url, f"{s3.url}/raw/a/x.parquet")
    before = raw.versions("a")
    put(raw, "a/x.parquet", b"3")
    after = raw.versions("a")
    assert (before["x.parquet"] != after["x.parquet"], before["y.parquet"]) == (True, after["y.parquet"])
    raw.delete("a/x.parquet", "a/y.parquet", "none")
    assert raw.names() == ["b"]
    with pytest.raises(FileNotFoundError):
        get(raw, "a/x.parquet")


def test_store_adds_a_name_once(store: ObjectStore, store_for: Callable[[], ObjectStore]) -> None:
    """Of two workers one creates a file, and the other one learns that it is there."""
    other = store_for()
    assert store.create("folder-id", b"mine")
    assert not other.create("folder-id", b"theirs")
    assert get(store, "folder-id") == b"mine"
    with pytest.raises(FileExistsError), other.adding("folder-id") as path:
        path.write_bytes(b"theirs")


def test_store_keeps_quarantined_objects(store: ObjectStore, s3: S3) -> None:
    """They get the names that they would get in a folder."""
    for content in (b"first", b"second"):
        put(store, "raw/a.parquet", content)
        sentence = store.quarantine("raw/a.parquet", "is broken", "it will be fetched again")
        assert sentence.startswith(f"{s3.url}/raw/a.parquet is broken and was quarantined as a.parquet.set-aside-")
    assert not store.exists("raw/a.parquet")
    assert [s3.bucket.read(str(path).split("/", 3)[3]) for path in store.quarantined()] == [b"first", b"second"]


def test_store_leaves_no_file_in_the_scratch_folder(store: ObjectStore, tmp_path: Path) -> None:
    """Also if writing fails, and those of a killed process are deleted with the next write."""
    put(store, "raw/a/x.parquet", b"1")
    with pytest.raises(TypeError), store.replacing("raw/a/x.parquet") as path:
        path.write_bytes("not bytes")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    leftovers = [tmp_path / "scratch" / "puts" / f".raw={folder}=x.parquet.0123.tmp" for folder in "ab"]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    store.prepare("raw/a")
    assert [leftover.exists() for leftover in leftovers] == [False, True]
    assert get(store, "raw/a/x.parquet") == b"1"


def test_store_reads_ranges(store: ObjectStore, s3: S3) -> None:
    """Only what is read is fetched, and the end of an object with one request."""
    content = bytes(range(256)) * 4_096
    put(store, "x", content)
    with s3.proxy.counting() as traffic, store.open("x") as file:
        assert file.seek(-8, 2) == len(content) - 8
        assert file.read() == content[-8:]
        file.seek(1_000)
        assert (file.read(500), file.tell()) == (content[1_000:1_500], 1_500)
    assert (traffic.requests, traffic.received) == ({"GET": 2}, TAIL_BYTES + 500)


def test_store_lists_once(store: ObjectStore, s3: S3) -> None:
    """Within a step a folder is listed once, and our own changes count; afterwards it is listed again."""
    put(store, "raw/a", b"1")
    with s3.proxy.counting() as traffic, store.listing_once():
        assert store.names("raw") == ["a"]
        put(store, "raw/b", b"2")
        assert store.names("raw") == ["a", "b"]
        store.delete("raw/a")
        assert (store.names("raw"), list(store.versions("raw")), store.exists("raw/b")) == (["b"], ["b"], True)
        assert get(store, "raw/b") == b"2"
    assert traffic.requests == {"LIST": 1, "PUT": 1, "DELETE": 1, "GET": 1}
    s3.bucket.write("data/raw/c", b"3")
    assert store.names("raw") == ["b", "c"]


def test_object_that_is_replaced_while_it_is_read_is_not_mixed(store: ObjectStore, s3: S3) -> None:
    """A reader gets the whole of one version, or learns that the object is gone."""
    put(store, "x", b"a" * 200_000)
    with store.open("x") as file:
        assert file.read(10) == b"a" * 10
        s3.bucket.write("data/x", b"b" * 200_000)
        with pytest.raises(FileNotFoundError):
            file.read(10)


# Bad days.


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (429, "SlowDown")])
def test_store_that_is_busy_is_asked_again(store: ObjectStore, s3: S3, status: int, code: str) -> None:
    """Two refusals in a row cost some tenths of a second, and nothing else."""
    with s3.proxy.suffering(Fault("error", "PUT", times=2, status=status, code=code)):
        put(store, "x", b"1")
    with s3.proxy.suffering(Fault("error", "GET", times=2, status=status, code=code)):
        assert get(store, "x") == b"1"
    with s3.proxy.suffering(Fault("error", "LIST", times=2, status=status, code=code)):
        assert store.names() == ["x"]


@pytest.mark.parametrize("fault", [Fault("late", "PUT", times=1), Fault("cut", "PUT", times=1)])
def test_put_whose_acknowledgement_is_lost_succeeds(store: ObjectStore, s3: S3, fault: Fault) -> None:
    """The next attempt finds our own object there, which is no failure, and there is one object."""
    with s3.proxy.suffering(fault), store.adding("raw/x.parquet") as path:
        path.write_bytes(b"responses")
    assert s3.bucket.contents() == {"data/raw/x.parquet": b"responses"}


@pytest.mark.parametrize("kind", ["PUT", "GET", "LIST", "DELETE"])
def test_connection_that_is_cut_is_made_again(store: ObjectStore, s3: S3, kind: str) -> None:
    """Whatever is cut off in the middle is asked for again, whole."""
    put(store, "x", b"1" * 100_000)
    with s3.proxy.suffering(Fault("cut", kind, times=2)):
        assert store.names() == ["x"]
        assert get(store, "x") == b"1" * 100_000
        put(store, "y", b"2")
        store.delete("x")
    assert s3.bucket.contents() == {"data/y": b"2"}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("error", "PUT GET LIST", status=400, code="ExpiredToken"), "have expired; renew them"),
        (Fault("error", "PUT GET LIST", status=403, code="InvalidAccessKeyId"), "check AWS_ACCESS_KEY_ID"),
        (Fault("error", "PUT GET LIST", status=403, code="AccessDenied"), "does not allow it (AccessDenied)"),
        (Fault("error", "PUT GET LIST", status=301, code="PermanentRedirect"), "set AWS_REGION"),
        (Fault("error", "PUT GET LIST", status=404, code="NoSuchBucket"), "does not exist; create the bucket"),
        (Fault("error", "PUT GET LIST", status=503, code="SlowDown"), "does not respond for now (SlowDown)"),
        (Fault("cut", "PUT LIST"), "cannot be reached; check the network"),
    ],
    ids=lambda value: getattr(value, "code", None),
)
@pytest.mark.usefixtures("hurried")
def test_store_that_refuses_is_named_in_one_sentence(
    s3: S3, store_for: Callable[[], ObjectStore], fault: Fault, sentence: str
) -> None:
    """The sentence says what to do, and holds neither a secret nor the store's own words."""
    with s3.proxy.suffering(fault):
        store = store_for()
        for use in (store.names, lambda: store.create("x", b"1"), lambda: store.prepare("raw")):
            with pytest.raises(FixStorage) as caught:
                use()
            message = str(caught.value)
            assert message.startswith(f"{s3.url} ")
            assert sentence in message
            assert "\n" not in message
            assert not any(secret in message for secret in ("hunter2", "key-of-tests", "Signature", "http"))


@pytest.mark.usefixtures("hurried")
def test_store_without_a_network_is_named_in_one_sentence(
    s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing listens at the endpoint."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(FixStorage, match=r"cannot be reached; check the network and AWS_ENDPOINT_URL"):
        ObjectStore(s3.url, tmp_path).names()


def test_bucket_that_does_not_exist_is_not_an_empty_folder(s3: S3, tmp_path: Path) -> None:
    """A wrong address must not look like a new data root."""
    store = ObjectStore("s3://no-such-bucket-here/data", tmp_path)
    for use in (store.names, lambda: get(store, "x"), lambda: store.prepare("raw"), store.quarantined):
        with pytest.raises(FixStorage, match=r"^s3://no-such-bucket-here/data does not exist; create the bucket"):
            use()


def test_store_without_conditional_puts_is_refused(s3: S3, store: ObjectStore) -> None:
    """Two workers could overwrite each other, so nothing is written there at all."""
    fault = Fault("ignore_condition", "PUT")
    with s3.proxy.suffering(fault), pytest.raises(FixStorage, match="use a store with conditional puts"):
        store.prepare("raw")
    assert s3.bucket.list_keys() == []
    store.prepare("raw")
    with s3.proxy.counting() as traffic:
        store.below("raw").prepare("a")
    assert not traffic.requests
