"""What is of Google alone among the tests of `test_clouds`: tokens, who gets one, and conditions of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import FixStorage
from pipeline.storage import OldVersions, connect, google_versions
from pipeline.storage.objects import ObjectStore
from pipeline.warehouse.attach import attach
from tests.integration.storage.conftest import Cloud
from tests.support.google import GoogleServer
from tests.support.object_store import Fault, FaultProxy, put
from tests.support.postgres import Database


@pytest.fixture
def server_of_tokens(google: Cloud) -> GoogleServer:
    """Return the server that stands in for Google."""
    assert google.google
    return google.google


@pytest.fixture
def proxy(google: Cloud) -> FaultProxy:
    """Return the proxy in front of it."""
    assert google.proxy
    return google.proxy


@pytest.fixture
def store(google: Cloud, tmp_path: Path) -> ObjectStore:
    """Return a store on the bucket."""
    return ObjectStore(google.url, tmp_path / "scratch")


def test_one_credential_serves_objects_and_duckdb(
    google: Cloud, server_of_tokens: GoogleServer, store: ObjectStore, database: Database
) -> None:
    """With one token, as long as it lasts."""
    assert store.create("x", b"1")
    with attach(google.lake(database), read_only=False) as lake:
        lake.execute("CREATE TABLE t AS SELECT 1 AS x")
        assert lake.execute("FROM t").fetchall() == [(1,)]
    assert len(server_of_tokens.granted) == 1


def test_token_is_renewed_before_it_expires(store: ObjectStore, server_of_tokens: GoogleServer) -> None:
    """A worker goes on for longer than a token lasts."""
    server_of_tokens.lifetime = 60
    assert store.create("x", b"1")
    server_of_tokens.expire()
    assert store.names() == ["x"]


def test_token_that_cannot_be_renewed_is_used_as_long_as_it_lasts(
    store: ObjectStore, server_of_tokens: GoogleServer
) -> None:
    """A service that gives no tokens for some minutes stops nobody."""
    server_of_tokens.lifetime = 600
    assert store.create("x", b"1")
    server_of_tokens.gives_tokens = False
    assert (store.names(), store.exists("x")) == (["x"], True)
    server_of_tokens.expire()
    with pytest.raises(FixStorage, match="refuses the credentials"):
        store.names()


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("another key", "refuses the credentials (invalid_grant); check GOOGLE_APPLICATION_CREDENTIALS"),
        ("no file", "cannot be used with the credentials of GOOGLE_APPLICATION_CREDENTIALS, which must be the path"),
        ("another file", "cannot be used with the credentials of GOOGLE_APPLICATION_CREDENTIALS, which must be the"),
        ("nothing", "finds no credentials; set GOOGLE_APPLICATION_CREDENTIALS to the path of a service account's key"),
        ("revoked", "refuses the credentials (AuthenticationRequired); check GOOGLE_APPLICATION_CREDENTIALS"),
        ("no right", "does not allow it (AccessDenied); the credentials need the right to read, list, write and"),
        ("no network", "cannot be reached; check the network and GOOGLE_BASE_URL, and run again"),
        ("no tokens", "cannot be reached; check the network and GOOGLE_BASE_URL, and run again"),
    ],
)
def test_account_that_is_refused_is_named_in_one_sentence(
    case: str,
    sentence: str,
    google: Cloud,
    server_of_tokens: GoogleServer,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The sentence holds neither a secret nor Google's words."""
    monkeypatch.setattr(connect, "RETRIES", 1)
    path = tmp_path / "other.json"
    if case == "another key":
        server_of_tokens.write_key(path, account="other@project-of-tests.iam.gserviceaccount.com")
    elif case == "another file":
        path.write_text(json.dumps({"type": "service_account", "private_key": "hunter2"}))
    elif case == "no tokens":
        given = json.loads((tmp_path / "key.json").read_text())
        path.write_text(json.dumps(given | {"token_uri": "http://127.0.0.1:1/token"}))
    elif case == "nothing":
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NO_GCE_CHECK", "true")
    elif case == "no network":
        monkeypatch.setenv("GOOGLE_BASE_URL", "http://127.0.0.1:1")
    elif case == "no right":
        proxy.faults.append(Fault("error", "PUT LIST GET", status=403, code="AccessDenied"))
    if path.exists() or case == "no file":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    store = ObjectStore(google.url, tmp_path / "scratch")
    if case == "revoked":
        store.names()
        server_of_tokens.expire()
    for use in (store.names, lambda: store.create("x", b"1"), lambda: store.prepare("raw")):
        with pytest.raises(FixStorage) as caught:
            use()
        message = str(caught.value)
        assert message.startswith(f"{google.url} ")
        assert sentence in message
        assert not google.shows_a_secret(message)
        assert not any(word in message for word in ("\n", "http", "AWS_", "AZURE_"))


