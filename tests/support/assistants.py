"""What tests of the MCP server share: a small call that is published, hostile queries, and the SDK's own client."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.catalog import LakeCatalog
from pipeline.warehouse.choice import choose_turns
from pipeline.warehouse.ducklake import DuckLake
from tests.support.reports import lose_a_window
from tests.support.small_world import SmallWorld, steady

mcp = pytest.importorskip("mcp", reason="needs the extra `mcp`")

TOKEN = "a-token-for-the-tests"

HOSTILE = {
    "read_csv": "FROM read_csv('/etc/passwd')",
    "read_text": "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "read_blob": "FROM read_blob('/etc/passwd')",
    "glob": "FROM glob('/etc/*')",
    "a file": "FROM '/etc/passwd'",
    "a file in quotes": 'FROM "secret.csv"',
    "a file, described": "DESCRIBE 'secret.csv'",
    "a file, summarized": "SUMMARIZE 'secret.csv'",
    "http": "FROM 'http://127.0.0.1:9/a.parquet'",
    "http, read": "FROM read_parquet('http://127.0.0.1:9/a.parquet')",
    "s3": "FROM 's3://bucket/a.parquet'",
    "COPY TO": "COPY tracks TO 'out.csv'",
    "COPY of a query": "COPY (SELECT 1) TO 'out.csv'",
    "EXPLAIN of COPY": "EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'",
    "EXPORT": "EXPORT DATABASE 'out'",
    "ATTACH": "ATTACH 'other.duckdb'",
    "INSTALL": "INSTALL httpfs",
    "LOAD": "LOAD httpfs",
    "SET": "SET threads = 1",
    "RESET": "RESET threads",
    "PRAGMA": "PRAGMA database_list",
    "CALL": "CALL pragma_version()",
    "setting": "SELECT current_setting('threads')",
    "setting in a lambda": "SELECT list_transform(['threads'], name -> CURRENT_SETTING(name))",
    "settings": "FROM duckdb_settings()",
    "secrets": "FROM duckdb_secrets()",
    "getenv": "SELECT getenv('HOME')",
    "path of the database": "FROM duckdb_databases()",
    "path of the database, as a view": "FROM duckdb_databases",
    "path of the database, with a name that hides it": (
        "SELECT * FROM (WITH duckdb_databases AS (SELECT 1) FROM duckdb_databases), duckdb_databases"
    ),
    "path of the database, by pragma": "FROM pragma_database_list",
    "databases": "SHOW DATABASES",
    "all tables": "SHOW ALL TABLES",
    "another schema": "SHOW TABLES FROM store",
    "information_schema": "FROM information_schema.tables",
    "tables behind the tables": "FROM store.meta",
    "query": "FROM query('FROM read_text(''/etc/passwd'')')",
    "query_table": "FROM query_table('tracks')",
    "json_execute": "FROM json_execute_serialized_sql('{}')",
    "a variable of Python": "FROM published",
    "CREATE": "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP": "CREATE TEMP MACRO f() AS 1",
    "INSERT": "INSERT INTO tracks SELECT * FROM tracks",
    "DELETE": "WITH a AS (SELECT 1) DELETE FROM tracks",
    "DROP": "DROP TABLE tracks",
    "several": "SELECT 1; SELECT 2",
    "several, the last one hostile": "SELECT 1; COPY tracks TO 'out.csv'",
    "no SQL": "SELEKT 1",
    "empty": "  ",
    "long": f"SELECT '{'x' * 60_000}'",
    "deep": f"SELECT {'[' * 3000}1{']' * 3000}",
    "no table": "FROM trackz",
    "no column": "SELECT nope FROM tracks",
    "one large value": "SELECT repeat('x', 5000000)",
    "error": "SELECT error('two' || chr(10) || 'lines')",
}
"""Queries that get one sentence at once."""

SLOW = {
    "endless join": "SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000000) b",
    "endless recursion": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "endless series": "SELECT sum(generate_series) FROM generate_series(1, 1000000000000)",
    "endless series, sorted": "FROM generate_series(1, 1000000000000) ORDER BY hash(generate_series)",
}
"""Queries that never end by themselves, or need more memory than they get."""

MUCH_MEMORY = "SELECT len(range(1000000000))"
"""A query whose only value has eight gigabytes, which DuckDB does not count."""

UNINTERRUPTIBLE = "SELECT levenshtein(repeat('a', 600000), repeat('b', 600000))"
"""A query that DuckDB cannot interrupt: one value takes minutes."""


def call_of_two() -> SmallWorld:
    """Return a call in which ann has a camera, ben publishes nothing, and a window failed."""
    world = SmallWorld()
    world.call()
    world.stay("ann", 0, 900, client_ip="192.0.2.7")
    world.stay("ben")
    world.track(steady(0, 600))
    world.warning(5)
    lose_a_window(world)
    return world


def publish(world: SmallWorld, data: Path, *, lake: bool = False) -> Path | LakeCatalog:
    """Publish a world in a data folder, as a file or as a DuckLake, and return where."""
    data.mkdir(exist_ok=True)
    if not lake:
        world.load(data).close()
        return (data / "published.duckdb").replace(data / "warehouse.duckdb")
    catalog = LakeCatalog.parse(f"ducklake:{data}/catalog.ducklake", data)
    opened = DuckLake(catalog, turns=choose_turns(catalog, f"{data}", data / "locks"))
    opened.load(world, world.days())
    opened.close()
    return catalog


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run the steps of a test."""
    anyio.run(scenario)


@asynccontextmanager
async def started(data: Path, *arguments: str, **variables: str) -> AsyncIterator[Any]:
    """Start `call-metrics mcp` on a data folder, and yield the SDK's client on its standard input and output."""
    server = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "pipeline", "mcp", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": f"{data.parent}", "CALL_METRICS_DATA": f"{data}", **variables},
        cwd=f"{data.parent}",
    )
    async with mcp.Client(server) as client:
        yield client


async def values(client: Any, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool, and return its structured result."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    found: dict[str, Any] = result.structured_content
    return found


async def refusal(client: Any, tool: str, **arguments: Any) -> str:
    """Call a tool that refuses, and return its sentence."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, arguments
    (content,) = result.content
    sentence: str = content.text
    assert "\n" not in sentence
    assert len(sentence) < 800
    assert "Traceback" not in sentence
    return sentence
