"""The requests that an emulator received, in memory, so that tests can count and inspect them.

Reading a request is done in `app`; nothing is decided here.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class ApiRequest:
    """One request. `app` sets its outcome, `status` and `fault`, before it logs it.

    Attributes:
        endpoint: name of the endpoint (see `routes.ENDPOINTS`).
        ids: the ids in the path by name, decoded.
        query: the parameters of the query, without the API key.
        body: the JSON body of a POST; None if there is none or it cannot be read.
        at: when it arrived, by the emulator's clock.
        status: HTTP status of the response; None before there is one, 0 if the connection closed without one.
        fault: kind of the fault that the request met, if any.
    """

    endpoint: str
    ids: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    at: datetime
    status: int | None = None
    fault: str | None = None

    @property
    def since(self) -> str | None:
        """The start of the window as received, if any."""
        return self.query.get("since")

    @property
    def until(self) -> str | None:
        """The end of the window as received, if any."""
        return self.query.get("until")

    @property
    def paging(self) -> Mapping[str, Any]:
        """The parameters that contain `limit`, `next` and `prev`: the body of a POST, else the query."""
        return self.body if isinstance(self.body, dict) else self.query

    @property
    def target(self) -> str:
        """A text that is the same for repetitions of this request and for no other request."""
        parameters = self.body if self.body is not None else sorted(self.query.items())
        return repr((self.endpoint, sorted(self.ids.items()), parameters))


class RequestLog:
    """The newest requests, and counts of all.

    Args:
        size: number of requests to keep; None for all, 0 for none.
    """

    def __init__(self, size: int | None = None) -> None:
        self._requests: deque[ApiRequest] = deque(maxlen=size)
        self._counts: Counter[tuple[str, int | None]] = Counter()
        self._lock = threading.Lock()

    def add(self, request: ApiRequest) -> None:
        """Keep and count a request that has its outcome."""
        with self._lock:
            self._requests.append(request)
            self._counts[request.endpoint, request.status] += 1

    def requests(self) -> list[ApiRequest]:
        """Return the requests that are kept, oldest first."""
        with self._lock:
            return list(self._requests)

    def count(self, endpoint: str | None = None, status: int | None = None) -> int:
        """Return the number of requests, of one endpoint and with one status if given."""
        with self._lock:
            return sum(
                count
                for (name, logged_status), count in self._counts.items()
                if endpoint in (None, name) and status in (None, logged_status)
            )

    def clear(self) -> None:
        """Drop all requests and counts."""
        with self._lock:
            self._requests.clear()
            self._counts.clear()
