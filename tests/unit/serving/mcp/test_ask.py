"""Queries of strangers: what runs, what is refused in one sentence, and how much of a result there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.catalog import LakeCatalog
from pipeline.errors import FixSettings, FixStorage
from pipeline.serving.mcp.ask import ask
from pipeline.serving.mcp.guard import check_query
from pipeline.serving.mcp.results import QueryResult
from pipeline.warehouse.published import open_confined
from tests.support.assistants import HOSTILE, SLOW, call_of_two, publish

ALLOWED = {
    "SELECT count(*) FROM metric_points WHERE session_date = '2026-11-01'": [[484]],
    "FROM main.tracks SELECT track_id": [["cam"]],
    "-- a comment\nSELECT user_id FROM Participant_Sessions ORDER BY ALL": [["ann"], ["ben"]],
    "WITH a AS (SELECT 1 AS n), b AS (SELECT n + 1 AS n FROM a) SELECT n FROM b": [[2]],
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT max(n) FROM t": [[3]],
    "SELECT unnest([1, 2]), 'a;b'": [[1, "a;b"], [2, "a;b"]],
    "SELECT strftime('2026-11-01 10:00:00+00'::TIMESTAMPTZ, '%H')": [["10"]],
    "SELECT (SELECT count(*) FROM range(3)), codec FROM tracks JOIN call_sessions USING (call_id)": [[3, "vp8"]],
    "VALUES (1.5, NULL)": [[1.5, None]],
}

params = pytest.mark.parametrize("published", ["file", "lake"], indirect=True)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | LakeCatalog]:
    """Return the call in a file and in a DuckLake."""
    return {
        kind: publish(call_of_two(), tmp_path_factory.mktemp("mcp") / kind, lake=kind == "lake")
        for kind in ("file", "lake")
    }


@pytest.fixture
def published(request: pytest.FixtureRequest, worlds: dict[str, Path | LakeCatalog]) -> Path | LakeCatalog:
    """Return where the call is published."""
    return worlds[getattr(request, "param", "file")]


def check_and_run(database: duckdb.DuckDBPyConnection, query: str) -> None:
    check_query(database, query)
    database.execute(query).fetchall()


def run(published: Path | LakeCatalog, query: str, most: int = 200, seconds: float = 30) -> QueryResult:
    return ask(published, query, most, seconds)


@params
@pytest.mark.parametrize("query", ALLOWED)
def test_select_runs(published: Path | LakeCatalog, query: str) -> None:
    """Tables, views, subqueries and functions of values, in UTC."""
    assert run(published, query).rows == ALLOWED[query]


@params
@pytest.mark.parametrize("query", ["DESCRIBE tracks", "SHOW TABLES", "SUMMARIZE tracks", "EXPLAIN FROM tracks"])
def test_statements_that_describe_run(published: Path | LakeCatalog, query: str) -> None:
    """They are not SELECTs, but only look."""
    assert run(published, query).rows


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_query_gets_one_sentence(
    published: Path | LakeCatalog, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads no file, no network and no setting, writes nothing, and learns no path."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FixSettings) as caught:
        run(published, HOSTILE[name])
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 800
    assert str(published) not in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize("published", ["lake"], indirect=True)
def test_hostile_queries_are_refused_on_a_lake(published: LakeCatalog, tmp_path: Path) -> None:
    """Its catalog and its folder are out of reach too."""
    more = ("FROM __ducklake_metadata_lake.ducklake_snapshot", "FROM ducklake_snapshots('lake')", "CALL ducklake_x()")
    with open_confined(published, memory="1GB") as database:
        for query in (*HOSTILE.values(), *more):
            if query != HOSTILE["one large value"]:
                with pytest.raises((FixSettings, duckdb.Error)):
                    check_and_run(database, query)


@params
@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_text('/etc/passwd')",
        "FROM 'http://127.0.0.1:9/a.parquet'",
        "COPY tracks TO 'out.csv'",
        "ATTACH 'other.duckdb'",
        "INSTALL httpfs",
        "SET threads = 1",
        "SET enable_external_access = true",
        "DELETE FROM tracks",
        "CREATE TABLE t AS SELECT 1",
    ],
)
def test_duckdb_refuses_what_passes_the_check(
    published: Path | LakeCatalog, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that gets past the check still reaches no file, no network and no setting."""
    monkeypatch.chdir(tmp_path)
    with open_confined(published, memory="1GB") as database, pytest.raises(duckdb.Error):
        database.execute(statement)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SLOW)
