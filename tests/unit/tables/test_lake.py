"""The lake: what readers see of a table's file, and that a file is replaced as a whole or stays."""

from __future__ import annotations

import gc
import itertools
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Broken, FixStorage
from pipeline.schema import METRICS, TABLES
from pipeline.tables.lake import LOOKED_UP, Lake
from tests.support import DAY, at, examples, no_file_larger_than, no_more_files_open

NAMES = list(TABLES)
FOLDERS = itertools.count()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Return a lake in a folder of the test's own."""
    return Lake(tmp_path / "tables")


def value(field: pa.Field, number: int) -> Any:
    """Return a value of the field's type."""
    if pa.types.is_string(field.type):
        return f"{field.name} {number}"
    if pa.types.is_date(field.type):
        return DAY
    if pa.types.is_timestamp(field.type):
        return at(10, 0, number + 0.000001)
    if pa.types.is_boolean(field.type):
        return number % 2 == 0
    if pa.types.is_list(field.type):
        return ["user", f"role {number}"]
    return number if pa.types.is_integer(field.type) else number + 0.25


def rows(table: str, count: int = 3) -> pa.Table:
    """Return some rows of a table, sorted by its key, with NULLs in the last one wherever they are allowed."""
    schema = TABLES[table].schema
    filled = [{field.name: value(field, number) for field in schema} for number in range(count)]
    for name in set(schema.names) - set(TABLES[table].key):
        filled[-1][name] = None
    return pa.Table.from_pylist(filled, schema)


def write(lake: Lake, table: str, content: pa.Table, fingerprint: str = "f1", day: date = DAY) -> None:
    with lake.writer(table, day, fingerprint) as writer:
        writer.write(content)


# What readers see.


@pytest.mark.parametrize("table", NAMES)
def test_lake_returns_rows_as_they_were_written(table: str, lake: Lake) -> None:
    """Rows come back with the names, types and comments of the contract."""
    write(lake, table, rows(table))
    back = lake.read(table, DAY)
    assert back.to_pylist() == rows(table).to_pylist()
    assert back.schema.equals(TABLES[table].schema)
    assert all(back.schema.field(name).metadata for name in back.schema.names)
    assert lake.rows(table, DAY) == 3


@pytest.mark.parametrize("table", NAMES)
def test_table_file_can_be_read_with_pyarrow(table: str, lake: Lake) -> None:
    """Readers see plain text columns with their comments, whatever the encoding in the file."""
    write(lake, table, rows(table))
    for read in (pq.read_schema(lake.path(table, DAY)), ds.dataset(lake.path(table, DAY)).schema):
        for field in TABLES[table].schema:
            assert read.field(field.name).type == field.type
            assert read.field(field.name).metadata[b"comment"] == field.metadata[b"comment"]


DUCKDB_TYPES = {
    pa.string(): "VARCHAR",
    pa.date32(): "DATE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.list_(pa.string()): "VARCHAR[]",
}


@pytest.mark.parametrize("table", NAMES)
def test_table_folder_can_be_read_with_duckdb(table: str, lake: Lake, tmp_path: Path) -> None:
    """Columns have the types of the contract, instants are exact, and the day in the path agrees with the column."""
    write(lake, table, rows(table))
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        found = database.sql(
            f"SELECT * FROM read_parquet('{tmp_path}/tables/{table}/*/*.parquet', hive_partitioning = true)"
        )
        assert dict(zip(found.columns, map(str, found.types), strict=True)) == {
            field.name: DUCKDB_TYPES[field.type] for field in TABLES[table].schema
        }
        assert found.select(*TABLES[table].schema.names).to_arrow_table().cast(TABLES[table].schema) == rows(table)


@pytest.mark.parametrize("table", NAMES)
def test_table_file_is_compressed_sorted_and_has_statistics(table: str, lake: Lake) -> None:
    """Files use zstd, name their sort order, and have statistics on the columns that people look things up by."""
    write(lake, table, rows(table))
    metadata = pq.read_metadata(lake.path(table, DAY))
    group = metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    names = [metadata.schema.column(one.column_index).name for one in group.sorting_columns]
    assert tuple(names) == TABLES[table].key
    assert not any(one.descending or one.nulls_first for one in group.sorting_columns)
    described = {column.path_in_schema for column in columns if column.is_stats_set}
    assert described >= LOOKED_UP & set(TABLES[table].schema.names)


