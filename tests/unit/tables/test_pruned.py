"""The tables of a pruned day: which rows of other people an erasure removes."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import FixStorage
from pipeline.landing.erasure import ErasedUsers
from pipeline.schema import TABLES
from pipeline.tables.lake import Lake
from pipeline.tables.pruned import strike_tables
from tests.support import DAY, at

IDS = {
    "session_date": DAY,
    "call_type": "default",
    "call_id": "standup",
    "call_session_id": "s1",
    "user_session_id": "1",
    "timestamp": at(10),
}
ERASED = ErasedUsers(secrets.token_hex(4), frozenset()).with_user("ann")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Return a lake without files."""
    return Lake(tmp_path / "tables")


def write(lake: Lake, table: str, *rows: dict[str, Any]) -> None:
    with lake.writer(table, DAY, "mark") as writer:
        writer.write(pa.Table.from_pylist([{**IDS, **row} for row in rows], TABLES[table].schema))


def test_what_others_received_of_an_erased_person_goes_too(lake: Lake) -> None:
    """Both columns of `detail_points` that name people count; the fingerprint changes once."""
    write(
        lake,
        "detail_points",
        {"user_id": "ann", "side": "publisher"},
        {"user_id": "bob", "side": "subscriber", "publisher_user_id": "ann"},
        {"user_id": "bob", "side": "subscriber", "publisher_user_id": "cat"},
        {"user_id": "cat", "side": "publisher"},
    )
    assert strike_tables(lake, DAY, ERASED) == 1
    rows = lake.read("detail_points", DAY).to_pylist()
    assert [(row["user_id"], row["publisher_user_id"]) for row in rows] == [("bob", "cat"), ("cat", None)]
    mark = lake.fingerprint("detail_points", DAY)
    assert mark != "mark"
    assert strike_tables(lake, DAY, ERASED) == 0
    assert lake.fingerprint("detail_points", DAY) == mark


def test_events_that_name_an_erased_person_go(lake: Lake) -> None:
    """As a text in their data, or as a part of one; an id that only begins alike is another person's."""
    data = [None, '{"who": "ann"}', '{"who": ["ann:video"]}', '{"who": "annabel"}', "no JSON", '{"ann": 1}']
    write(lake, "timeline_events", *({"user_id": "bob", "data": text} for text in data))
    assert strike_tables(lake, DAY, ERASED) == 1
    rows = lake.read("timeline_events", DAY).to_pylist()
    assert [row["data"] for row in rows] == [None, '{"who": "annabel"}', "no JSON"]


def test_a_table_that_cannot_be_searched_is_named(lake: Lake) -> None:
    """It may name the person, so the erasure does not pass over it."""
    write(lake, "tracks", {"user_id": "bob"})
    Path(lake.path("tracks", DAY)).write_bytes(b"nonsense")
    with pytest.raises(FixStorage, match="cannot be rebuilt, because the raw responses of 2026-11-01 were pruned"):
        strike_tables(lake, DAY, ERASED)
