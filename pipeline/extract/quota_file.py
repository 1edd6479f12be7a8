"""What the latest run saw of the quotas, in one small file, so that alerts notice that we are refused for long.

It is written about once a minute while requests are sent, since a run that is refused waits, and so ends late. How a
quota is followed is in `quota`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import FixStorage
from pipeline.extract.quota import QuotaSeen
from pipeline.storage import StoredFile

__all__ = ["NOTE_SECONDS", "QuotaFile", "QuotaNote"]

log = logging.getLogger(__name__)

NOTE_SECONDS = 60.0
"""Seconds between two writes."""

Quotas = Mapping[str, QuotaSeen]


@dataclass(frozen=True)
class QuotaNote:
    """What was seen of the quotas, by endpoint, up to an instant (UTC)."""

    seen_at: datetime
    quotas: Quotas


class QuotaFile:
    """The file. A write that fails is no reason to stop a run."""

    def __init__(self, file: StoredFile, *, seconds: float = NOTE_SECONDS) -> None:
        self._file = file
        self._seconds = seconds
        self._written_at: float | None = None

    def read(self) -> QuotaNote | None:
        """Return what the latest run saw; None if there was none. Raises `OSError` and `FixStorage`."""
        try:
            stored: dict[str, Any] = json.loads(self._file.read_bytes())
            quotas = {endpoint: QuotaSeen(**values) for endpoint, values in stored["quotas"].items()}
            return QuotaNote(datetime.fromisoformat(stored["seen_at"]), quotas)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # of a later version; the next run replaces it

    def write(self, quotas: Quotas) -> None:
        """Write what was seen, if anything was."""
        self._written_at = time.monotonic()
        if not quotas:
            return
        stored = {
            "seen_at": datetime.now(UTC).isoformat(),
            "quotas": {endpoint: asdict(seen) for endpoint, seen in quotas.items()},
        }
        try:
            self._file.replace(json.dumps(stored).encode())
        except (OSError, FixStorage) as error:
            log.debug("the quotas could not be written down: %s", error)

    async def keep(self, seen: Callable[[], Quotas]) -> None:
        """Write what is seen every `NOTE_SECONDS`, until cancelled. No write outlives it."""
        while True:
            await asyncio.sleep(self._seconds)
            writing = asyncio.ensure_future(asyncio.to_thread(self.write, seen()))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                with contextlib.suppress(asyncio.CancelledError):
                    await writing
                raise

    @property
    def is_due(self) -> bool:
        """Whether the last write is long ago, or none was made."""
        return self._written_at is None or time.monotonic() - self._written_at >= self._seconds
