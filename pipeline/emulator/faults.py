"""Faults: what goes wrong, scripted as data, decided without chance, and counted.

Here: which request meets which fault. Not here: carrying a fault out (``mishaps``).

Whether a fault strikes depends on the request and on how often that same request was made before, never on the order in
which different requests arrive: the same script gives the same faults however many requests are in flight.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from .instants import parse_rfc3339
from .journal import Asked
from .routes import ENDPOINTS, UNKNOWN


class FaultKind(StrEnum):
    """What can go wrong."""

    RATE_LIMITED = "rate_limited"
    """429 with code 9, whatever the quota says."""
    SERVER_ERROR = "server_error"
    """``status`` (500, 502, 503 or 504), with a JSON or an HTML body."""
    POISONED = "poisoned"
    """500, every time: for one window that never works."""
    UNRECOVERABLE = "unrecoverable"
    """``status`` (500 by default) with ``unrecoverable: true``: not to be tried again."""
    BAD_REQUEST = "bad_request"
    """400 with code 4."""
    UNAUTHORIZED = "unauthorized"
    """401 with code 5."""
    FORBIDDEN = "forbidden"
    """403 with code 17."""
    NOT_FOUND = "not_found"
    """404 with code 16."""
    DROPPED = "dropped"
    """The connection closes before a byte is answered."""
    TRUNCATED = "truncated"
    """The body ends before its Content-Length."""
    NOT_JSON = "not_json"
    """200 with an HTML page."""
    EMPTY_BODY = "empty_body"
    """200 with no body."""
    WRONG_SHAPE = "wrong_shape"
    """200 with JSON that is not the documented document: ``shape`` says how."""
    SLOW = "slow"
    """The right answer, ``delay_seconds`` late."""
    SLOW_DRIP = "slow_drip"
    """The right answer in small pieces that take ``delay_seconds`` in all."""
    HANG = "hang"
    """No answer until the client gives up."""
    SHRUNKEN = "shrunken"
    """The right answer with its list emptied, as after forgetting."""
    SHIFTED = "shifted"
    """The right answer with the times of its points moved by ``shift``, out of the window."""


@dataclass(frozen=True, eq=False)
class Fault:
    """One scripted fault; two are never equal, so that each is counted for itself.

    Attributes:
        kind: what goes wrong.
        endpoint: of which endpoint; None for any.
        match: which requests: ids (``call_type``, ``call_id``, ``call_session_id``, ``user_id``, ``user_session_id``),
            ``since`` and ``until`` (instants with a zone), ``covers`` (an instant within the window), ``page``
            (``first`` or ``later``); all must fit.
        times: how many requests in all meet it; None for no end.
        each: how many times each distinct request meets it; None for no end.
        share: share (0 to 1) of the requests that fit which meet it, drawn from ``seed``.
        seed: see ``share``.
        status: of the kinds that say so.
        html: whether the body is an HTML page, as from a gateway.
        retry_after: of a 429: ``seconds``, ``http_date`` or ``absent``; None for the emulator's own way.
        retry_after_seconds: what a 429 or 503 asks to wait.
        delay_seconds: of the kinds that say so.
        shape: of ``wrong_shape``: ``list``, ``null``, ``string``, ``nested`` or ``points``.
        shift: of ``shifted``.
    """

    kind: FaultKind | str
    endpoint: str | None = None
    match: Mapping[str, str | datetime] = field(default_factory=dict)
    times: int | None = None
    each: int | None = None
    share: float = 1.0
    seed: int = 0
    status: int = 500
    html: bool = False
    retry_after: str | None = None
    retry_after_seconds: int = 1
    delay_seconds: float = 1.0
    shape: str = "list"
    shift: timedelta = timedelta(days=-1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))
        unknown = set(self.match) - MATCHABLE
        if unknown:
            raise ValueError(f"a fault cannot match on {', '.join(sorted(unknown))}; it can on {sorted(MATCHABLE)}")
        if self.endpoint is not None and self.endpoint not in NAMES:
            raise ValueError(f"no endpoint is called {self.endpoint!r}; there are {', '.join(sorted(NAMES))}")
        if self.shape not in SHAPES:
            raise ValueError(f"a wrong shape must be one of {', '.join(SHAPES)}, not {self.shape!r}")

    def fits(self, asked: Asked) -> bool:
        """Whether the fault is meant for this request."""
        if self.endpoint is not None and self.endpoint != asked.endpoint:
            return False
        return all(_fits(asked, name, wanted) for name, wanted in self.match.items())


SHAPES: Final = ("list", "null", "string", "nested", "points")
NAMES: Final = frozenset((*(endpoint.name for endpoint in ENDPOINTS), UNKNOWN.name))
MATCHABLE: Final = frozenset(
    ("call_type", "call_id", "call_session_id", "user_id", "user_session_id", "since", "until", "covers", "page")
)


def _fits(asked: Asked, name: str, wanted: str | datetime) -> bool:
    if name == "page":
        return wanted == ("later" if asked.cursor else "first")
    if name == "covers":
        since, until = (parse_rfc3339(text) if text else None for text in (asked.since, asked.until))
        return isinstance(wanted, datetime) and bool(since and until and since <= wanted < until)
    have: str | datetime | None = getattr(asked, name) if name in ("since", "until") else asked.ids.get(name)
    if isinstance(wanted, datetime) and isinstance(have, str):
        have = parse_rfc3339(have)
    return have == wanted


class FaultBook:
    """Decides which request meets which fault, and counts."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = list(faults)
        self._met: Counter[Fault] = Counter()
        self._asked: Counter[tuple[Fault, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Script more faults while the emulator runs."""
        with self._lock:
            self._faults.extend(faults)

    def clear(self) -> None:
        """Let nothing go wrong from now on; the counts stay."""
        with self._lock:
            self._faults.clear()

    def meets(self, asked: Asked) -> Fault | None:
        """The first fault that strikes this request, counted; None where all goes well."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.fits(asked) and self._strikes(fault, asked):
                    self._met[fault] += 1
                    return fault
        return None

    def met(self, fault: Fault) -> int:
        """How many requests met this very fault."""
        with self._lock:
            return self._met[fault]

    def by_kind(self) -> dict[str, int]:
        """How many requests met each kind of fault."""
        with self._lock:
            totals: Counter[str] = Counter()
            for fault, count in self._met.items():
                totals[str(fault.kind)] += count
            return dict(totals)

    def _strikes(self, fault: Fault, asked: Asked) -> bool:
        if fault.times is not None and self._met[fault] >= fault.times:
            return False
        turn = (fault, asked.target)
        before = self._asked[turn]
        self._asked[turn] += 1
        if fault.each is not None and before >= fault.each:
            return False
        if fault.share >= 1:
            return True
        drawn = hashlib.blake2b(f"{fault.seed}|{fault.kind}|{asked.target}|{before}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") < fault.share * 2**64
