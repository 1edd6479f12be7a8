"""Raw responses in an object store: what reading them costs, and what bad days do to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from pipeline.endpoints import ENDPOINT_NAMES
from pipeline.errors import FixStorage
from pipeline.landing.compaction import compact_day
from pipeline.landing.landing import Landing
from pipeline.storage.objects import ObjectStore
from tests.integration.storage.conftest import S3
from tests.support import DAY
from tests.support.object_store import Call, Fault
from tests.support.responses import METRICS, land, landed, landed_places, metrics_response


def text(number: int, size: int = 300_000) -> str:
    """Return a long text that does not compress well, another one for each number."""
    return "".join(f"{(number + 1) * place * 2654435761 % 2**32:08x}" for place in range(size // 8))


BODIES = [text(number) for number in range(12)]


@pytest.fixture
def landing(store: ObjectStore) -> Landing:
    """Return raw responses in the store, a dozen segments of one endpoint's day."""
    landing = Landing(store.below("raw"))
    land(landing, *([metrics_response(body)] for body in BODIES))
    return landing


def test_segments_lie_under_the_paths_of_a_folder(landing: Landing, s3: S3) -> None:
    """Each segment is put once, under a name in the order of time."""
    keys = s3.bucket.list_keys()
    assert len(keys) == 12
    assert all(key.startswith(f"data/raw/{METRICS}/session_date={DAY}/") for key in keys)
    assert [str(path) for path in landing.segments(METRICS, DAY)] == [f"s3://{s3.bucket.name}/{key}" for key in keys]
    assert landed(landing) == BODIES


@pytest.mark.parametrize("compacted", [False, True])
def test_index_is_read_without_bodies(
    landing: Landing, s3: S3, store_for: Callable[[], ObjectStore], compacted: bool
) -> None:
    """It costs one listing and at most two requests per segment or row group, and a small part of the bytes."""
    if compacted:
        compact_day(landing, DAY)
    stored = sum(map(len, s3.bucket.contents().values()))
    reader = Landing(store_for().below("raw"))
    with s3.proxy.counting() as traffic:
        assert reader.index(METRICS, DAY).num_rows == 12
    assert traffic.requests["LIST"] == 1
    assert traffic.requests["GET"] <= (4 if compacted else 24)
    assert traffic.received < (0.1 if compacted else 0.6) * stored


def test_index_of_a_day_is_fetched_once_per_process(landing: Landing, s3: S3) -> None:
    """Segments do not change, so only new ones are fetched."""
    landing.index(METRICS, DAY)
    with s3.proxy.counting() as traffic, landing.listing_once():
        assert landing.index(METRICS, DAY).num_rows == 12
        assert landing.index(METRICS, DAY).num_rows == 12
    assert traffic.requests == {"LIST": 1}
    land(landing, [metrics_response("{}")])
    with s3.proxy.counting() as traffic, landing.listing_once():
        assert landing.index(METRICS, DAY).num_rows == 13
    assert traffic.requests == {"LIST": 1, "GET": 1}


def test_compaction_in_a_store_keeps_rows_in_order(
    landing: Landing, s3: S3, store_for: Callable[[], ObjectStore]
) -> None:
    """One object holds what many held, and costs few requests to write and read."""
    origins = landing.origins(METRICS, DAY)
    with s3.proxy.counting() as traffic, landing.listing_once():
        assert compact_day(landing, DAY) == 12
    assert (traffic.requests["PUT"], traffic.requests["LIST"], traffic.requests["DELETE"]) == (
        1,
        len(ENDPOINT_NAMES),
        1,
    )
    assert len(s3.bucket.list_keys()) == 1
    for reader in (landing, Landing(store_for().below("raw"))):
        assert landed(reader) == BODIES
        assert reader.origins(METRICS, DAY) == origins


