"""Quotas: how many requests an endpoint accepts in a time window, and the headers that report it.

Refusals that a test scripts are in `faults`.

Windows are fixed: they begin at whole multiples of their length, by the emulator's clock at the start of the count, and
pass in real time. A clock that does not move does not freeze a quota. `X-RateLimit-Reset` is in whole Unix seconds, as
in Stream's documentation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..world.clocks import Clock
from .request_log import ApiRequest
from .routes import ENDPOINT_NAMES, ENDPOINTS, require_endpoint


@dataclass(frozen=True, slots=True)
class Quota:
    """A number of requests per window.

    Attributes:
        limit: requests that a window accepts.
        window_seconds: length of a window; Stream's is a minute.
    """

    limit: int
    window_seconds: float = 60.0


DEFAULT_QUOTA: Final = Quota(60_000)
"""Far above what one process can send, so that responses have the headers and no request is refused."""


@dataclass(frozen=True, slots=True)
class QuotaState:
    """The quota of an endpoint after a request.

    Attributes:
        limit: requests that the window accepts.
        remaining: requests that it still accepts.
        reset: Unix time of the end of the window, in whole seconds, rounded up.
        seconds_left: seconds until then, exactly.
        allowed: whether the request was within the quota.
    """

    limit: int
    remaining: int
    reset: int
    seconds_left: float
    allowed: bool

    def headers(self) -> dict[str, str]:
        """Return the three headers."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


def quotas_for_all(quotas: Mapping[str, Quota | None]) -> dict[str, Quota]:
    """Return the quota of every endpoint: the given one, else `DEFAULT_QUOTA`. None means no quota.

    Raises:
        ValueError: there is no endpoint of that name.
    """
    for name in quotas:
        require_endpoint(name)
    chosen = {name: quotas.get(name, DEFAULT_QUOTA) for name in ENDPOINT_NAMES}
    return {name: quota for name, quota in chosen.items() if quota is not None}


class QuotaCounter:
    """Counts requests against one quota per endpoint. An endpoint without a quota is never refused and has no headers.

    Args:
        quotas: by endpoint name.
        clock: the emulator's clock.
        monotonic: seconds of a clock that never jumps.
    """

    def __init__(
        self, quotas: Mapping[str, Quota], clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._quotas = dict(quotas)
        self._clock = clock
        self._monotonic = monotonic
        self._offset = clock().timestamp() - monotonic()
        self._used: dict[str, tuple[int, int]] = {}

    def change(self, endpoint: str, quota: Quota) -> None:
        """Replace the quota of an endpoint. Requests of the current window stay counted."""
        self._quotas[endpoint] = quota

    def spend(self, endpoint: str) -> QuotaState | None:
        """Count one request. Return None if the endpoint has no quota."""
        return self._count(endpoint, 1)

    def peek(self, endpoint: str) -> QuotaState | None:
        """Return the state without counting a request, or None if the endpoint has no quota."""
        return self._count(endpoint, 0)

    def _count(self, endpoint: str, requests: int) -> QuotaState | None:
        quota = self._quotas.get(endpoint)
        if quota is None:
            return None
        now = self._monotonic() + self._offset
        window = math.floor(now / quota.window_seconds)
        seconds_left = (window + 1) * quota.window_seconds - now
        counted_window, used = self._used.get(endpoint, (window, 0))
        if counted_window != window:
            used = 0
        allowed = used + requests <= quota.limit
        if allowed:
            used += requests
        self._used[endpoint] = (window, used)
        # A millisecond of tolerance: the two clocks may have drifted apart by less than that.
        reset = math.ceil(self._clock().timestamp() + seconds_left - 0.001)
        return QuotaState(quota.limit, max(0, quota.limit - used), reset, seconds_left, allowed)


def rate_limits_document(quotas: QuotaCounter, request: ApiRequest) -> dict[str, Any]:
    """Return the quotas of server-side callers under the API's names (`GetRateLimitsResponse` in the specification)."""
    document: dict[str, Any] = {"duration": "0.10ms"}
    if request.query.get("server_side") != "true":
        return document
    wanted = request.query.get("endpoints")
    limits = {}
    for endpoint in ENDPOINTS:
        state = quotas.peek(endpoint.name)
        if state is not None and (not wanted or endpoint.operation in wanted.split(",")):
            figures = {"limit": state.limit, "remaining": state.remaining, "reset": state.reset}
            limits[endpoint.operation] = figures
    return document | {"server_side": limits}
