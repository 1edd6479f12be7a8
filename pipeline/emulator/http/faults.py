"""Faults: what goes wrong, scripted as data, decided without chance, and counted.

Here is decided which request meets which fault. How a fault looks to the client is in `fault_delivery`.

The decision depends on the request and on how often the same request was made before, never on the order in which
different requests arrive. So the same script gives the same faults, however many requests are in flight.
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

from ..world.timestamps import parse_rfc3339
from .request_log import ApiRequest
from .routes import UNKNOWN, require_endpoint
from .wire_format import RETRY_AFTER_FORMS, require_one_of

SHAPES: Final = ("list", "null", "string", "nested", "points")
MATCHABLE: Final = frozenset(
    ("call_type", "call_id", "call_session_id", "user_id", "user_session_id", "since", "until", "covers", "page")
)
"""What a fault can match on; see `Fault.match`."""


class FaultKind(StrEnum):
    """The kinds of faults."""

    RATE_LIMITED = "rate_limited"
    """429 with code 9, whatever the quota."""
    SERVER_ERROR = "server_error"
    """`status` (500, 502, 503 or 504), with a JSON or an HTML body."""
    POISONED = "poisoned"
    """500: for one window that never works."""
    UNRECOVERABLE = "unrecoverable"
    """`status` (500 by default) with `unrecoverable: true`: the client must not retry."""
    BAD_REQUEST = "bad_request"
    """400 with code 4."""
    UNAUTHORIZED = "unauthorized"
    """401 with code 5."""
    FORBIDDEN = "forbidden"
    """403 with code 17."""
    NOT_FOUND = "not_found"
    """404 with code 16."""
    DROPPED = "dropped"
    """The connection closes before the first byte of the response."""
    TRUNCATED = "truncated"
    """The body ends before its Content-Length."""
    NOT_JSON = "not_json"
    """200 with an HTML page."""
    EMPTY_BODY = "empty_body"
    """200 with no body."""
    WRONG_SHAPE = "wrong_shape"
    """200 with JSON that is not the documented document; see `shape`."""
    SLOW = "slow"
    """The right response, `delay_seconds` late."""
    SLOW_DRIP = "slow_drip"
    """The right response in small pieces that take `delay_seconds` in total."""
    HANG = "hang"
    """No response until the client gives up."""
    SHRUNKEN = "shrunken"
    """The right response with an empty list, as after expiry."""
    SHIFTED = "shifted"
    """The right response with the times of its points moved by `shift`, out of the window."""


@dataclass(frozen=True, eq=False)
class Fault:
    """One scripted fault. Two faults are never equal, so that each has its own count.

    Attributes:
        kind: what goes wrong.
        endpoint: name of the endpoint it is for; None for any.
        match: the requests it is for: ids (`call_type`, `call_id`, `call_session_id`, `user_id`, `user_session_id`),
            `since` and `until` (datetimes with a zone, or texts as sent), `covers` (a datetime within the window),
            `page` (`first` or `later`). All must match.
        times: number of requests that meet it in total; None for no limit.
        each: number of times that each distinct request meets it; None for no limit.
        share: share (0 to 1) of the matching requests that meet it, drawn from `seed`.
        seed: see `share`.
        status: for `server_error` and `unrecoverable`.
        html: whether the body is an HTML page, as from a gateway.
        retry_after: form of `Retry-After`: `seconds`, `http_date` or `absent`. With None a 429 has the emulator's own
            form and other statuses have none.
        retry_after_seconds: the seconds in `Retry-After`.
        delay_seconds: for `slow` and `slow_drip`.
        shape: for `wrong_shape`: `list`, `null`, `string`, `nested` or `points`.
        shift: for `shifted`.

    Raises:
        ValueError: the fault could never occur as scripted.
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
            raise ValueError(f"a fault cannot match on {', '.join(sorted(unknown))}, only on {sorted(MATCHABLE)}")
        if self.endpoint not in (None, UNKNOWN.name):
            require_endpoint(self.endpoint)
        if self.retry_after is not None:
            require_one_of("retry_after", self.retry_after, RETRY_AFTER_FORMS)
        require_one_of("shape", self.shape, SHAPES)

    def matches(self, request: ApiRequest) -> bool:
        """Whether the fault is for this request."""
        if self.endpoint is not None and self.endpoint != request.endpoint:
            return False
        return all(_matches(request, name, wanted) for name, wanted in self.match.items())


def _matches(request: ApiRequest, name: str, wanted: str | datetime) -> bool:
    if name == "page":
        is_later = request.paging.get("next") or request.paging.get("prev")
        return wanted == ("later" if is_later else "first")
    if name == "covers":
        since, until = (parse_rfc3339(text) if text else None for text in (request.since, request.until))
        return isinstance(wanted, datetime) and bool(since and until and since <= wanted < until)
    values = request.query if name in ("since", "until") else request.ids
    value: str | datetime | None = values.get(name)
    if isinstance(wanted, datetime) and isinstance(value, str):
        value = parse_rfc3339(value)
    return value == wanted


class FaultScript:
    """The faults of an emulator: decides which request meets which fault, and counts."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = list(faults)
        self._met: Counter[Fault] = Counter()
        self._repetitions: Counter[tuple[Fault, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Add faults while the emulator runs."""
        with self._lock:
            self._faults.extend(faults)

    def clear(self) -> None:
        """Remove all faults. The counts stay."""
        with self._lock:
            self._faults.clear()

    def fault_for(self, request: ApiRequest) -> Fault | None:
        """Return and count the first fault that this request meets, or None if it meets none."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.matches(request) and self._occurs(fault, request):
                    self._met[fault] += 1
                    return fault
        return None

    def met(self, fault: Fault) -> int:
        """Return how many requests met this very fault."""
        with self._lock:
            return self._met[fault]

    def met_by_kind(self) -> dict[str, int]:
        """Return how many requests met each kind of fault."""
        with self._lock:
            totals: Counter[str] = Counter()
            for fault, count in self._met.items():
                totals[str(fault.kind)] += count
            return dict(totals)

    def _occurs(self, fault: Fault, request: ApiRequest) -> bool:
        if fault.times is not None and self._met[fault] >= fault.times:
            return False
        target = request.target
        before = self._repetitions[fault, target]
        self._repetitions[fault, target] += 1
        if fault.each is not None and before >= fault.each:
            return False
        if fault.share >= 1:
            return True
        drawn = hashlib.blake2b(f"{fault.seed}|{fault.kind}|{target}|{before}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") < fault.share * 2**64
