"""Results of queries in every format: each type of DuckDB is printed as data, or refused in one sentence."""

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
    "infinite time": ("'infinity'::TIMESTAMPTZ", "9999-12-31T23:59:59.999999"),
    "time before year 1": ("'0044-03-15 (BC)'::DATE", "0044-03-15 (BC)"),
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
    """Yield an empty database."""
    path = tmp_path / "published.duckdb"
    duckdb.connect(str(path)).close()
    return path


@pytest.fixture
def printed(database: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that returns what a query prints in a format, on a terminal that only knows ASCII."""

    def print_query(query: str, form: str) -> bytes:
        terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            print_result(database, query, form)
        terminal.flush()
        return terminal.buffer.getvalue()

    return print_query


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_valid_json(name: str, printed: Any) -> None:
    """Numbers are numbers, those that JSON does not have are null, and whole numbers lose no digit."""
    expression, expected = TYPES[name]
    text = printed(f"SELECT {expression} AS v FROM range(2)", "json").decode()

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    assert json.loads(text, parse_constant=refuse) == [{"v": expected}] * 2


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_one_field_of_csv(name: str, printed: Any) -> None:
    """One field per value, nested values as JSON, and no bytes written as in Python."""
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
def test_every_type_is_parquet_or_refused_in_a_sentence(name: str, printed: Any) -> None:
    """The sentence names what Parquet has no type for, and what to do."""
    query = f"SELECT {TYPES[name][0]} AS v"
    if name in ("INTERVAL", "UNION", "VARIANT"):
        with pytest.raises(FixSettings, match="cast") as caught:
            printed(query, "parquet")
        assert "\n" not in str(caught.value)
    else:
        assert pq.read_table(pa.BufferReader(printed(query, "parquet"))).num_rows == 1


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_printed_in_a_table(name: str, printed: Any) -> None:
    """The name of the column is in the output."""
    assert b"v" in printed(f"SELECT {TYPES[name][0]} AS v", "table")


def test_columns_with_the_same_name_are_numbered(printed: Any) -> None:
    """As DuckDB itself does."""
    query = "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a"
    assert json.loads(printed(query, "json")) == [{"a": 1, "a_1": 2, "a_1_1": 3, "a_2": 4}]
    assert printed(query, "csv") == b"a,a_1,a_1_1,a_2\n1,2,3,4\n"
    assert pq.read_table(pa.BufferReader(printed(query, "parquet"))).to_pylist() == [
        {"a": 1, "a_1": 2, "a_1_1": 3, "a_2": 4}
    ]


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_empty_result_is_printed(form: str, printed: Any) -> None:
    """An empty list, a header, a file with a schema."""
    data = printed("SELECT 1 AS a WHERE false", form)
    if form == "parquet":
        assert pq.read_table(pa.BufferReader(data)).schema.names == ["a"]
    else:
        assert data == {"json": b"[]\n", "csv": b"a\n"}[form]


@pytest.mark.parametrize("query", ["", "SELEKT", "SELECT 1 / ", "SELECT error('a' || chr(10) || 'b')", "FROM nowhere"])
@pytest.mark.parametrize("form", ["table", "json", "csv", "parquet"])
def test_invalid_query_is_refused_in_a_sentence(query: str, form: str, printed: Any) -> None:
    """Nothing is printed."""
    with pytest.raises(FixSettings, match="the query failed" if query else "the query is empty") as caught:
        printed(query, form)
    assert "\n" not in str(caught.value)


def test_parquet_is_not_printed_on_a_terminal(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what to do instead."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        with pytest.raises(FixSettings, match="send it to a file"):
            print_result(database, "SELECT 1", "parquet")


@pytest.mark.parametrize(
    "query",
    [
        "CALL enable_logging('QueryLog')",
        "call enable_logging(storage='file', storage_path='/tmp/x')",
        "SELECT 1; CALL pragma_version()",
        "FROM enable_logging('QueryLog')",
        "EXPLAIN ANALYZE CALL enable_logging('QueryLog')",
        "FROM Disable_Logging ()",
    ],
)
def test_call_is_refused(tmp_path: Path, query: str) -> None:
    """DuckDB would end the process if it were to write its log to a file."""
    path = tmp_path / "published.duckdb"
    duckdb.connect(str(path)).close()
    with pytest.raises(FixSettings, match="CALL and the logging of DuckDB cannot be used here; write a SELECT"):
        print_result(path, query, "csv")


@pytest.mark.parametrize(
    "query",
    [
        "SHOW TABLES",
        "DESCRIBE t",
        "SUMMARIZE t",
        "EXPLAIN SELECT n FROM t",
        "EXPLAIN ANALYZE SELECT n FROM t",
        "PRAGMA version",
        "VALUES (1)",
        "FROM t",
        "PIVOT t ON n USING count(*)",
        "WITH x AS (FROM t) SELECT count(*) FROM x; SELECT 'enable_logging'",
    ],
)
def test_everything_that_only_reads_works(tmp_path: Path, query: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Also what is no SELECT by its name."""
    path = tmp_path / "published.duckdb"
    with duckdb.connect(str(path)) as database:
        database.execute("CREATE TABLE t AS SELECT range AS n FROM range(3)")
    print_result(path, query, "csv")
    assert capsys.readouterr().out
