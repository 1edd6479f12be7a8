"""What a query gives, in every form: nothing that DuckDB knows ends in anything but data or a sentence."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import FixSettings
from pipeline.serving.query import print_result
from pipeline.warehouse.published import open_published

LARGE = 2**127 - 1

TYPES = {
    "HUGEINT": (f"{LARGE}::HUGEINT", LARGE),
    "UHUGEINT": (f"{2 * LARGE}::UHUGEINT", 2 * LARGE),
    "UBIGINT": (f"{2**64 - 1}::UBIGINT", 2**64 - 1),
    "DECIMAL": ("1.50::DECIMAL(38, 20)", 1.5),
    "NaN": ("'nan'::DOUBLE", None),
    "Infinity": ("'-inf'::FLOAT", None),
    "TIMETZ": ("'12:00:00+05'::TIMETZ", "12:00:00+05:00"),
    "TIMESTAMPTZ": ("'2026-11-01 10:00:00.000001+00'::TIMESTAMPTZ", "2026-11-01T10:00:00.000001+00:00"),
    "a time without end": ("'infinity'::TIMESTAMPTZ", "9999-12-31T23:59:59.999999"),
    "a time before ours": ("'0044-03-15 (BC)'::DATE", "0044-03-15 (BC)"),
    "INTERVAL": ("INTERVAL 36 HOURS", "1 day, 12:00:00"),
    "BLOB": ("'\\xAA\\x01'::BLOB", "aa01"),
    "BIT": ("'101'::BIT", "101"),
    "UUID": ("'fe6f4a71-d5a6-4346-be3f-ed91da6f0cf1'::UUID", "fe6f4a71-d5a6-4346-be3f-ed91da6f0cf1"),
    "LIST": (f"[1, {LARGE}, NULL]", [1, LARGE, None]),
    "STRUCT": ("{'a': {'b': 'nan'::FLOAT, 'c': '12:00:00+05'::TIMETZ}}", {"a": {"b": None, "c": "12:00:00+05:00"}}),
    "MAP": ("MAP {1.5: '\\xAA'::BLOB}", {"1.5": "aa"}),
    "MAP of lists": ("MAP {[1]: 2}", {"key": [[1]], "value": [2]}),
    "UNION": ("union_value(a := 1)", 1),
    "ENUM": ("'é'::ENUM ('é', 'b')", "é"),
    "VARIANT": ("{'a': 1}::VARIANT", {"a": 1}),
    "NULL": ("NULL", None),
    "text": ("'a\"é,' || chr(10) || chr(128512)", 'a"é,\n\U0001f600'),
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with nothing in it."""
    path = tmp_path / "published.duckdb"
    duckdb.connect(str(path)).close()
    return path


@pytest.fixture
def printed(database: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a query prints in a form, on a terminal that knows ASCII only."""

    def ask(query: str, form: str) -> bytes:
        terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            print_result(database, query, form)
        terminal.flush()
        return terminal.buffer.getvalue()

    return ask


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_valid_json(name: str, printed: Any) -> None:
    """Numbers are numbers, what is none in JSON is null, and whole numbers lose no digit."""
    expression, expected = TYPES[name]
    text = printed(f"SELECT {expression} AS v FROM range(2)", "json").decode()

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    assert json.loads(text, parse_constant=refuse) == [{"v": expected}] * 2


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_a_field_of_csv(name: str, printed: Any) -> None:
    """One field a value, what has parts as JSON, nothing in Python's spelling of bytes."""
    expression, expected = TYPES[name]
    text = printed(f"SELECT {expression} AS v, 7 AS last", "csv").decode()
    names, (field, last) = csv.reader(io.StringIO(text))
    assert (names, last) == (["v", "last"], "7")
    if isinstance(expected, dict | list):
        assert json.loads(field) == expected
    elif isinstance(expected, int):
        assert int(field) == expected
    elif name in ("BLOB", "text", "UUID", "ENUM"):
        assert field == expected


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_parquet_or_a_sentence(name: str, printed: Any) -> None:
    """What Parquet has no type for is named, with what to do."""
    query = f"SELECT {TYPES[name][0]} AS v"
    if name in ("INTERVAL", "UNION", "VARIANT"):
        with pytest.raises(FixSettings, match="cast") as caught:
            printed(query, "parquet")
        assert "\n" not in str(caught.value)
    else:
        assert pq.read_table(pa.BufferReader(printed(query, "parquet"))).num_rows == 1


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_shown(name: str, printed: Any) -> None:
    """As a table."""
    assert b"v" in printed(f"SELECT {TYPES[name][0]} AS v", "table")


def test_columns_of_one_name_are_all_there(printed: Any) -> None:
    """Told by numbers, as DuckDB itself does."""
    query = "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a"
    assert json.loads(printed(query, "json")) == [{"a": 1, "a_1": 2, "a_1_1": 3, "a_2": 4}]
    assert printed(query, "csv") == b"a,a_1,a_1_1,a_2\n1,2,3,4\n"
    assert pq.read_table(pa.BufferReader(printed(query, "parquet"))).to_pylist() == [
        {"a": 1, "a_1": 2, "a_1_1": 3, "a_2": 4}
    ]


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_no_rows_are_data_too(form: str, printed: Any) -> None:
    """An empty list, a header, a file with a schema."""
    data = printed("SELECT 1 AS a WHERE false", form)
    if form == "parquet":
        assert pq.read_table(pa.BufferReader(data)).schema.names == ["a"]
    else:
        assert data == {"json": b"[]\n", "csv": b"a\n"}[form]


@pytest.mark.parametrize("query", ["", "SELEKT", "SELECT 1 / ", "SELECT error('a' || chr(10) || 'b')", "FROM nowhere"])
@pytest.mark.parametrize("form", ["table", "json", "csv", "parquet"])
def test_what_is_no_query_is_a_sentence(query: str, form: str, printed: Any) -> None:
    """Or nothing at all, where nothing was asked."""
    if not query:
        assert printed(query, form) == b""
        return
    with pytest.raises(FixSettings, match="the query cannot be answered") as caught:
        printed(query, form)
    assert "\n" not in str(caught.value)


def test_parquet_is_not_sent_to_a_terminal(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence instead."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        with pytest.raises(FixSettings, match="send it to a file"):
            print_result(database, "SELECT 1", "parquet")


def test_the_database_can_be_opened_twice_in_a_process(database: Path) -> None:
    """The second one is as safe as the first, and in UTC; so is what comes after both."""
    for _ in range(2):
        with open_published(database) as first, open_published(database) as second:
            for connection in (first, second):
                assert connection.execute("SELECT current_setting('TimeZone')").fetchone() == ("UTC",)
                for refused in ("SET TimeZone = 'Asia/Tokyo'", f"FROM read_text('{__file__}')"):
                    with pytest.raises(duckdb.Error):
                        connection.execute(refused)