def test_query_without_end_is_ended(published: Path | LakeCatalog, name: str) -> None:
    """Its time or its memory is over; the sentence says which, and what to do."""
    with pytest.raises(FixSettings, match=r"took longer than 0\.5 seconds|needs more than 1GB"):
        run(published, SLOW[name], seconds=0.5)


def test_rows_are_counted_while_they_are_fetched(published: Path | LakeCatalog) -> None:
    """A result of a million million rows gives its first ones at once."""
    result = run(published, "FROM generate_series(1, 1000000000000)", most=3)
    assert (result.rows, result.truncated) == ([[1], [2], [3]], "only the first 3 rows are here")
    assert run(published, "FROM range(3)", most=3).truncated is None


def test_size_of_a_result_is_limited(published: Path | LakeCatalog) -> None:
    """Rows end before they are larger than a megabyte."""
    result = run(published, "SELECT repeat('x', 300000) FROM range(9)", most=9)
    assert len(result.rows) == 3
    assert result.truncated is not None
    assert "larger than 1 MB" in result.truncated


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2::HUGEINT ** 100 > 1", True),
        (f"{2**127 - 1}::HUGEINT", 2**127 - 1),
        ("'nan'::DOUBLE", None),
        ("1.50::DECIMAL(5, 2)", 1.5),
        ("'\\xAA'::BLOB", "aa"),
        ("DATE '2026-11-01'", "2026-11-01"),
        ("'2026-11-01 10:00:00+00'::TIMESTAMPTZ", "2026-11-01T10:00:00+00:00"),
        ("{'a': [1, NULL], 'b': MAP {1: 'x'}}", {"a": [1, None], "b": {"1": "x"}}),
    ],
)
def test_values_are_json(published: Path | LakeCatalog, value: str, found: Any) -> None:
    """Every type of DuckDB is a value that JSON has."""
    result = run(published, f"SELECT {value} AS n")
    assert result.rows == [[found]]
    assert QueryResult.model_validate_json(result.model_dump_json()).rows == [[found]]


@params
def test_database_that_is_replaced_is_read_anew(published: Path | LakeCatalog, tmp_path: Path) -> None:
    """A reader keeps the one that it has; the next one gets the new one, in the same process."""
    lake = isinstance(published, LakeCatalog)
    world = call_of_two()
    own = publish(world, tmp_path / "own", lake=lake)
    with open_confined(own, memory="1GB") as before:
        count = "SELECT count(*) FROM participant_sessions"
        before.execute("BEGIN")
        assert before.execute(count).fetchone() == (2,)
        world.stay("cem")
        world.fingerprint = lambda table, day: "changed"  # type: ignore[method-assign]
        assert publish(world, tmp_path / "own", lake=lake) == own
        assert run(own, count).rows == [[3]]
        assert before.execute(count).fetchone() == (2,)


@pytest.mark.parametrize("setting", ["warehouse.duckdb", "ducklake"])
def test_missing_database_is_one_sentence(setting: str, tmp_path: Path) -> None:
    """It says what creates it."""
    place = LakeCatalog.parse(f"ducklake:{tmp_path}/c", tmp_path) if setting == "ducklake" else tmp_path / setting
    with pytest.raises(FixStorage, match="does not exist yet; `call-metrics backfill`"):
        run(place, "SELECT 1")