@pytest.mark.usefixtures("hurried")
def test_compaction_in_a_store_can_be_cut_off_at_any_request(
    landing: Landing, s3: S3, store_for: Callable[[], ObjectStore]
) -> None:
    """Whichever request is the last one that is answered, every row is there once, in order."""
    for allowed in range(3):
        store = store_for()
        left = allowed

        def lose_network(call: Call) -> None:
            nonlocal left
            if call.kind in ("PUT", "DELETE"):
                left -= 1
                if left < 0:
                    raise ConnectionError

        s3.proxy.on_call = lose_network
        with suppress(FixStorage):
            compact_day(Landing(store.below("raw")), DAY)
        s3.proxy.on_call = lambda _: None
        reader = Landing(store_for().below("raw"))
        assert landed(reader) == BODIES
        assert len(s3.bucket.list_keys()) == (12, 13, 1)[allowed]


def test_put_that_was_acknowledged_late_is_neither_lost_nor_doubled(
    s3: S3, store: ObjectStore, store_for: Callable[[], ObjectStore]
) -> None:
    """The client sends the segment again and finds it there."""
    landing = Landing(store.below("raw"))
    with s3.proxy.suffering(Fault("late", "PUT", key=r"\.parquet$", times=2)):
        land(landing, [metrics_response("[1]")], [metrics_response("[2]")])
    assert landed(Landing(store_for().below("raw"))) == ["[1]", "[2]"]
    assert len(s3.bucket.list_keys()) == 2


@pytest.mark.usefixtures("hurried")
def test_responses_are_kept_while_the_store_is_away(s3: S3, store: ObjectStore) -> None:
    """The error is one sentence, and what could not be written is written once the store is back."""
    landing = Landing(store.below("raw"))

    async def main() -> None:
        async with landing.writer(METRICS, DAY) as writer:
            await writer.append(metrics_response("[1]"))
            with s3.proxy.suffering(Fault("error", "PUT")):
                with pytest.raises(FixStorage, match="does not respond for now"):
                    await writer.flush()
                with pytest.raises(FixStorage, match="does not respond for now"):
                    await writer.append(metrics_response("[2]"))

    asyncio.run(main())
    assert landed(landing) == ["[1]"]


def test_listing_that_lags_loses_nothing(landing: Landing, s3: S3, store_for: Callable[[], ObjectStore]) -> None:
    """What is not listed for a while counts again afterwards, also if the day was compacted meanwhile."""
    names = landing.names(METRICS, DAY)
    with s3.proxy.suffering(Fault("hide", "LIST", hidden=names[4].removesuffix(".parquet"))):
        other = Landing(store_for().below("raw"))
        assert landed(other) == [body for body in BODIES if body != BODIES[4]]
        assert compact_day(other, DAY) == 11
    assert sorted(landed(Landing(store_for().below("raw")))) == sorted(BODIES)


def test_reader_survives_a_compaction(landing: Landing, s3: S3, store_for: Callable[[], ObjectStore]) -> None:
    """A reader without the lock lists the day again if segments are gone."""
    worker, reader = Landing(store_for().below("raw")), Landing(store_for().below("raw"))
    done = False

    def compact(call: Call) -> None:
        nonlocal done
        if call.kind == "GET" and not done:
            done = True
            compact_day(worker, DAY)

    s3.proxy.on_call = compact
    assert reader.index(METRICS, DAY).num_rows == 12
    assert done
    assert len(landed_places(reader)) == 12
    assert landed(reader) == BODIES


def test_erasure_in_a_store_leaves_nothing_behind(landing: Landing, s3: S3) -> None:
    """What is replaced is deleted, and what is rewritten is put in its place."""
    compact_day(landing, DAY)
    assert landing.rewrite(METRICS, DAY, lambda rows: rows.slice(0, 3)) == 1
    assert landed(landing) == BODIES[:3]
    assert len(s3.bucket.list_keys()) == 1
    assert landing.rewrite(METRICS, DAY, lambda rows: rows.slice(0, 0)) == 1
    assert s3.bucket.list_keys() == []
