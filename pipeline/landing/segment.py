"""The file format of raw responses: a Parquet file of requests and responses, called a segment.

The columns of the request and of the outcome can be read without the bodies. Bodies are in small row groups, so that
reading one call session does not read the whole day. Where segments are stored is in `landing.landing`, when they are
written in `landing.writer`.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import Broken, FixStorage, Quarantined
from pipeline.files import reading
from pipeline.model import Response
from pipeline.schema import INSTANT
from pipeline.storage import Store

__all__ = [
    "INDEX_COLUMNS",
    "RAW_SCHEMA",
    "ROW_GROUP_ROWS",
    "open_segment",
    "quarantine_segment",
    "replaced_by",
    "row_groups",
    "unwritable",
    "write_segment",
]

VERSION = 1
"""Version of the columns, in each file's metadata as `call_metrics.raw_version`."""

REPLACES = "call_metrics.replaces"
"""In a compacted segment's metadata: the names of the segments that it replaces, compressed."""

ROW_GROUP_BYTES = 1 << 20
"""Characters of bodies in a row group."""

ROW_GROUP_ROWS = 64
"""Rows in a row group of a segment that is rewritten."""

REMEDY = "its content will be fetched again"

RAW_SCHEMA = pa.schema(
    [
        pa.field("endpoint", pa.string()),
        pa.field("session_date", pa.date32()),
        pa.field("call_type", pa.string()),
        pa.field("call_id", pa.string()),
        pa.field("call_session_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("user_session_id", pa.string()),
        pa.field("since", INSTANT),
        pa.field("until", INSTANT),
        pa.field("listing", pa.string(), metadata={"comment": "id that the pages of one listing share"}),
        pa.field("page", pa.int32()),
        pa.field("cursor", pa.string(), metadata={"comment": "where the page starts, as received"}),
        pa.field("next_cursor", pa.string(), metadata={"comment": "where the next page starts, as received"}),
        pa.field("publishes", pa.bool_(), metadata={"comment": "of metrics: whether the user published anything"}),
        pa.field("status", pa.int32(), metadata={"comment": "HTTP status; NULL if no response came"}),
        pa.field("attempts", pa.int32()),
        pa.field("fetched_at", INSTANT, metadata={"comment": "by the source's clock"}),
        pa.field("error", pa.string(), metadata={"comment": "NULL for a usable response"}),
        pa.field("body_bytes", pa.int64()),  # in characters, whatever the name says; it is on disk
        pa.field("body", pa.string(), metadata={"comment": "as received, decompressed"}),
    ],
    metadata={"call_metrics.raw_version": str(VERSION)},
)
"""Columns of a segment: the request, its outcome, and the body last."""

INDEX_COLUMNS = [name for name in RAW_SCHEMA.names if name != "body"]
"""Everything but the body."""

_DICTIONARIES = ["endpoint", "call_type", "call_id", "call_session_id", "user_id", "user_session_id", "error"]


def write_segment(path: Path, groups: Iterable[pa.Table], *, replaces: Sequence[str] = ()) -> None:
    """Write row groups with the columns of `RAW_SCHEMA` to a file. `replaces` see `replaced_by`. Raises `OSError`."""
    with (
        path.open("wb") as sink,
        pq.ParquetWriter(
            sink,
            RAW_SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=_DICTIONARIES,
            write_page_checksum=True,
        ) as writer,
    ):
        for group in groups:
            writer.write_table(group)
        if replaces:
            packed = zlib.compress("\n".join(replaces).encode())
            writer.add_key_value_metadata({REPLACES: base64.b64encode(packed).decode()})


@contextmanager
def open_segment(store: Store, key: str) -> Iterator[pq.ParquetFile]:
    """Open a segment for reading.

    Raises `Broken`, `Quarantined` if it was removed or replaced meanwhile, and `FixStorage` if a later version wrote it
    or the disk fails.
    """
    path = store.path(key)
    with (
        reading(path, REMEDY),
        _noticing_removal(path),
        store.open(key) as source,
        pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=store.is_remote) as file,
    ):
        if not set(RAW_SCHEMA.names) <= set(file.schema_arrow.names):
            raise Broken(f"{path} is not a file of raw responses; {REMEDY}", "not a file of raw responses")
        version = int((file.metadata.metadata or {}).get(b"call_metrics.raw_version", b"0"))
        if version > VERSION:
            raise FixStorage(f"{path} was written by a later version of Call Metrics; upgrade this one")
        yield file


def replaced_by(file: pq.ParquetFile) -> tuple[str, ...]:
    """Return the names of the segments whose rows are in this one and that must no longer be read, oldest first."""
    packed = (file.metadata.metadata or {}).get(REPLACES.encode())
    return tuple(zlib.decompress(base64.b64decode(packed)).decode().split("\n")) if packed else ()


@contextmanager
def _noticing_removal(path: PurePath) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise Quarantined(f"{path} was removed meanwhile; reading the folder again") from None


def row_groups(responses: Iterable[Response]) -> Iterator[pa.Table]:
    """Yield the rows of responses, about `ROW_GROUP_BYTES` of bodies at a time."""
    rows: list[dict[str, Any]] = []
    size = 0
    for response in responses:
        rows.append(_row(response))
        size += len(response.body)
        if size >= ROW_GROUP_BYTES:
            yield pa.Table.from_pylist(rows, RAW_SCHEMA)
            rows, size = [], 0
    if rows:
        yield pa.Table.from_pylist(rows, RAW_SCHEMA)


def quarantine_segment(store: Store, key: str, error: Broken) -> str:
    """Quarantine a broken segment and return the sentence about it. Raises `FixStorage` if it cannot be renamed."""
    try:
        return store.quarantine(key, f"is broken ({error.reason})", REMEDY)
    except OSError as refusal:
        raise unwritable(store.path(key).parent, refusal) from None


def unwritable(path: PurePath, error: OSError) -> FixStorage:
    """Return the error for a file or folder that cannot be written."""
    return FixStorage(f"{path} cannot be written ({error.strerror or error}); free space or fix it, and run again")


def _row(response: Response) -> dict[str, Any]:
    request = response.request
    stay = request.stay
    call = stay.call if stay is not None else request.call
    return {
        "endpoint": request.endpoint,
        "session_date": request.session_date,
        "call_type": call.call_type if call else None,
        "call_id": call.call_id if call else None,
        "call_session_id": call.call_session_id if call else None,
        "user_id": stay.user_id if stay else None,
        "user_session_id": stay.user_session_id if stay else None,
        "since": request.window.since if request.window else None,
        "until": request.window.until if request.window else None,
        "listing": request.listing,
        "page": request.page,
        "cursor": request.cursor,
        "next_cursor": response.next_cursor,
        "publishes": response.publishes,
        "status": response.status,
        "attempts": response.attempts,
        "fetched_at": response.fetched_at,
        "error": response.error,
        "body_bytes": len(response.body),
        "body": response.body,
    }
