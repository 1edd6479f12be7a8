"""What a table was made from: a fingerprint per file, and per call session a hash of the raw bodies behind its rows."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from pipeline.endpoints import EndpointName
from pipeline.landing.bodies import macros
from pipeline.schema import CALL_KEY, TABLES
from pipeline.sql import read_statement, statement_names
from pipeline.tables.unknown_fields import unknown_fields

__all__ = ["VERSION", "Provenance", "fingerprint", "is_outdated", "rules"]

VERSION = "1"
"""Version of the Python that decides what rows contain: `tables`, `quality.incidents`, and in `planning` `due`,
`inventory` and `completeness`. Increase it when their output changes for the same responses."""


class Provenance:
    """Takes in the raw bodies of a day: hashes each into its call session, and counts fields that we do not know."""

    def __init__(self) -> None:
        self._digests: dict[tuple[str, ...], Any] = {}
        self._unknown: Counter[tuple[EndpointName, str]] = Counter()

    def add(self, endpoint: EndpointName, rows: pa.Table, bodies: Sequence[str]) -> None:
        """Take in the next bodies. `rows` has the ids of the call session of each."""
        calls = zip(*(rows.column(name).to_pylist() for name in CALL_KEY), strict=True)
        for call, body in zip(calls, bodies, strict=True):
            if call not in self._digests:
                self._digests[call] = hashlib.sha256()
            self._digests[call].update(body.encode())
        self.search(endpoint, bodies)

    def search(self, endpoint: EndpointName, bodies: Sequence[str]) -> None:
        """Count unknown fields of bodies that are not about one call session."""
        for body in bodies:
            self._unknown.update((endpoint, name) for name in unknown_fields(endpoint, body))

    @property
    def unknown_fields(self) -> dict[str, int]:
        """How often responses have a field that we do not know, by field."""
        counts: Counter[str] = Counter()
        for (_, name), count in self._unknown.items():
            counts[name] += count
        return dict(counts)

    def unknown_of(self, *endpoints: EndpointName) -> list[str]:
        """Return the unknown fields of some endpoints, such as `participant_metrics: client.os`, sorted."""
        return sorted(f"{endpoint}: {name}" for endpoint, name in self._unknown if endpoint in endpoints)

    def digests(self) -> pa.Table:
        """Return one row per call session: its ids, and `raw_sha256` over its bodies in the order they came in."""
        rows = [(*call, digest.hexdigest()) for call, digest in self._digests.items()]
        columns = zip(*rows, strict=True) if rows else ([] for _ in range(len(CALL_KEY) + 1))
        return pa.table([pa.array(column, pa.string()) for column in columns], [*CALL_KEY, "raw_sha256"])


def fingerprint(*parts: object) -> str:
    """Return a short hash of what a table is made from, with the `rules` in front. Arrow tables count by content."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pa.Table):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, part.schema) as stream:
                stream.write_table(part.combine_chunks())
            digest.update(sink.getvalue())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return f"{rules()}-{digest.hexdigest()[:32]}"


def is_outdated(mark: str | None) -> bool:
    """Return whether a table with this fingerprint was made by other rules than ours."""
    return mark is None or mark.partition("-")[0] != rules()


@cache
def rules() -> str:
    """Return a short hash of everything that makes tables: `VERSION`, the SQL without comments and spaces, the columns.

    When it changes, tables are rebuilt.
    """
    statements = [macros()]
    for package in ("pipeline.planning", "pipeline.tables"):
        statements += [read_statement(package, name) for name in statement_names(package)]
    code = ("".join(re.sub(r"--.*", "", statement).split()) for statement in statements)
    columns = (f"{table.name}: {table.schema.to_string(show_field_metadata=False)}" for table in TABLES.values())
    return hashlib.sha256("\0".join([VERSION, *code, *columns]).encode()).hexdigest()[:8]
