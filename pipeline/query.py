"""Ad-hoc SQL on the published database, printed in the form that is asked for."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import FixSettings
from pipeline.warehouse import open_published

__all__ = ["print_result"]

BATCH = 10_000


def print_result(path: Path, query: str, form: str) -> None:
    """Print what `query` gives on the database at `path`: as table, csv, json or parquet (bytes on stdout).

    Raises `FixStorage` where the database is not there, `FixSettings` where the query cannot be answered.
    """
    if form == "parquet" and sys.stdout.isatty():
        raise FixSettings("Parquet is no text; send it to a file, such as with `> result.parquet`")
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
    writer.writerow(relation.columns)
    for rows in _rows(relation):
        writer.writerows(rows)


def _print_json(relation: duckdb.DuckDBPyRelation) -> None:
    names = relation.columns
    separator = "["
    for rows in _rows(relation):
        for row in rows:
            text = orjson.dumps(dict(zip(names, row, strict=True)), default=str, option=orjson.OPT_NON_STR_KEYS)
            sys.stdout.write(f"{separator}\n{text.decode()}")
            separator = ","
    sys.stdout.write("[]\n" if separator == "[" else "\n]\n")


def _print_parquet(relation: duckdb.DuckDBPyRelation) -> None:
    reader = relation.to_arrow_reader(BATCH)
    with pq.ParquetWriter(pa.PythonFile(sys.stdout.buffer, mode="w"), reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _rows(relation: duckdb.DuckDBPyRelation) -> Iterator[list[tuple[Any, ...]]]:
    while rows := relation.fetchmany(BATCH):
        yield rows


_PRINTERS = {"table": _print_table, "csv": _print_csv, "json": _print_json, "parquet": _print_parquet}
