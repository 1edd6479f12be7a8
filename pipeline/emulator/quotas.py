"""Quotas: how many requests an endpoint takes in a window of time, and the headers that say so.

Here: counting in fixed windows. Not here: the refusals that faults script (``faults``).

Windows are cut at whole multiples of their length by the emulator's clock as it stood when counting began, and pass
in real time: a clock that stands still does not freeze a quota. ``X-RateLimit-Reset`` is in whole Unix seconds, as
Stream's documentation says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Quota:
    """A number of requests per window.

    Attributes:
        limit: requests a window takes.
        window_seconds: its length; Stream's is a minute.
    """

    limit: int
    window_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an endpoint's quota stands after a request.

    Attributes:
        limit: requests the window takes.
        remaining: requests it still takes.
        reset: Unix time at which the window ends, in whole seconds, rounded up.
        seconds_left: until then, exactly.
        allowed: whether the request fitted in.
    """

    limit: int
    remaining: int
    reset: int
    seconds_left: float
    allowed: bool

    def headers(self) -> dict[str, str]:
        """The three headers."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


class QuotaBook:
    """Counts requests against quotas, one for each endpoint; one without is never refused and has no headers."""

    def __init__(
        self,
        quotas: Mapping[str, Quota],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quotas = dict(quotas)
        self._clock = clock
        self._monotonic = monotonic
        self._offset = clock().timestamp() - monotonic()
        self._used: dict[str, tuple[int, int]] = {}

    def change(self, endpoint: str, quota: Quota) -> None:
        """Give an endpoint another quota, from now on; what is used in the running window stays used."""
        self._quotas[endpoint] = quota

    def spend(self, endpoint: str) -> Standing | None:
        """Count one request; None where the endpoint has no quota."""
        return self._stand(endpoint, 1)

    def standing(self, endpoint: str) -> Standing | None:
        """Where the endpoint stands, without counting."""
        return self._stand(endpoint, 0)

    def _stand(self, endpoint: str, spent: int) -> Standing | None:
        quota = self._quotas.get(endpoint)
        if quota is None:
            return None
        passed = self._monotonic() + self._offset
        window = math.floor(passed / quota.window_seconds)
        seconds_left = (window + 1) * quota.window_seconds - passed
        counted, used = self._used.get(endpoint, (window, 0))
        if counted != window:
            used = 0
        allowed = used + spent <= quota.limit
        if allowed:
            used += spent
        self._used[endpoint] = (window, used)
        # A millisecond of tolerance: the two clocks may have drifted apart by less than that.
        reset = math.ceil(self._clock().timestamp() + seconds_left - 0.001)
        return Standing(quota.limit, max(0, quota.limit - used), reset, seconds_left, allowed)
