"""Ad-hoc SQL on the published database, printed as a table, CSV, JSON or Parquet.

Here is how every type of DuckDB is written in each format. How the database is opened, read-only, is in
`warehouse.published`.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixSettings, first_line
from pipeline.sql import read_statement
from pipeline.warehouse.published import open_published

__all__ = ["json_text", "print_result"]

BATCH_ROWS = 10_000

_LOGGING = re.compile(r"\b(enable|disable)_logging\s*\(", re.IGNORECASE)

MAX_TABLE_ROWS = 200
"""Rows that a printed table shows. The other formats print all."""


def print_result(path: Path | LakeCatalog, query: str, form: str) -> None:
    """Print the result of `query` on the database at `path`: as table, csv, json or parquet (bytes on stdout).

    Data is in UTF-8, whatever the terminal is set to. A column with the name of an earlier one gets a number (`n`,
    `n_1`). Raises `FixStorage` if the database is missing or cannot be opened, `FixSettings` if the query fails or its
    result cannot be printed in this format.
    """
    if not query.strip():
        raise FixSettings('the query is empty; write one, such as "SUMMARIZE metric_points"')
    if form == "parquet" and sys.stdout.isatty():
        raise FixSettings("Parquet is not text; send it to a file, such as with `> result.parquet`")
    if form != "table" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    with open_published(path) as database:
        try:
            if isinstance(path, LakeCatalog):
                _refuse_all_but_select(database, query)
            else:
                _refuse_calls(database, query)
            relation = database.sql(query)
            if relation is None:
                return
            _PRINTERS[form](relation)
        except duckdb.Error as error:
            reason = without_password(" ".join(str(error).split()))
            raise FixSettings(f"the query failed: {reason}") from None


def _refuse_calls(database: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise `FixSettings` for CALL, which changes settings rather than asks, and for the logging of DuckDB.

    `enable_logging` with a file ends the whole process within DuckDB, since files are out of reach.
    """
    calls = any(statement.type == duckdb.StatementType.CALL for statement in database.extract_statements(query))
    if calls or _LOGGING.search(query):
        raise FixSettings("the query failed: CALL and the logging of DuckDB cannot be used here; write a SELECT")


def _refuse_all_but_select(database: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise an error of DuckDB if a query on a lake is not one SELECT from tables and views.

    Table functions could write into the lake's folder, or connect to other servers than the catalog's. A path as the
    name of a table could leave the lake's part of a bucket by `..`, which HTTP resolves and DuckDB does not.
    """
    database.execute(read_statement("pipeline.serving", "only_select").replace("MACRO only", "TEMP MACRO only"))
    (allowed,) = database.execute("SELECT only_select('', $query)", {"query": query}).fetchone() or ("",)
    paths = "SELECT json_extract_string(json_serialize_sql($query::VARCHAR), $names)"
    for names in ("$..table_name", "$..schema_name", "$..catalog_name"):
        (found,) = database.execute(paths, {"query": query, "names": names}).fetchone() or ([],)
        if any("/" in name for name in found or ()):
            database.execute(
                "SELECT error('a lake runs one SELECT from its tables and views, and reads no other file')"
            )
    if allowed != query:
        refusal = str(allowed or "SELECT error('this server runs one SELECT at a time and nothing else')")
        database.execute(refusal.replace("this server runs", "a lake runs"))


def _print_table(relation: duckdb.DuckDBPyRelation) -> None:
    relation.show(max_rows=MAX_TABLE_ROWS)


def _print_csv(relation: duckdb.DuckDBPyRelation) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_unique_names(relation))
    for rows in _batches(relation):
        writer.writerows([_csv_field(value) for value in row] for row in rows)


def _print_json(relation: duckdb.DuckDBPyRelation) -> None:
    names = _unique_names(relation)
    separator = "["
    for rows in _batches(relation):
        for row in rows:
            sys.stdout.write(f"{separator}\n{json_text(dict(zip(names, row, strict=True)))}")
            separator = ","
    sys.stdout.write("[]\n" if separator == "[" else "\n]\n")


def _print_parquet(relation: duckdb.DuckDBPyRelation) -> None:
    try:  # Arrow reports a type of DuckDB that it does not have as an OSError
        reader = relation.to_arrow_reader(BATCH_ROWS)
        fields = [field.with_name(name) for field, name in zip(reader.schema, _unique_names(relation), strict=True)]
        schema = pa.schema(fields)
        with pq.ParquetWriter(pa.PythonFile(sys.stdout.buffer, mode="w"), schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch.rename_columns(schema.names))
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # from the file or pipe that we write to
        reason = first_line(error)
        raise FixSettings(f"the result cannot be Parquet ({reason}); cast that column, or use csv") from None


def _unique_names(relation: duckdb.DuckDBPyRelation) -> list[str]:
    """Return the names of the columns, with a number if several are the same."""
    names: list[str] = []
    for wanted in relation.columns:
        name, number = wanted, 0
        while name in names:
            number += 1
            name = f"{wanted}_{number}"
        names.append(name)
    return names


def _batches(relation: duckdb.DuckDBPyRelation) -> Iterator[list[tuple[Any, ...]]]:
    while rows := relation.fetchmany(BATCH_ROWS):
        yield rows


def json_text(value: Any) -> str:
    """Return a value as JSON. Numbers of any size are numbers; those that JSON does not have are null."""
    try:
        return orjson.dumps(value, default=_decimal_or_text, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # orjson refuses some values without calling `default`
        return orjson.dumps(_converted(value), default=_decimal_or_text).decode()


def _converted(value: Any) -> Any:
    """Convert what orjson refuses: integers of more than 64 bits, some times, and keys that are not text."""
    if isinstance(value, dict):
        return {_text(name): _converted(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_converted(inner) for inner in value]
    if isinstance(value, int) and value.bit_length() > 63:
        return orjson.Fragment(str(value))
    return value.isoformat() if isinstance(value, time) else value


def _decimal_or_text(value: Any) -> Any:
    return orjson.Fragment(f"{value:f}") if isinstance(value, Decimal) else _text(value)


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _csv_field(value: Any) -> Any:
    """Return a value as a field of CSV: nested values as JSON, bytes in hexadecimal."""
    if isinstance(value, dict | list | tuple):
        return json_text(value)
    return value.hex() if isinstance(value, bytes) else value


_PRINTERS = {"table": _print_table, "csv": _print_csv, "json": _print_json, "parquet": _print_parquet}
