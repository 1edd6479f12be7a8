"""Raw answers land whole, in order, as they came but for what may not be kept, and nothing is forgotten."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.endpoints import EndpointName
from pipeline.errors import FixStorage, Quarantined
from pipeline.landing import segment as segment_module
from pipeline.landing import writer as writer_module
from pipeline.landing.erasure import ErasedUsers
from pipeline.landing.landing import Landing
from pipeline.landing.redaction import redactor
from pipeline.landing.segment import INDEX_COLUMNS, RAW_SCHEMA
from pipeline.landing.writer import SEGMENT_BYTES, SEGMENT_SECONDS
from pipeline.model import Call, Request, Response, Stay, Window
from pipeline.settings import ClientIp
from tests.support import CALL, DAY, STAY, at, examples, no_file_larger_than, no_more_files_open

METRICS: EndpointName = "participant_metrics"
REQUEST = Request(METRICS, DAY, stay=STAY, window=Window(at(10), at(10, 30)))


def answer(body: str = "{}", **given: Any) -> Response:
    """A usable answer."""
    return Response(**{"request": REQUEST, "status": 200, "body": body, "attempts": 1, "fetched_at": at(12)} | given)


def land(landing: Landing, *segments: list[Response], endpoint: EndpointName = METRICS, day: date = DAY) -> None:
    """Append answers, a segment for each list."""

    async def main() -> None:
        async with landing.writer(endpoint, day) as writer:
            for answers in segments:
                for one in answers:
                    await writer.append(one)
                await writer.flush()

    asyncio.run(main())


def landed(landing: Landing, endpoint: EndpointName = METRICS, day: date = DAY) -> list[str]:
    """All bodies of a day, in the order of landing."""
    return landing.bodies(endpoint, day, places(landing, endpoint, day))


def places(landing: Landing, endpoint: EndpointName = METRICS, day: date = DAY) -> list[tuple[str, int, int]]:
    index = landing.index(endpoint, day)
    return [(row["segment"], row["row_group"], row["row"]) for row in index.to_pylist()]


# What lands.


def test_an_answer_lands_with_all_that_was_asked(tmp_path: Path) -> None:
    """Request and answer, column by column; the body lies where the index says."""
    landing = Landing(tmp_path)
    given = answer('{"é": 1}', attempts=3, publishes=False, next_cursor="n")
    land(landing, [given])
    (row,) = landing.index(METRICS, DAY).to_pylist()
    place = (row.pop("segment"), row.pop("row_group"), row.pop("row"))
    assert row == {
        "endpoint": METRICS,
        "session_date": DAY,
        "call_type": "default",
        "call_id": "standup",
        "call_session_id": "s1",
        "user_id": "ann",
        "user_session_id": "ann-1",
        "since": at(10),
        "until": at(10, 30),
        "listing": None,
        "page": 0,
        "cursor": None,
        "next_cursor": "n",
        "publishes": False,
        "status": 200,
        "attempts": 3,
        "fetched_at": at(12),
        "error": None,
        "body_bytes": len('{"é": 1}'),
    }
    assert list(row) == INDEX_COLUMNS
    assert landing.bodies(METRICS, DAY, [place]) == ['{"é": 1}']


def test_a_page_of_a_listing_lands_with_its_cursor(tmp_path: Path) -> None:
    """Failures land too, with or without an answer."""
    landing = Landing(tmp_path)
    request = Request("participant_sessions", DAY, call=CALL, listing="l1", page=2, cursor="c")
    failed = answer("", request=request, status=None, error="no answer in time", attempts=6)
    land(landing, [failed], endpoint="participant_sessions")
    (row,) = landing.index("participant_sessions", DAY).to_pylist()
    assert (row["listing"], row["page"], row["cursor"], row["call_id"], row["user_id"]) == (
        "l1",
        2,
        "c",
        "standup",
        None,
    )
    assert (row["status"], row["error"], row["attempts"]) == (None, "no answer in time", 6)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
INSTANTS = st.integers(0, 10**16).map(lambda number: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number))
STAYS = st.builds(Stay, st.builds(Call, TEXTS, TEXTS, TEXTS), TEXTS, TEXTS)
ANSWERS = st.builds(
    Response,
    request=st.builds(
        Request,
        endpoint=st.just(METRICS),
        session_date=st.just(DAY),
        stay=STAYS,
        window=st.builds(Window, INSTANTS, INSTANTS),
        listing=st.none() | TEXTS,
        page=st.integers(0, 2**31 - 1),
        cursor=st.none() | TEXTS,
    ),
    status=st.none() | st.integers(100, 599),
    body=TEXTS,
    attempts=st.integers(0, 9),
    fetched_at=INSTANTS,
    error=st.none() | TEXTS,
    next_cursor=st.none() | TEXTS,
    publishes=st.none() | st.booleans(),
)
FOLDERS = itertools.count()


@given(segments=st.lists(st.lists(ANSWERS, max_size=6), max_size=4), seed=st.randoms(use_true_random=False))
@examples(40)
def test_any_answers_come_back_as_they_were(
    segments: list[list[Response]], seed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of landing, across segments and row groups; and bodies in whatever order they are asked for."""
    monkeypatch.setattr(segment_module, "ROW_GROUP_BYTES", 50)
    landing = Landing(tmp_path / str(next(FOLDERS)))
    land(landing, *segments)
    given = [one for answers in segments for one in answers]
    found = places(landing)
    index = landing.index(METRICS, DAY).to_pylist()
    bodies = landing.bodies(METRICS, DAY, found)
    back = [
        Response(
            Request(
                row["endpoint"],
                row["session_date"],
                stay=Stay(
                    Call(row["call_type"], row["call_id"], row["call_session_id"]),
                    row["user_id"],
                    row["user_session_id"],
                ),
                window=Window(row["since"], row["until"]),
                listing=row["listing"],
                page=row["page"],
                cursor=row["cursor"],
            ),
            **{name: row[name] for name in ("status", "attempts", "fetched_at", "error", "next_cursor", "publishes")},
            body=body,
        )
        for row, body in zip(index, bodies, strict=True)
    ]
    assert back == given
    order = list(range(len(found)))
    seed.shuffle(order)
    assert landing.bodies(METRICS, DAY, [found[place] for place in order]) == [given[place].body for place in order]


