"""A bucket that keeps versions: what `forget` deletes of them, and what it says if it cannot."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.errors import FixStorage
from pipeline.flow import Flow
from pipeline.storage import OldVersions, versions
from pipeline.storage.objects import ObjectStore
from tests.integration.storage.conftest import S3
from tests.support.flows import AFTERWARDS, DAY, WORLD, published
from tests.support.object_store import Bucket, Fault

USER = "user-1"
OTHERS = ("data2/raw/x", "other/raw/x", "data/exports/x")
OURS = ("data/raw/", "data/tables/", "data/lake/")


@pytest.fixture
def versioned(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """Return a bucket that keeps versions, with an old one and a deleted object of other data.

    The environment has a profile for other tools, which is nothing to us.
    """
    monkeypatch.setenv("AWS_PROFILE", "of-another-tool")
    s3.bucket.keep_versions()
    for key in OTHERS:
        for content in (b"user-1", b"another"):
            s3.bucket.write(key, content)
        s3.bucket.delete(key)
    return s3


def named(content: bytes | None) -> bool:
    """Return whether a content names the person: of Parquet, once it is decoded."""
    if content is None:
        return False
    if content[:4] != b"PAR1":
        return USER.encode() in content
    return USER in str(pq.read_table(io.BytesIO(content)).to_pylist())


def below(s3: S3) -> list[tuple[str, bytes | None]]:
    """Return the keys and contents of all versions under the prefix."""
    return [(key, content) for key, _, content in s3.bucket.versions() if key.startswith(OURS)]


def others(s3: S3) -> list[tuple[str, str, bytes | None]]:
    """Return the versions of other data."""
    return [item for item in s3.bucket.versions() if item[0] in OTHERS]


def run_day(flow: Flow) -> None:
    """Run the day, and build its lake again: so there are old versions of all kinds of objects."""
    flow.run(DAY)
    flow.rebuild([DAY])


@pytest.mark.slow
def test_person_is_in_no_version_once_forgotten(
    machine: Callable[..., Flow], versioned: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every version under the prefix is current, and other data keep theirs. Small pages test that all are read."""
    monkeypatch.setattr(versions, "PAGE", 40)
    apart = others(versioned)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        flow = machine(source)
        run_day(flow)
        before = below(versioned)
        assert any(named(content) for _, content in before)
        assert len(before) > len(versioned.bucket.list_keys())
        assert flow.forget(USER) == [DAY]
    after = below(versioned)
    assert not any(named(content) for _, content in after)
    assert sorted(key for key, _ in after) == [key for key in versioned.bucket.list_keys() if key.startswith(OURS)]
    assert others(versioned) == apart
    assert published(flow, "participant_sessions")
    assert not any(USER in row for row in published(flow, "participant_sessions"))


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        ("VERSIONS", r"may not list them; they need the right s3:ListBucketVersions on the bucket$"),
        ("PURGE", r"may not delete them; they need the right s3:DeleteObjectVersion on the objects$"),
    ],
)
@pytest.mark.slow
def test_forgetting_without_a_right_is_continued(
    machine: Callable[..., Flow], versioned: S3, kind: str, right: str
) -> None:
    """The live data are without the person at once, and their versions when the right is there."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        flow = machine(source)
        run_day(flow)
        denied = Fault("error", kind, status=403, code="AccessDenied")
        with versioned.proxy.suffering(denied), pytest.raises(FixStorage, match=right) as refused:
            flow.forget(USER)
        assert str(refused.value).startswith(f"{versioned.url} keeps versions of its objects")
        assert "hunter2" not in str(refused.value)
        assert not any(named(content) for content in versioned.bucket.contents().values() if content != b"another")
        assert any(named(content) for _, content in below(versioned))
        assert machine(source).forget(USER) == []
    assert not any(named(content) for _, content in below(versioned))


def test_versions_of_before_versions_were_suspended_are_deleted(store: ObjectStore, s3: S3) -> None:
    """A bucket whose versions are suspended still has old ones. What is asked for is tested: moto deletes too much."""
    s3.bucket.keep_versions()
    for content in (b"user-1", b"nobody"):
        s3.bucket.write("data/raw/x", content)
    s3.bucket.suspend_versions()
    assert store.old_versions() is OldVersions.DELETABLE
    ids = {content: version for key, version, content in s3.bucket.versions() if key == "data/raw/x"}
    with (
        s3.proxy.suffering(Fault("pretend", "PURGE")),
        s3.proxy.counting() as traffic,
        pytest.raises(FixStorage, match="still has an old version"),
    ):
        store.delete_old_versions("raw")
    asked = b"".join(call.body for call in traffic.calls if call.kind == "PURGE").decode()
    assert (ids[b"user-1"] in asked, ids[b"nobody"] in asked) == (True, False)


def test_bucket_without_versions_needs_no_further_right(store: ObjectStore, s3: S3) -> None:
    """No version is listed or deleted there. The right to see whether there were some is used, but not needed."""
    s3.bucket.write("data/raw/x", b"nobody")
    denied = Fault("error", "GET", key="^$", status=403, code="AccessDenied")
    with s3.proxy.suffering(denied), s3.proxy.counting() as traffic:
        assert store.old_versions() is OldVersions.NONE
        store.delete_old_versions("raw")
    assert not {"VERSIONS", "PURGE"} & set(traffic.requests)


def test_store_that_cannot_list_versions_is_no_failure(store: ObjectStore, versioned: S3) -> None:
    """Then only its owner can see to old versions, and is told so."""
    with versioned.proxy.suffering(Fault("error", "VERSIONS", status=501, code="NotImplemented")):
        assert store.old_versions() is OldVersions.KEPT
        store.delete_old_versions("raw")


def test_locked_version_is_named_and_its_object_does_not_come_back(server: str, s3: S3, tmp_path: Path) -> None:
    """The others are deleted, and the delete marker of a locked one stays on top of it."""
    bucket = Bucket(server, f"{s3.bucket.name}-locks", with_locks=True)
    store = ObjectStore(f"s3://{bucket.name}/data", tmp_path)
    for key in ("data/raw/free", "data/raw/held"):
        bucket.write(key, b"user-1")
    bucket.hold("data/raw/held")
    store.delete("raw/free", "raw/held")
    with pytest.raises(FixStorage, match=r"versions that an object lock protects, such as data/raw/held; they can be "):
        store.delete_old_versions("raw")
    assert bucket.list_keys() == []
    found = [(key, content) for key, _, content in bucket.versions()]
    assert ("data/raw/held", b"user-1") in found
    assert ("data/raw/free", b"user-1") not in found


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            Fault("error", "PURGE", status=403, code="AccessDenied", message="Mfa Authentication must be used"),
            r"with the code of a second device \(MFA delete\)",
        ),
        (Fault("error", "VERSIONS", status=400, code="ExpiredToken"), "credentials, which have expired"),
        (Fault("error", "VERSIONS", status=503, code="SlowDown"), r"does not respond for now \(SlowDown\)"),
        (Fault("cut", "VERSIONS"), "cannot be reached"),
    ],
    ids=["mfa", "expired", "busy", "cut"],
)
def test_store_that_refuses_versions_is_named_in_one_sentence(
    store: ObjectStore, versioned: S3, fault: Fault, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence holds neither a secret nor the store's own words."""
    monkeypatch.setattr(versions, "ATTEMPTS", 1)
    with versioned.proxy.suffering(fault), pytest.raises(FixStorage, match=sentence) as refused:
        store.delete_old_versions("raw")
    message = str(refused.value)
    assert message.startswith(f"{versioned.url} ")
    assert not any(word in message for word in ("hunter2", "key-of-tests", "http", "must be used", "\n"))


def test_version_that_stays_after_it_was_deleted_is_a_failure(store: ObjectStore, versioned: S3) -> None:
    """A store that says it deleted a version is not believed."""
    for content in (b"user-1", b"nobody"):
        versioned.bucket.write("data/raw/x", content)
    pretended = Fault("pretend", "PURGE")
    with versioned.proxy.suffering(pretended), pytest.raises(FixStorage, match="an old version of data/raw/x after"):
        store.delete_old_versions("raw")
