"""Server: the emulator on a real socket of 127.0.0.1, in a thread of its own.

Here: ``Emulator``, the one object that tests, the demo and benchmarks start. Not here: what it answers (``app``), and a
process of its own (``process``).
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .answers import Answers
from .app import Service, build_app
from .auth import Keeper
from .clocks import real_time
from .dialect import UNITS, Dialect
from .faults import Fault, FaultBook
from .instants import SECOND_US
from .journal import Entry, Journal
from .quotas import Quota, QuotaBook
from .routes import ENDPOINTS
from .worlds import World

KEY: Final = "emulator"
SECRET: Final = "emulator-secret-for-local-use-only"  # noqa: S105 - public, and worth nothing elsewhere
HOST: Final = "127.0.0.1"
DEFAULT_QUOTA: Final = Quota(60_000)
"""What every endpoint gets unless told otherwise: far above what one process asks, so that headers are there."""


class Emulator:
    """A stand-in for Stream's Video API, serving one world on loopback.

    Use it as a context manager, or ``start()`` and ``stop()`` it. It listens on 127.0.0.1 alone.

    Args:
        world: what happened.
        port: TCP port; 0 for any free one.
        key: the API key that is let in.
        secret: what tokens must be signed with.
        quotas: by endpoint name; None takes a quota and its headers away; who is not named has ``DEFAULT_QUOTA``.
        faults: what goes wrong.
        clock: the emulator's time, with a zone; it decides what is visible, judges tokens and fills the Date header.
        unit: of data points' times: ``s``, ``float_s``, ``ms``, ``us`` or ``ns``.
        datetimes: ``ns`` (integers) or ``rfc3339`` (strings).
        until_inclusive: whether a point exactly at ``until`` is in the window.
        stray_nanoseconds: 0 to 999, added to every datetime sent as an integer.
        gzip: whether to compress for clients that accept it.
        retry_after: of a 429: ``seconds``, ``http_date`` or ``absent``.
        joined_headers: whether rate-limit headers are comma-joined lists, the first item empty.
        stats_status: 200, or 403 or 404 to switch participant statistics off.
        journal_size: requests kept in memory: None for all, 0 for none (they are counted all the same).
    """

    def __init__(
        self,
        world: World,
        *,
        port: int = 0,
        key: str = KEY,
        secret: str = SECRET,
        quotas: Mapping[str, Quota | None] | None = None,
        faults: tuple[Fault, ...] = (),
        clock: Callable[[], datetime] = real_time,
        unit: str = "s",
        datetimes: str = "ns",
        until_inclusive: bool = True,
        stray_nanoseconds: int = 0,
        gzip: bool = True,
        retry_after: str = "seconds",
        joined_headers: bool = False,
        stats_status: int = 200,
        journal_size: int | None = None,
    ) -> None:
        self.world = world
        self.key = key
        self.secret = secret
        self.clock = clock
        self._port = port
        dialect = Dialect(unit, datetimes, until_inclusive, stray_nanoseconds)
        names = {endpoint.name for endpoint in ENDPOINTS}
        unknown = set(quotas or {}) - names
        if unknown:
            raise ValueError(
                f"no endpoint is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}"
            )
        given: dict[str, Quota | None] = {**dict.fromkeys(names, DEFAULT_QUOTA), **(quotas or {})}
        self._service = Service(
            answers=Answers(world, dialect),
            dialect=dialect,
            keeper=Keeper(key, secret),
            quotas=QuotaBook({name: quota for name, quota in given.items() if quota is not None}, clock),
            faults=FaultBook(faults),
            journal=Journal(journal_size),
            clock=clock,
            gzip=gzip,
            retry_after=retry_after,
            joined_headers=joined_headers,
            stats_status=stats_status,
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: Exception | None = None

    # -- running ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Emulator:
        """Listen, and return as soon as requests are answered."""
        if self._thread is not None:
            raise RuntimeError("this emulator is running already")
        listener = socket.create_server((HOST, self._port), backlog=2048)
        # Inherited by every connection. An answer is written in two pieces, and the second could wait 40 ms without it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = listener.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener, ready), name="emulator", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise RuntimeError("the emulator could not start") from self._failure
        return self

    def stop(self) -> None:
        """Close every connection and return when the thread is gone; hanging requests are cut off."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._service.closing.set)
        thread.join()

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        """The thread's whole life; a failure to start is kept for the one who waits."""
        self._failure = None
        try:
            self._serve(listener, ready)
        except Exception as error:
            self._failure = error
            raise
        finally:
            listener.close()
            ready.set()

    def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        config = uvicorn.Config(
            build_app(self._service),
            http=cast("Any", _Protocol),
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            date_header=False,
            server_header=False,
            ws="none",
            timeout_keep_alive=600,
        )
        # An event belongs to the loop that first waits for it, and every start has a loop of its own.
        self._service.closing = asyncio.Event()
        server = _Server(config, self._service.closing, ready)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            self._loop = runner.get_loop()
            runner.run(server.serve(sockets=[listener]))

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http://{HOST}:{self._port}"

    @property
    def requests(self) -> list[Entry]:
        """The requests so far, oldest first."""
        return self._service.journal.entries()

    def count(self, endpoint: str | None = None, status: int | None = None) -> int:
        """How many requests there were, of an endpoint and with a status where these are given."""
        return self._service.journal.count(endpoint, status)

    def forget_requests(self) -> None:
        """Start counting requests anew."""
        self._service.journal.clear()

    def faults_met(self) -> dict[str, int]:
        """How many requests met each kind of fault."""
        return self._service.faults.by_kind()

    def met(self, fault: Fault) -> int:
        """How many requests met this very fault."""
        return self._service.faults.met(fault)

    # -- changing while it runs ---------------------------------------------------------------------------------------

    def add_faults(self, *faults: Fault) -> None:
        """Script more faults."""
        self._service.faults.add(*faults)

    def clear_faults(self) -> None:
        """Let nothing go wrong from now on."""
        self._service.faults.clear()

    def truth(
        self, now: datetime | None = None, *, tables: Iterable[str] | None = None, remembered: bool = False
    ) -> dict[str, list[dict[str, Any]]]:
        """The rows an ingester of this emulator should hold, by table; ``now`` is the emulator's unless given."""
        tick_us = max(1, SECOND_US // UNITS[self._service.dialect.unit])
        at = now if now is not None else self.clock()
        return self.world.truth(at, tables=tables, remembered=remembered, tick_us=tick_us)

    def set_quota(self, endpoint: str, quota: Quota) -> None:
        """Change a quota, as Stream may under load."""
        self._service.quotas.change(endpoint, quota)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The faster event loop where it is installed, else the standard one."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop


class _Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol, with its connection handed to the application (see ``mishaps``)."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client has connected."""
        self.app_state = {**self.app_state, "connection": transport}
        super().connection_made(transport)


class _Server(uvicorn.Server):
    """uvicorn's server, which waits for an event instead of looking every tenth of a second."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event, ready: threading.Event) -> None:
        super().__init__(config)
        self._closing = closing
        self._ready = ready

    async def main_loop(self) -> None:
        """Serve until told to stop."""
        self._ready.set()
        await self._closing.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener and every connection."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in list(self.server_state.connections):
            transport = connection.transport
            if transport is not None:
                transport.abort()
        tasks = list(self.server_state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=1)