def test_a_day_on_which_nothing_landed_is_empty(tmp_path: Path) -> None:
    """Its index has all columns, so that what reads it needs no special case."""
    landing = Landing(tmp_path)
    index = landing.index(METRICS, DAY)
    assert index.num_rows == 0
    assert index.column_names == [*INDEX_COLUMNS, "segment", "row_group", "row"]
    assert landing.days() == []
    land(landing, [answer()])
    assert landing.index(METRICS, DAY).schema.types == index.schema.types


def test_days_are_those_of_which_anything_landed(tmp_path: Path) -> None:
    """Oldest first, of any endpoint; other folders are none."""
    landing = Landing(tmp_path)
    land(landing, [answer()], day=date(2026, 11, 3))
    land(landing, [answer()], day=date(2026, 10, 30))
    land(landing, [answer()], day=date(2026, 11, 3), endpoint="call_stats")
    (tmp_path / METRICS / "session_date=soon").mkdir()
    assert landing.days() == [date(2026, 10, 30), date(2026, 11, 3)]


# When it lands.


def test_segments_are_written_by_size(tmp_path: Path) -> None:
    """Once enough is collected, without anyone asking."""

    async def main() -> list[int]:
        landing = Landing(tmp_path)
        async with landing.writer(METRICS, DAY) as writer:
            counts = []
            for _ in range(4):
                await writer.append(answer("x" * (SEGMENT_BYTES // 2)))
                counts.append(len(landing.segments(METRICS, DAY)))
            return counts

    assert asyncio.run(main()) == [0, 1, 1, 2]


def test_segments_are_written_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small, so that a killed run loses no more than a few seconds."""
    assert SEGMENT_SECONDS <= 5
    monkeypatch.setattr(writer_module, "SEGMENT_SECONDS", 0.02)
    landing = Landing(tmp_path)

    async def main() -> None:
        async with landing.writer(METRICS, DAY) as writer:
            for count in (1, 2):
                await writer.append(answer())
                async with asyncio.timeout(10):
                    while len(landing.segments(METRICS, DAY)) < count:  # noqa: ASYNC110 - a folder has no events
                        await asyncio.sleep(0.005)

    asyncio.run(main())
    assert len(landed(landing)) == 2


def test_no_answers_are_no_segment(tmp_path: Path) -> None:
    """Opening a day and closing it leaves nothing behind."""
    landing = Landing(tmp_path)
    land(landing, [], [])
    assert landing.segments(METRICS, DAY) == []


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
def test_whatever_ends_the_work_what_was_appended_has_landed(tmp_path: Path, error: type[BaseException]) -> None:
    """An error, a cancellation and an interrupt come after the last segment."""
    landing = Landing(tmp_path)

    async def main() -> None:
        async with landing.writer(METRICS, DAY) as writer:
            await writer.append(answer())
            raise error

    with pytest.raises(error), asyncio.Runner() as runner:
        runner.run(main())
    assert landed(landing) == ["{}"]


def test_a_cancellation_in_the_middle_of_a_segment_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment that is being written is whole before the day is closed."""
    monkeypatch.setattr(writer_module, "SEGMENT_BYTES", 10)

    def slowly(_: EndpointName, body: str) -> str:
        time.sleep(0.01)
        return body

    async def main() -> list[str]:
        landing = Landing(tmp_path, redactor=lambda: slowly)
        async with landing.writer(METRICS, DAY) as writer:
            for number in range(100, 120):
                appending = asyncio.ensure_future(writer.append(answer(str(number))))
                await asyncio.sleep(0.001)
                appending.cancel()
                await asyncio.gather(appending, return_exceptions=True)
        return landed(landing)

    assert sorted(asyncio.run(main())) == [str(number) for number in range(100, 120)]


def test_names_are_in_order_of_time(tmp_path: Path) -> None:
    """Segments sort as they were written."""
    landing = Landing(tmp_path)
    before = datetime.now(UTC)
    land(landing, *([answer(str(number))] for number in range(10)))
    assert landed(landing) == [str(number) for number in range(10)]
    stamps = [
        datetime.strptime(path.name.split("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        for path in landing.segments(METRICS, DAY)
    ]
    assert stamps == sorted(stamps)
    assert before <= stamps[0] <= stamps[-1] <= datetime.now(UTC)


def test_segments_appear_whole(tmp_path: Path) -> None:
    """Whoever looks at the folder in the meantime finds files that can be read, to the last row."""
    landing = Landing(tmp_path)
    done = threading.Event()
    looks: list[int] = []
    broken: list[Exception] = []

    def look() -> None:
        while not done.is_set():
            for path in landing.segments(METRICS, DAY):
                try:
                    looks.append(pq.read_table(path).num_rows)
                except Exception as error:  # noqa: BLE001 - whatever it is, it fails the test
                    broken.append(error)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        land(landing, *([answer("x" * 100_000)] * 7 for _ in range(5)))
    finally:
        done.set()
        looker.join()
    assert broken == []
    assert set(looks) <= {7}
    assert len(landed(landing)) == 35


def test_what_a_killed_run_left_behind_is_removed(tmp_path: Path) -> None:
    """Half a segment under its temporary name is no segment, and goes when the day is next opened."""
    landing = Landing(tmp_path)
    land(landing, [answer("whole")])
    leftover = landing.folder(METRICS, DAY) / "20261101T000000.000000Z-00000000.tmp"
    leftover.write_bytes(b"PAR1 and no more")
    assert landed(landing) == ["whole"]
    land(landing, [answer("next")])
    assert not leftover.exists()
    assert landed(landing) == ["whole", "next"]


# When it cannot land.


def incompressible(size: int) -> str:
    """Text that needs its space, the same every time."""
    return "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(size // 8))


def test_a_disk_that_is_full_is_reported_and_nothing_is_forgotten(tmp_path: Path) -> None:
    """One sentence names the folder; what could not be written is written when there is room again."""
    landing = Landing(tmp_path)

    async def main() -> None:
        async with landing.writer(METRICS, DAY) as writer:
            await writer.append(answer("before"))
            await writer.flush()
            with no_file_larger_than(8_192):
                await writer.append(answer(incompressible(100_000)))
                with pytest.raises(FixStorage) as caught:
                    await writer.flush()
                assert str(caught.value).startswith(str(landing.folder(METRICS, DAY)))
                assert len(landing.segments(METRICS, DAY)) == 1
                with pytest.raises(FixStorage):
                    await writer.append(answer("refused"))

    asyncio.run(main())
    assert landed(landing) == ["before", incompressible(100_000)]


def test_a_disk_that_stays_full_ends_the_work(tmp_path: Path) -> None:
    """What had landed before is still there, and can be read."""
    landing = Landing(tmp_path)
    land(landing, [answer("before")])
    with no_file_larger_than(8_192), pytest.raises(FixStorage):
        land(landing, [answer(incompressible(100_000))])
    assert landed(landing) == ["before"]


def test_a_disk_that_is_full_is_noticed_by_whoever_appends_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments are written in the background; a failure there ends the work soon, not at its end."""
    monkeypatch.setattr(writer_module, "SEGMENT_SECONDS", 0.02)
    landing = Landing(tmp_path)

    async def main() -> int:
        async with landing.writer(METRICS, DAY) as writer, asyncio.timeout(10):
            appended = 0
            while True:
                await writer.append(answer(incompressible(20_000)))
                appended += 1
                await asyncio.sleep(0.01)

    with no_file_larger_than(8_192), pytest.raises(FixStorage):
        asyncio.run(main())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "raw").write_text("not a folder")
    landing = Landing(tmp_path / "raw")
    with pytest.raises(FixStorage, match="cannot be written") as caught:
        land(landing, [answer()])
    assert str(tmp_path / "raw") in str(caught.value)


def test_a_broken_segment_is_set_aside_and_the_others_are_read(tmp_path: Path) -> None:
    """It keeps its content under another name and counts as not landed."""
    landing = Landing(tmp_path)
    land(landing, [answer("a")], [answer("b")], [answer("c")])
    broken = landing.segments(METRICS, DAY)[1]
    broken.write_bytes(b"nonsense")
    assert landed(landing) == ["a", "c"]
    (aside,) = broken.parent.glob(f"{broken.name}.set-aside-*")
    assert aside.read_bytes() == b"nonsense"


def test_what_passes_leaves_a_segment_in_its_place(tmp_path: Path) -> None:
    """Too many open files are no reason to take an answer for lost."""
    landing = Landing(tmp_path)
    land(landing, [answer("x")])
    found = places(landing)
    with no_more_files_open():
        for ask in (landing.days, lambda: landing.index(METRICS, DAY), lambda: landing.bodies(METRICS, DAY, found)):
            with pytest.raises(FixStorage, match="Too many open files") as caught:
                ask()
            assert not isinstance(caught.value, Quarantined)
    assert landed(landing) == ["x"]


def test_a_body_that_turns_out_to_be_broken_asks_to_begin_again(tmp_path: Path) -> None:
    """The index was read before: what it says no longer holds."""
    landing = Landing(tmp_path)
    land(landing, [answer("a")], [answer("b")])
    found = places(landing)
    landing.segments(METRICS, DAY)[0].write_bytes(b"nonsense")
    with pytest.raises(Quarantined, match="was quarantined"):
        landing.bodies(METRICS, DAY, found)
    assert landed(landing) == ["b"]


def test_segments_can_be_read_without_this_code(tmp_path: Path) -> None:
    """Plain Parquet, with comments on the columns that need them and a version."""
    landing = Landing(tmp_path)
    land(landing, [answer("x")])
    (path,) = landing.segments(METRICS, DAY)
    table = pq.read_table(path, partitioning=None)
    assert table.column("body").to_pylist() == ["x"]
    assert table.schema.metadata[b"call_metrics.raw_version"] == b"1"
    assert table.schema.field("status").metadata[b"comment"] == RAW_SCHEMA.field("status").metadata[b"comment"]


# What is taken out.


def redacted(mode: ClientIp, body: str, forgotten: ErasedUsers | None = None) -> str:
    return redactor(mode, forgotten or ErasedUsers("salt", frozenset()))(METRICS, body)


@pytest.mark.parametrize(
    ("given", "truncated"),
    [
        ('"203.0.113.77"', '"203.0.113.0"'),
        ('"10.0.0.1"', '"10.0.0.0"'),
        ('"2001:db8:1:2:3:4:5:6"', '"2001:db8:1::"'),
        ('"2001:DB8::FFFF"', '"2001:db8::"'),
        ('"::ffff:203.0.113.77"', '"::"'),
        ('"203.0.113.77:5060"', "null"),
        ('"fe80::1%eth0"', '"fe80::"'),
        ('"ann@example.org"', "null"),
        ('""', "null"),
        ('"a \\" quote, 203.0.113.77"', "null"),
        ("null", "null"),
        ("7", "7"),
    ],
)
def test_addresses_are_kept_truncated_or_dropped(given: str, truncated: str) -> None:
    """To /24 or /48; what is no address is not kept either where addresses are cut."""
    for field in ("ip", "current_ip"):
        body = f'{{"client": {{"{field}" : {given}, "name": "1.2.3.4"}}, "x":[ 1.50,"é\\u00e9"]}}'
        assert redacted("keep", body) == body
        assert redacted("truncate", body) == body.replace(given, truncated)
        assert redacted("drop", body) == body.replace(given, "null" if given.startswith('"') else given)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _addresses(value: Any, change: Callable[[str], str | None]) -> Any:
    """The same, with every text under an address field changed."""
    if isinstance(value, dict):
        return {
            name: change(inner)
            if name in ("ip", "current_ip") and isinstance(inner, str)
            else _addresses(inner, change)
            for name, inner in value.items()
        }
    return [_addresses(inner, change) for inner in value] if isinstance(value, list) else value


@given(
    JSON,
    st.dictionaries(st.sampled_from(["ip", "current_ip", "zip", "ip "]), st.ip_addresses().map(str) | JSON),
    st.booleans(),
)
@examples(300)
def test_whatever_the_document_nothing_but_addresses_changes(
    rest: Any, client: dict[str, Any], ascii_only: bool
) -> None:
    """In documents of any shape: addresses are cut as asked, everything else stays what it was."""
    document = {"rest": rest, "client": client, "after": rest}
    body = json.dumps(document, ensure_ascii=ascii_only)

    def truncated(text: str) -> str | None:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return None
        keep = 24 if address.version == 4 else 48
        return str(type(address)(int(address) >> (address.max_prefixlen - keep) << (address.max_prefixlen - keep)))

    assert json.loads(redacted("truncate", body)) == _addresses(document, truncated)
    assert json.loads(redacted("drop", body)) == _addresses(document, lambda _: None)
    assert redacted("keep", body) == body


def test_what_may_not_be_kept_never_reaches_the_disk(tmp_path: Path) -> None:
    """Bodies are redacted before they land; their size is that of what landed."""
    landing = Landing(tmp_path, redactor=lambda: redactor("drop", ErasedUsers("salt", frozenset())))
    land(landing, [answer('{"client":{"ip":"203.0.113.77"}}')])
    assert landed(landing) == ['{"client":{"ip":null}}']
    assert landing.index(METRICS, DAY).column("body_bytes").to_pylist() == [len('{"client":{"ip":null}}')]
    assert not any(b"203.0.113" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_who_is_forgotten_when_a_day_is_opened_does_not_land(tmp_path: Path) -> None:
    """The redactor is made anew with each opening, so that it knows who was forgotten since."""
    forgotten = ErasedUsers("salt", frozenset())
    landing = Landing(tmp_path, redactor=lambda: redactor("keep", forgotten))
    body = '{"participants_sessions":[{"user_id":"ann","user_session_id":"1"},{"user_id":"bob","user_session_id":"2"}]}'
    page = replace(answer(body), request=Request("participant_sessions", DAY, call=CALL, listing="l"))
    land(landing, [page], endpoint="participant_sessions")
    forgotten = forgotten.with_user("ann")
    land(landing, [page], endpoint="participant_sessions")
    before, after = (json.loads(one)["participants_sessions"] for one in landed(landing, "participant_sessions"))
    assert [stay.get("user_id") for stay in before] == ["ann", "bob"]
    assert [stay.get("user_id") for stay in after] == [None, "bob"]
    assert list(after[0]) == ["forgotten"]
    assert "ann" not in json.dumps(after)


def test_a_page_that_concerns_nobody_forgotten_stays_as_it_came() -> None:
    """Byte for byte, as does what is no page at all."""
    forgotten = ErasedUsers("salt", frozenset()).with_user("ann")
    redact = redactor("keep", forgotten)
    for body in (
        '{ "participants_sessions": [ {"user_id":"bob"} ] }',
        "[]",
        "nonsense",
        '{"participants_sessions": 1}',
    ):
        assert redact("participant_sessions", body) == body


def test_who_is_forgotten_is_kept_as_a_hash_only(tmp_path: Path) -> None:
    """The file names nobody, and comes back as it was written."""
    path = tmp_path / "forgotten.json"
    assert ErasedUsers.read(path).users == frozenset()
    forgotten = ErasedUsers.read(path).with_user("ann").with_user("bob")
    forgotten.write(path)
    assert ErasedUsers.read(path) == forgotten
    assert "ann" not in path.read_text()
    assert forgotten.includes("ann")
    assert not forgotten.includes("eve")
    assert ErasedUsers("other", forgotten.users).includes("ann") is False
    path.write_text("{")
    with pytest.raises(FixStorage, match="cannot be read; restore it"):
        ErasedUsers.read(path)