def test_put_whose_acknowledgement_is_lost_finds_its_own_object(store: ObjectStore, proxy: FaultProxy) -> None:
    """A condition that fails because of ourselves is no failure."""
    with proxy.suffering(Fault("late", "PUT", key="folder-id", times=1)):
        assert store.create("folder-id", b"mine")
    assert not store.create("folder-id", b"theirs")


def test_busy_bucket_is_asked_again(store: ObjectStore, proxy: FaultProxy) -> None:
    """Google says 429 to one who changes an object more than once a second."""
    with proxy.suffering(Fault("error", "PUT", times=2, status=429, code="SlowDown")), store.replacing("x") as path:
        path.write_bytes(b"1")
    assert store.names() == ["x"]


def test_store_that_ignores_googles_condition_is_refused(store: ObjectStore, proxy: FaultProxy) -> None:
    """The condition is x-goog-if-generation-match; two workers could overwrite each other without it."""
    fault = Fault("ignore_condition", "PUT")
    with proxy.suffering(fault), pytest.raises(FixStorage, match="use a store with conditional puts"):
        store.prepare("raw")
    store.prepare("raw")


def contents_of(google: Cloud) -> list[bytes]:
    """Return the content of everything that the bucket keeps, sorted."""
    return sorted(google.everything())


def test_old_versions_are_deleted(google: Cloud, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folders that are meant, also if there are more than one page; current objects stay."""
    monkeypatch.setattr(google_versions, "PAGE", 2)
    google.keep_versions()
    for content in (b"raw 1", b"raw 2", b"raw 3"):
        put(store, "raw/a=b/x", content)
    put(store, "raw/y", b"raw deleted")
    store.delete("raw/y")
    for content in (b"other 1", b"other 2"):
        put(store, "other/x", content)
    assert len(contents_of(google)) == 6
    store.delete_old_versions("raw", "tables")
    assert contents_of(google) == [b"other 1", b"other 2", b"raw 3"]
    assert store.old_versions() is OldVersions.UNKNOWN
    assert contents_of(google) == [b"other 1", b"other 2", b"raw 3"]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("error", "DELETE", key="^v1/b", status=403, code="forbidden"), "does not allow it (HTTP 403); the cred"),
        (
            Fault("error", "DELETE", key="^v1/b", status=403, code="retentionPolicyNotMet"),
            "does not let its objects be deleted (a policy or a hold); change the policy of the bucket",
        ),
        (Fault("error", "VERSIONS", status=503), "does not respond for now (HTTP 503); run again later"),
        (Fault("cut", "DELETE", key="^v1/b"), "cannot be reached; check the network and GOOGLE_BASE_URL"),
    ],
    ids=["right", "policy", "busy", "cut"],
)
def test_old_version_that_cannot_be_deleted_is_one_sentence(
    fault: Fault, sentence: str, google: Cloud, store: ObjectStore, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody believes that a person is gone."""
    monkeypatch.setattr(google_versions, "PAUSES", (0.0, 0.0))
    google.keep_versions()
    with proxy.suffering(fault), pytest.raises(FixStorage) as caught:
        store.old_versions()
    assert str(caught.value).startswith(f"{google.url} {sentence}")
    assert not google.shows_a_secret(str(caught.value))


def test_old_version_that_stays_is_named(google: Cloud, store: ObjectStore, proxy: FaultProxy) -> None:
    """A bucket that only says that it has deleted is not believed."""
    google.keep_versions()
    put(store, "raw/x", b"1")
    put(store, "raw/x", b"2")
    fault = Fault("pretend", "DELETE", key="^v1/b.*raw")
    with proxy.suffering(fault), pytest.raises(FixStorage, match="still has an old version of data/raw/x after it was"):
        store.delete_old_versions("raw")
    store.delete_old_versions("raw")
    assert contents_of(google) == [b"2"]


def test_busy_bucket_is_asked_again_for_versions(
    google: Cloud, store: ObjectStore, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that passes stops nothing."""
    monkeypatch.setattr(google_versions, "PAUSES", (0.0, 0.0))
    google.keep_versions()
    faults = (Fault(what, "DELETE", key="^v1/b", times=1, status=429) for what in ("error", "cut"))
    for fault in faults:
        put(store, "raw/x", b"1")
        with proxy.suffering(fault):
            store.delete_old_versions("raw")
    assert contents_of(google) == [b"1"]
