"""Ad-hoc SQL on the published database, printed in the form that is asked for."""

from __future__ import annotations

import csv
import io
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

from pipeline.errors import FixSettings, first_line
from pipeline.warehouse.published import open_published

__all__ = ["print_result"]

BATCH = 10_000


def print_result(path: Path, query: str, form: str) -> None:
    """Print what `query` gives on the database at `path`: as table, csv, json or parquet (bytes on stdout).

    Data is in UTF-8 whatever the terminal is set to, a column that has the name of an earlier one is told by a number
    (`n`, `n_1`). Raises `FixStorage` where the database is not there, `FixSettings` where the query cannot be answered.
    """
    if form == "parquet" and sys.stdout.isatty():
        raise FixSettings("Parquet is no text; send it to a file, such as with `> result.parquet`")
    if form != "table" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    with open_published(path) as database:
        try:
            relation = database.sql(query)
            if relation is None:
                return
            _PRINTERS[form](relation)
        except duckdb.Error as error:
            raise FixSettings(f"the query cannot be answered: {' '.join(str(error).split())}") from None


def _print_table(relation: duckdb.DuckDBPyRelation) -> None:
    relation.show(max_rows=200)


def _print_csv(relation: duckdb.DuckDBPyRelation) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_names(relation))
    for rows in _rows(relation):
        writer.writerows([_field(value) for value in row] for row in rows)


def _print_json(relation: duckdb.DuckDBPyRelation) -> None:
    names = _names(relation)
    separator = "["
    for rows in _rows(relation):
        for row in rows:
            sys.stdout.write(f"{separator}\n{_json(dict(zip(names, row, strict=True)))}")
            separator = ","
    sys.stdout.write("[]\n" if separator == "[" else "\n]\n")


def _print_parquet(relation: duckdb.DuckDBPyRelation) -> None:
    try:  # what DuckDB has and Arrow has not, Arrow reports as an OSError
        reader = relation.to_arrow_reader(BATCH)
        fields = [field.with_name(name) for field, name in zip(reader.schema, _names(relation), strict=True)]
        schema = pa.schema(fields)
        with pq.ParquetWriter(pa.PythonFile(sys.stdout.buffer, mode="w"), schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch.rename_columns(schema.names))
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file or pipe that it goes to
        reason = first_line(error)
        raise FixSettings(f"the result cannot be Parquet ({reason}); cast that column, or ask for csv") from None


def _names(relation: duckdb.DuckDBPyRelation) -> list[str]:
    """The names of the columns, made different where several are the same."""
    names: list[str] = []
    for wanted in relation.columns:
        name, number = wanted, 0
        while name in names:
            number += 1
            name = f"{wanted}_{number}"
        names.append(name)
    return names


def _rows(relation: duckdb.DuckDBPyRelation) -> Iterator[list[tuple[Any, ...]]]:
    while rows := relation.fetchmany(BATCH):
        yield rows


def _json(value: Any) -> str:
    """As JSON: numbers as numbers whatever their size, null for those that JSON does not know."""
    try:
        return orjson.dumps(value, default=_decimal_or_text, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # values that orjson refuses before it asks what they should be
        return orjson.dumps(_accepted(value), default=_decimal_or_text).decode()


def _accepted(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(name): _accepted(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_accepted(inner) for inner in value]
    if isinstance(value, int) and value.bit_length() > 63:
        return orjson.Fragment(str(value))
    return value.isoformat() if isinstance(value, time) else value


def _decimal_or_text(value: Any) -> Any:
    return orjson.Fragment(f"{value:f}") if isinstance(value, Decimal) else _text(value)


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _field(value: Any) -> Any:
    """As a field of CSV: what has parts as JSON, bytes in hexadecimal."""
    if isinstance(value, dict | list | tuple):
        return _json(value)
    return value.hex() if isinstance(value, bytes) else value


_PRINTERS = {"table": _print_table, "csv": _print_csv, "json": _print_json, "parquet": _print_parquet}