def test_schema_comments_every_column_and_keys_start_with_the_day() -> None:
    """Every column has a comment, and every table a key of its own columns."""
    for table in TABLES.values():
        assert all(table.comment_of(name) for name in table.schema.names)
        assert set(table.key) <= set(table.schema.names)
        ids = ["session_date", "call_type", "call_id", "call_session_id"]
        assert table.schema.names[:4] == ids or (table.name == "incidents" and "call_id" not in table.schema.names)
        assert table.key[0] == table.schema.names[0] == "session_date"
        assert table.comment.startswith("One row per ")


# Writing.


def test_lake_writes_pieces_plain_or_as_dictionaries(lake: Lake) -> None:
    """Each piece may be plain or encoded, with a dictionary of its own and its columns in any order."""
    plain = rows("metric_points", 6)
    encoded = plain.slice(2, 2)
    for place, field in enumerate(encoded.schema):
        if pa.types.is_string(field.type):
            encoded = encoded.set_column(place, field.name, encoded.column(field.name).dictionary_encode())
    with lake.writer("metric_points", DAY, "f") as writer:
        for piece in (plain.slice(0, 2), encoded, plain.slice(4), plain.slice(0, 0)):
            writer.write(piece.select(list(reversed(piece.column_names))))
    assert lake.read("metric_points", DAY).to_pylist() == plain.to_pylist()


def test_lake_writes_a_file_for_a_table_without_rows(lake: Lake) -> None:
    """The file has the schema and no row."""
    with lake.writer("tracks", DAY, "f"):
        pass
    assert lake.rows("tracks", DAY) == 0
    assert lake.read("tracks", DAY).schema.equals(TABLES["tracks"].schema)
    assert list(lake.chunks("tracks", DAY)) == []


@pytest.mark.slow
@given(
    points=st.lists(
        st.tuples(
            st.none() | st.text(max_size=8),
            st.sampled_from(METRICS),
            st.integers(0, 2**50),
            st.floats(allow_nan=False),
        ),
        max_size=30,
    ),
    size=st.integers(1, 10),
)
@examples(40)
def test_lake_returns_any_values_as_they_were(points: list[tuple[Any, ...]], size: int, tmp_path: Path) -> None:
    """Texts, instants and numbers of any kind come back, in pieces of any size."""
    lake = Lake(tmp_path / str(next(FOLDERS)))
    schema = TABLES["metric_points"].schema
    filled = [
        {**dict.fromkeys(schema.names), "session_date": DAY, "track_id": track, "metric": metric, "value": measured}
        for track, metric, _, measured in points
    ]
    table = pa.Table.from_pylist(filled, schema)
    instants = (
        pa.array([instant for *_, instant, _ in points], pa.int64())
        .cast(pa.timestamp("us"))
        .cast(schema.field("timestamp").type)
    )
    table = table.set_column(schema.get_field_index("timestamp"), schema.field("timestamp"), instants)
    with lake.writer("metric_points", DAY, "f") as writer:
        for start in range(0, table.num_rows, size):
            writer.write(table.slice(start, size))
    assert lake.read("metric_points", DAY).equals(table)


def test_lake_chunks_are_row_groups_with_requested_dictionaries(lake: Lake) -> None:
    """All rows come in order, and only the named columns are encoded."""
    plain = rows("metric_points", 4)
    with lake.writer("metric_points", DAY, "f") as writer:
        writer.write(plain.slice(0, 3))
        writer.write(plain.slice(3))
    chunks = list(lake.chunks("metric_points", DAY, dictionaries=["call_id", "metric"]))
    assert pa.types.is_dictionary(chunks[0].schema.field("call_id").type)
    assert not pa.types.is_dictionary(chunks[0].schema.field("codec").type)
    assert [row for chunk in chunks for row in chunk.to_pylist()] == plain.to_pylist()


