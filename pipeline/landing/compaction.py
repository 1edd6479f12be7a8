"""Puts the many small segments of a complete day together into a few large ones, which replace them.

A compacted segment names in its own metadata the segments that it replaces. It appears whole or not at all, and from
that moment readers ignore the others, which are deleted next. So a process that is killed at any instant loses nothing
and doubles nothing: either the compacted segment is not there yet, or what it replaces no longer counts.

Rows keep their order, and a day keeps its `Landing.origins`, so tables are not built again because of it. Hold the
day's lock.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from pipeline.endpoints import ENDPOINT_NAMES, EndpointName
from pipeline.errors import Broken, Quarantined
from pipeline.landing.landing import COMPACTED, Landing
from pipeline.landing.segment import open_segment, quarantine_segment, unwritable, write_segment

__all__ = ["COMPACTED_BYTES", "MAX_SMALL_SEGMENTS", "compact_day", "is_scattered"]

MAX_SMALL_SEGMENTS = 8
"""Segments of an endpoint's day that are left as they are. Each costs a request, or a file to open, whenever the day is
read. Writing them again pays only if they are more than a few, and most days of a small app never are."""

COMPACTED_BYTES = 64 << 20
"""Characters of bodies in a compacted segment, at most: about 8 MB on disk. Erasing a person reads a segment whole, so
this bounds the memory for it."""

ROW_GROUP_BYTES = 4 << 20
"""Characters of bodies in a row group. The index of each row group is a request of its own to an object store."""


def is_scattered(landing: Landing, day: date, endpoints: Sequence[EndpointName] = ENDPOINT_NAMES) -> bool:
    """Return whether an endpoint has too many small segments of a day, or some that are replaced and still there."""
    return any(_is_scattered(landing, endpoint, day) for endpoint in endpoints)


def compact_day(landing: Landing, day: date, endpoints: Sequence[EndpointName] = ENDPOINT_NAMES) -> int:
    """Compact the segments of a day, for those of the endpoints that have many. Returns how many were replaced.

    Raises `Quarantined` for a broken segment, and `FixStorage`.
    """
    return sum(_compact(landing, endpoint, day) for endpoint in endpoints if _is_scattered(landing, endpoint, day))


def _is_scattered(landing: Landing, endpoint: EndpointName, day: date) -> bool:
    small = [name for name in landing.names(endpoint, day) if COMPACTED not in name]
    return len(small) > MAX_SMALL_SEGMENTS or bool(landing.leftovers(endpoint, day))


def _compact(landing: Landing, endpoint: EndpointName, day: date) -> int:
    landing.delete(endpoint, day, landing.leftovers(endpoint, day))
    replaced = 0
    for group in _groups(_sizes(landing, endpoint, day)):
        if len(group) > 1:
            _replace(landing, endpoint, day, group)
            replaced += len(group)
    return replaced


def _sizes(landing: Landing, endpoint: EndpointName, day: date) -> dict[str, int]:
    """Return the characters of bodies in each segment, oldest first."""
    index = landing.index(endpoint, day)
    sizes = Counter(dict.fromkeys(landing.names(endpoint, day), 0))
    for name, size in zip(*(index.column(name).to_pylist() for name in ("segment", "body_bytes")), strict=True):
        sizes[name] += size
    return dict(sizes)


def _groups(sizes: dict[str, int]) -> Iterator[list[str]]:
    """Yield neighbours that fit in one segment. One that is half full already is not written again."""
    group: list[str] = []
    filled = 0
    for name, size in sizes.items():
        if size > COMPACTED_BYTES // 2 or filled + size > COMPACTED_BYTES:
            yield group
            group, filled = [], 0
        if size <= COMPACTED_BYTES // 2:
            group.append(name)
            filled += size
    yield group


def _replace(landing: Landing, endpoint: EndpointName, day: date, names: Sequence[str]) -> None:
    """Write the rows of some segments as one, in their order, then delete them."""
    replaces: list[str] = []
    for name in names:
        replaces += [*landing.replaces(endpoint, day, name), name]
    digest = hashlib.sha256("\n".join(replaces).encode()).hexdigest()[:8]
    stem = names[-1].removesuffix(".parquet").partition(COMPACTED)[0]
    key = landing.key(endpoint, day, f"{stem}{COMPACTED}{digest}.parquet")
    try:
        with landing.store.adding(key) as path:
            write_segment(path, _row_groups(landing, endpoint, day, names), replaces=replaces)
    except OSError as error:
        raise unwritable(landing.store.path(key), error) from None
    landing.delete(endpoint, day, names)


def _row_groups(landing: Landing, endpoint: EndpointName, day: date, names: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the rows of some segments, about `ROW_GROUP_BYTES` of bodies at a time."""
    waiting: list[pa.Table] = []
    size = 0
    for name in names:
        for rows in _read(landing, endpoint, day, name):
            waiting.append(rows)
            size += sum(rows.column("body_bytes").to_pylist())
            if size >= ROW_GROUP_BYTES:
                yield pa.concat_tables(waiting).combine_chunks()
                waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _read(landing: Landing, endpoint: EndpointName, day: date, name: str) -> Iterator[pa.Table]:
    key = landing.key(endpoint, day, name)
    try:
        with open_segment(landing.store, key) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, use_threads=False)
    except Broken as error:
        raise Quarantined(quarantine_segment(landing.store, key, error)) from None
