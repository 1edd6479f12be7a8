"""The emulator: the one object that tests, the demo and benchmarks start.

It puts the parts of this package together and passes on what a test wants to see or change. The parts themselves are in
the other modules; a process of its own is in `pipeline.emulator.serve`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final

from ..world.clocks import Clock, real_time
from ..world.expected_rows import TABLES, expected_rows
from ..world.world import World
from .app import RequestHandler
from .auth import Authenticator
from .faults import Fault, FaultScript
from .quotas import Quota, QuotaCounter, quotas_for_all
from .request_log import ApiRequest, RequestLog
from .routes import build_router
from .server import HOST, LoopbackServer
from .wire_format import DEFAULT_FORMAT, WireFormat

KEY: Final = "emulator"
SECRET: Final = "emulator-secret-for-local-use-only"  # noqa: S105 - public, and worth nothing elsewhere


class Emulator:
    """A stand-in for Stream's Video API that serves one world on loopback.

    Use it as a context manager, or call `start()` and `stop()`. It listens on 127.0.0.1 alone, and admits requests with
    its key and a token signed with its secret.

    Args:
        world: what happened.
        port: TCP port; 0 for any free one.
        clock: the emulator's time, with a zone. It decides what is visible, judges tokens and fills the Date header.
        quotas: by endpoint name (see `routes.ENDPOINTS`). None means no quota and no headers; an endpoint that is not
            named has `quotas.DEFAULT_QUOTA`.
        faults: what goes wrong.
        wire: how responses are written.
        max_logged_requests: number of requests kept for `requests`; None for all. They are counted in any case.
        key: the app's key.
        secret: the app's secret.

    Raises:
        ValueError: a quota is for an endpoint that does not exist.
    """

    def __init__(
        self,
        world: World,
        *,
        port: int = 0,
        clock: Clock = real_time,
        quotas: Mapping[str, Quota | None] | None = None,
        faults: tuple[Fault, ...] = (),
        wire: WireFormat = DEFAULT_FORMAT,
        max_logged_requests: int | None = None,
        key: str = KEY,
        secret: str = SECRET,
    ) -> None:
        self.key = key
        self._authenticator = Authenticator(key, secret)  # it does not print the secret
        self.world = world
        self.clock = clock
        self._handler = RequestHandler(
            world=world,
            wire=wire,
            authenticator=self._authenticator,
            quotas=QuotaCounter(quotas_for_all(quotas or {}), clock),
            faults=FaultScript(faults),
            log=RequestLog(max_logged_requests),
            clock=clock,
        )
        self._server = LoopbackServer(build_router(self._handler), port)

    # -- running ------------------------------------------------------------------------------------------------------

    @property
    def secret(self) -> str:
        """The app's secret."""
        return self._authenticator.secret

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Emulator:
        """Listen, and return as soon as requests are served.

        Raises:
            OSError: the port is taken.
            RuntimeError: the emulator is running.
        """
        self._server.start()
        return self

    def stop(self) -> None:
        """Close every connection, those of hanging requests too. The port is free afterwards."""
        self._server.stop()

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._server.port

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def requests(self) -> list[ApiRequest]:
        """The requests so far, oldest first."""
        return self._handler.log.requests()

    def count(self, endpoint: str | None = None, status: int | None = None) -> int:
        """Return the number of requests, of one endpoint and with one status if given."""
        return self._handler.log.count(endpoint, status)

    def met(self, fault: Fault) -> int:
        """Return how many requests met this very fault."""
        return self._handler.faults.met(fault)

    def faults_met(self) -> dict[str, int]:
        """Return how many requests met each kind of fault."""
        return self._handler.faults.met_by_kind()

    def expected_rows(
        self, now: datetime | None = None, *, tables: Iterable[str] = TABLES, include_expired: bool = False
    ) -> dict[str, list[dict[str, Any]]]:
        """Return the rows, by table, that an ingester of this emulator must have.

        `now` is the emulator's time unless given. The other arguments are those of
        `pipeline.emulator.world.expected_rows`.
        """
        return expected_rows(
            self.world,
            now or self.clock(),
            tables=tables,
            include_expired=include_expired,
            tick_us=self._handler.wire.tick_us,
        )

    # -- changing while it runs ---------------------------------------------------------------------------------------

    def clear_requests(self) -> None:
        """Drop all requests and counts so far."""
        self._handler.log.clear()

    def add_faults(self, *faults: Fault) -> None:
        """Script more faults."""
        self._handler.faults.add(*faults)

    def clear_faults(self) -> None:
        """Remove all faults, so that nothing goes wrong from now on."""
        self._handler.faults.clear()

    def set_quota(self, endpoint: str, quota: Quota) -> None:
        """Change a quota, as Stream may under load."""
        self._handler.quotas.change(endpoint, quota)