def test_lake_days_are_those_with_a_file(lake: Lake, tmp_path: Path) -> None:
    """Days are sorted, and other files and folders do not count."""
    assert lake.days() == []
    for day in (date(2026, 11, 2), date(2026, 10, 31)):
        write(lake, "windows", rows("windows"), day=day)
    write(lake, "tracks", rows("tracks"), day=date(2026, 11, 3))
    (tmp_path / "tables" / "windows" / "session_date=2026-11-09").mkdir()
    (tmp_path / "tables" / "windows" / "notes.txt").write_text("x")
    assert lake.days() == [date(2026, 10, 31), date(2026, 11, 2)]
    assert lake.days("tracks") == [date(2026, 11, 3)]
    assert lake.has("tracks", date(2026, 11, 3))
    assert not lake.has("tracks", DAY)


# Replacing.


def test_lake_replaces_a_file_as_a_whole(lake: Lake) -> None:
    """Readers see the old file until the block ends, and one that has it open keeps it."""
    write(lake, "tracks", rows("tracks", 3), "old")
    with pq.ParquetFile(lake.path("tracks", DAY)) as opened:
        with lake.writer("tracks", DAY, "new") as writer:
            writer.write(rows("tracks", 5))
            assert lake.fingerprint("tracks", DAY) == "old"
            assert lake.rows("tracks", DAY) == 3
        assert opened.read().num_rows == 3
    assert lake.fingerprint("tracks", DAY) == "new"
    assert lake.rows("tracks", DAY) == 5


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, FixStorage])
def test_lake_keeps_only_the_old_file_after_an_error(error: type[BaseException], lake: Lake, tmp_path: Path) -> None:
    """Whatever goes wrong while rows are made, the old file stays and no other file is left."""
    write(lake, "tracks", rows("tracks"), "old")

    def fail() -> None:
        with lake.writer("tracks", DAY, "new") as writer:
            writer.write(rows("tracks", 5))
            raise error

    with pytest.raises(error):
        fail()
    gc.collect()
    assert lake.fingerprint("tracks", DAY) == "old"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["tracks.parquet"]


def test_lake_refuses_rows_of_another_table(lake: Lake) -> None:
    """A missing column, or one of another type, is an error, and the old file stays."""
    write(lake, "tracks", rows("tracks"), "old")
    for wrong in (rows("tracks").drop_columns(["codec"]), rows("windows")):
        with pytest.raises((KeyError, pa.ArrowInvalid)):
            write(lake, "tracks", wrong, "new")
    assert lake.fingerprint("tracks", DAY) == "old"


@pytest.mark.parametrize("room", [0, 100, 4096])
def test_lake_keeps_the_old_file_if_the_disk_is_full(room: int, lake: Lake, tmp_path: Path) -> None:
    """The error is one sentence, whether there is no room for rows or for the end of the file."""
    write(lake, "metric_points", rows("metric_points"), "old")
    many = rows("metric_points", 2000)
    with no_file_larger_than(room), pytest.raises(FixStorage, match="cannot be written") as caught:
        write(lake, "metric_points", many, "new")
    assert "\n" not in str(caught.value)
    gc.collect()
    assert lake.fingerprint("metric_points", DAY) == "old"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["metric_points.parquet"]


