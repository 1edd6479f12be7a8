"""Journal: every request the emulator was asked, in memory, for tests to count.

Here: what a request asked for (``Asked``) and what became of it (``Entry``). Not here: decisions.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for.

    Attributes:
        endpoint: its name (see ``routes.ENDPOINTS``).
        ids: the path's ids by name, decoded.
        since: as received; None where not given.
        until: as received; None where not given.
        cursor: ``next`` or ``prev``, as received.
        body: the JSON body of a POST.
        query: the query's parameters, without the key.
    """

    endpoint: str
    ids: Mapping[str, str] = field(default_factory=dict)
    since: str | None = None
    until: str | None = None
    cursor: str | None = None
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """What tells this request from another; a repetition has the same."""
        asked = self.body if self.body is not None else sorted(self.query.items())
        return repr((self.endpoint, sorted(self.ids.items()), asked))


@dataclass(frozen=True, slots=True)
class Entry:
    """A request and what became of it.

    Attributes:
        asked: what it asked for.
        status: HTTP status answered; 0 where the connection was closed without an answer.
        fault: kind of the fault it met, if any.
        at: when it came, by the emulator's clock.
        monotonic: when it came, in seconds of a clock that never jumps.
    """

    asked: Asked
    status: int
    fault: str | None
    at: datetime
    monotonic: float

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return self.asked.endpoint

    @property
    def ids(self) -> Mapping[str, str]:
        """The path's ids by name, decoded."""
        return self.asked.ids

    @property
    def since(self) -> str | None:
        """As received."""
        return self.asked.since

    @property
    def until(self) -> str | None:
        """As received."""
        return self.asked.until


class Journal:
    """The newest entries, at most ``size`` of them (None for no bound, 0 for none), and counts of all."""

    def __init__(self, size: int | None = None) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._counts: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def note(self, entry: Entry) -> None:
        """Write an entry down."""
        with self._lock:
            self._entries.append(entry)
            self._counts[entry.asked.endpoint, entry.status] += 1

    def entries(self) -> list[Entry]:
        """What is written down, oldest first."""
        with self._lock:
            return list(self._entries)

    def count(self, endpoint: str | None = None, status: int | None = None) -> int:
        """How many requests there were, of an endpoint and with a status where these are given."""
        with self._lock:
            return sum(
                count
                for (name, answered), count in self._counts.items()
                if endpoint in (None, name) and status in (None, answered)
            )

    def clear(self) -> None:
        """Forget entries and counts."""
        with self._lock:
            self._entries.clear()
            self._counts.clear()
