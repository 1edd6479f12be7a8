"""Decides which SQL of a stranger runs: one SELECT from the published tables and views, and nothing else.

DuckDB's own parser says what a query consists of, and only what is known to be harmless passes. Below that, the
database is read-only, without other files or a network, and its settings are locked, see `warehouse.published`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

import duckdb
import orjson

from pipeline.catalog import ALL_APPS
from pipeline.errors import FixSettings
from pipeline.quality.views import MACROS

__all__ = ["MAX_QUERY_LENGTH", "check_query"]

MAX_QUERY_LENGTH = 50_000
"""Characters of a query. Parsing longer ones takes long, and nobody writes them."""

ONE_SELECT = "this server runs one SELECT (or DESCRIBE, SHOW TABLES, SUMMARIZE, EXPLAIN of a SELECT) and nothing else"

TABLE_FUNCTIONS = {"range", "generate_series", "unnest", "json_each", "json_tree", "summary"}
"""Table functions that read nothing. `summary` is what SUMMARIZE becomes."""

REFUSED_FUNCTIONS = {"current_setting", "getenv", "write_log"}
"""Functions that show or change what is not data: settings, the environment, logs."""

EXPLAIN = re.compile(r"\s*EXPLAIN\s+(?:ANALYZE\s+)?", re.IGNORECASE)


def check_query(database: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise `FixSettings` with one sentence unless the query is one SELECT from published tables and views."""
    if not query.strip():
        raise FixSettings("the query is empty; write one SELECT")
    if len(query) > MAX_QUERY_LENGTH:
        raise FixSettings(f"the query is longer than {MAX_QUERY_LENGTH:,} characters; write a shorter one")
    nodes = list(_nodes(_parsed(database, EXPLAIN.sub("", query, count=1) if EXPLAIN.match(query) else query)))
    row = database.execute("SELECT current_database(), current_schema()").fetchone()
    current, app = row or ("", "")
    schemas = {"", current, app, ALL_APPS.public}
    published = {name for (name,) in database.execute("SELECT DISTINCT table_name FROM column_comments").fetchall()}
    named = _names_of_subqueries(database, nodes)
    for node in nodes:
        _check_function(node)
        if node.get("type") == "SHOW_REF":
            _check_show(node)
        elif node.get("type") == "BASE_TABLE":
            _check_table(node, current, schemas, published, named)


def _parsed(database: duckdb.DuckDBPyConnection, query: str) -> Any:
    """Return the only statement of a query, as DuckDB's parser sees it."""
    (text,) = database.execute("SELECT json_serialize_sql($query::VARCHAR)", {"query": query}).fetchone() or ("{}",)
    try:
        parsed = orjson.loads(text)
    except ValueError:  # more levels than orjson reads
        raise FixSettings("the query is nested too deeply; write a simpler one") from None
    if parsed.get("error_type") == "parser":
        reason = " ".join(str(parsed.get("error_message")).split())
        raise FixSettings(f"the query failed: {reason}")
    if parsed.get("error") is not False or len(parsed.get("statements", ())) != 1:
        raise FixSettings(ONE_SELECT)
    return parsed["statements"][0]


def _nodes(statement: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within a parsed statement."""
    waiting = [statement]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _names_of_subqueries(database: duckdb.DuckDBPyConnection, nodes: list[dict[str, Any]]) -> set[str]:
    """Return the names that WITH gives, in lower case.

    The names of DuckDB's own views are left out: such a view would pass outside of the WITH that has its name.
    """
    own = {
        name.lower()
        for (name,) in database.execute("SELECT DISTINCT view_name FROM duckdb_views() WHERE internal").fetchall()
    }
    given = {
        str(entry["key"]).lower()
        for node in nodes
        if isinstance(node.get("cte_map"), dict)
        for entry in node["cte_map"].get("map", ())
    }
    return given - own


def _check_function(node: dict[str, Any]) -> None:
    if node.get("type") == "TABLE_FUNCTION":
        name = str(node.get("function", {}).get("function_name", "")).lower()
        if name not in TABLE_FUNCTIONS | MACROS.keys():
            raise FixSettings(
                f"this server runs no table function {name!r}, and reads no other files, networks or settings; select "
                "from the tables that list_tables names"
            )
    elif str(node.get("function_name", "")).lower() in REFUSED_FUNCTIONS:
        raise FixSettings(f"this server runs no function {node['function_name']!r}; it shows data, and no settings")


def _check_show(node: dict[str, Any]) -> None:
    """Refuse what lists more than the published tables, such as SHOW DATABASES."""
    if node.get("table_name") not in ("", '"tables"') or node.get("show_type") == "SHOW_FROM":
        raise FixSettings("this server shows the published tables only; use SHOW TABLES, DESCRIBE or list_tables")


def _check_table(node: dict[str, Any], current: str, schemas: set[str], published: set[str], named: set[str]) -> None:
    catalog, schema, name = (str(node.get(part, "")).lower() for part in ("catalog_name", "schema_name", "table_name"))
    if catalog in ("", current) and schema in schemas and name in published:
        return
    if not catalog and not schema and name in named:
        return
    full_name = ".".join(part for part in (catalog, schema, name) if part)[:100]
    nearest = difflib.get_close_matches(name, published, 1)
    what = f"did you mean {nearest[0]}?" if nearest else "list_tables names those that there are"
    raise FixSettings(f"there is no published table {full_name!r}, and this server reads nothing else; {what}")