def test_lake_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The error is one sentence with the path if a file is in the way of the folder."""
    (tmp_path / "tables").write_text("not a folder")
    lake = Lake(tmp_path / "tables")
    with pytest.raises(FixStorage, match="cannot be written") as caught:
        write(lake, "tracks", rows("tracks"))
    assert str(lake.path("tracks", DAY)) in str(caught.value)
    assert "\n" not in str(caught.value)


# Fingerprints and broken files.


def test_lake_returns_the_fingerprint_of_a_file(lake: Lake) -> None:
    """The fingerprint is None if there is no file."""
    assert lake.fingerprint("tracks", DAY) is None
    write(lake, "tracks", rows("tracks"), "abc")
    assert lake.fingerprint("tracks", DAY) == "abc"


def test_lake_file_from_another_program_has_no_fingerprint(lake: Lake) -> None:
    """Without a fingerprint the file is rebuilt."""
    path = Path(lake.path("tracks", DAY))
    path.parent.mkdir(parents=True)
    pq.write_table(rows("tracks"), path)
    assert lake.fingerprint("tracks", DAY) is None


def test_lake_file_of_another_table_has_no_fingerprint(lake: Lake) -> None:
    """Someone copied it there: it is rebuilt."""
    write(lake, "windows", rows("windows"), "abc")
    path = Path(lake.path("tracks", DAY))
    path.parent.mkdir(parents=True)
    shutil.copyfile(lake.path("windows", DAY), path)
    assert lake.fingerprint("tracks", DAY) is None


def test_lake_refuses_a_file_of_a_later_version(lake: Lake) -> None:
    """The error says to upgrade, because rebuilding would discard what the later version knows."""
    path = Path(lake.path("tracks", DAY))
    path.parent.mkdir(parents=True)
    pq.write_table(rows("tracks").replace_schema_metadata({"call_metrics.tables_version": "99"}), path)
    with pytest.raises(FixStorage, match="upgrade"):
        lake.fingerprint("tracks", DAY)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_lake_quarantines_a_broken_file_when_it_is_rewritten(content: bytes, lake: Lake) -> None:
    """Reading a broken file fails with one sentence, it has no fingerprint, and writing quarantines it."""
    path = Path(lake.path("tracks", DAY))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert lake.fingerprint("tracks", DAY) is None
    for read in (lake.read, lake.rows, lambda *key: list(lake.chunks(*key))):
        with pytest.raises(FixStorage, match="rebuild") as caught:
            read("tracks", DAY)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    write(lake, "tracks", rows("tracks"), "new")
    assert lake.fingerprint("tracks", DAY) == "new"
    (quarantined,) = path.parent.glob("tracks.parquet.set-aside-*")
    assert quarantined.read_bytes() == content


def test_lake_quarantines_each_broken_file_under_its_own_name(lake: Lake) -> None:
    """All broken files are kept, however soon one comes after the other."""
    path = Path(lake.path("tracks", DAY))
    path.parent.mkdir(parents=True)
    contents = [b"first", b"second", b"third"]
    for content in contents:
        path.write_bytes(content)
        write(lake, "tracks", rows("tracks"))
    assert sorted(quarantined.read_bytes() for quarantined in path.parent.glob("tracks.parquet.set-aside-*")) == sorted(
        contents
    )


def test_lake_leaves_a_file_alone_on_a_transient_error(lake: Lake, tmp_path: Path) -> None:
    """If too many files are open, the file is neither rebuilt nor quarantined."""
    write(lake, "tracks", rows("tracks"), "old")
    with no_more_files_open():
        for read in (lake.fingerprint, lake.read, lake.rows):
            with pytest.raises(FixStorage, match="Too many open files") as caught:
                read("tracks", DAY)
            assert not isinstance(caught.value, Broken)
        with pytest.raises(FixStorage):
            write(lake, "tracks", rows("tracks"), "new")
    assert lake.fingerprint("tracks", DAY) == "old"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["tracks.parquet"]


def test_lake_detects_a_flipped_bit(lake: Lake) -> None:
    """Pages have checksums, so wrong values are never read as if they were right."""
    write(lake, "metric_points", rows("metric_points", 2000))
    path = Path(lake.path("metric_points", DAY))
    content = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(TABLES["metric_points"].schema.names.index("value"))
    content[column.data_page_offset + column.total_compressed_size - 5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(FixStorage, match="cannot be read"):
        lake.read("metric_points", DAY)


def test_lake_names_a_file_that_does_not_exist(lake: Lake) -> None:
    """The error says which command makes the file."""
    with pytest.raises(FixStorage, match="does not exist; `call-metrics rebuild` makes it"):
        lake.read("tracks", DAY)


@pytest.mark.parametrize("table", NAMES)
def test_files_have_statistics_on_the_date(lake: Lake, table: str) -> None:
    """Spark, Trino and Iceberg find the files of a day by them."""
    write(lake, table, rows(table))
    metadata = pq.read_metadata(lake.path(table, DAY))
    statistics = metadata.row_group(0).column(0).statistics
    assert (statistics.min, statistics.max, statistics.null_count) == (DAY, DAY, 0)
