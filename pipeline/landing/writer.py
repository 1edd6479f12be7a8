"""Appends responses to a day: collects them for up to two seconds and writes them as segments, redacted."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from pipeline.endpoints import EndpointName
from pipeline.errors import FixStorage
from pipeline.landing.segment import row_groups, unwritable, write_segment
from pipeline.model import Response
from pipeline.storage import Store

__all__ = ["SEGMENT_BYTES", "SEGMENT_SECONDS", "STAMP", "LandingWriter", "Redact"]

STAMP = "%Y%m%dT%H%M%S.%fZ"
"""Format of the time in the name of a segment, before its first dash: when it was written (UTC)."""

Redact = Callable[[EndpointName, str], str]
"""Removes from a body what must not land."""

SEGMENT_BYTES = 8 << 20
"""Characters of bodies after which a segment is written."""

SEGMENT_SECONDS = 2.0
"""Seconds after which a segment is written however small it is: the most that a killed run loses."""


class LandingWriter:
    """Collects responses and writes them as segments, by size and by age."""

    def __init__(self, store: Store, folder: str, redact: Redact) -> None:
        self._store = store
        self._folder = folder
        self._redact = redact
        self._responses: list[Response] = []
        self._bytes = 0
        self._waiting_since = 0.0
        self._writing = asyncio.Lock()
        self._failure: FixStorage | None = None

    async def append(self, response: Response) -> None:
        """Take a response. It is on disk at most `SEGMENT_SECONDS` later. Raises `FixStorage`."""
        if self._failure is not None:
            raise self._failure
        if not self._responses:
            self._waiting_since = time.monotonic()
        self._responses.append(response)
        self._bytes += len(response.body)
        if self._bytes >= SEGMENT_BYTES:
            # Shielded: if the caller is cancelled, the segment is still written before the day is closed.
            await asyncio.shield(self._flush_full())

    async def flush(self) -> None:
        """Write what was collected. Raises `FixStorage`; then nothing is dropped."""
        async with self._writing:
            await self._write()

    async def _flush_full(self) -> None:
        """Write a full segment, unless another append has written it while this one waited for its turn."""
        async with self._writing:
            if self._bytes >= SEGMENT_BYTES:
                await self._write()

    async def _write(self) -> None:
        responses, self._responses, self._bytes = self._responses, [], 0
        if not responses:
            return
        try:
            await asyncio.to_thread(_write, self._store, self._folder, responses, self._redact)
        except Exception as error:
            self._responses[:0] = responses
            if isinstance(error, OSError):
                self._failure = unwritable(self._store.path(self._folder), error)
                raise self._failure from None
            if isinstance(error, FixStorage):
                self._failure = error
            raise

    async def tick(self) -> None:
        """Write what has waited for `SEGMENT_SECONDS`, until cancelled."""
        while True:
            waited = time.monotonic() - self._waiting_since if self._responses else 0.0
            if waited < SEGMENT_SECONDS:
                await asyncio.sleep(SEGMENT_SECONDS - waited)
            else:
                await asyncio.shield(self.flush())


def _write(store: Store, folder: str, responses: list[Response], redact: Redact) -> None:
    stamp = datetime.now(UTC).strftime(STAMP)
    redacted = (replace(response, body=redact(response.request.endpoint, response.body)) for response in responses)
    with store.adding(f"{folder}/{stamp}-{secrets.token_hex(4)}.parquet") as path:
        write_segment(path, row_groups(redacted))
