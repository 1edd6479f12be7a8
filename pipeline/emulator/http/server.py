"""A uvicorn server on a socket of 127.0.0.1, in a thread of its own.

The application that it serves is in `app`. Starting it from a process of its own is in `pipeline.emulator.serve`.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

HOST: Final = "127.0.0.1"

CONNECTION_KEY: Final = "connection"
"""Key in `scope["state"]` of the connection of a request: ASGI has no message to close one midway."""

CLOSING_KEY: Final = "closing"
"""Key in `scope["state"]` of the event that is set when the server stops, so that hanging requests end."""


class LoopbackServer:
    """Serves an application on loopback until it is stopped. Can be started again.

    Args:
        app: the ASGI application.
        port: TCP port; 0 for any free one, which it then keeps.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.port = port
        self._app = app
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Listen, and return as soon as requests are served.

        Raises:
            OSError: the port is taken.
            RuntimeError: the server is running.
        """
        if self._thread is not None:
            raise RuntimeError("this emulator is running already")
        listener = socket.create_server((HOST, self.port), backlog=2048)
        # Every connection inherits it. A response is written in two pieces; the second could wait 40 ms without it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = listener.getsockname()[1]
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(listener, started), name="emulator", daemon=True)
        self._thread.start()
        try:
            started.result()
        except Exception:
            self._thread.join()
            self._thread = None
            raise

    def stop(self) -> None:
        """Close every connection, those of hanging requests too, and return when the thread has ended."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._server is None:
            return
        self._loop.call_soon_threadsafe(self._server.closing.set)
        thread.join()

    def _run(self, listener: socket.socket, started: Future[None]) -> None:
        """Serve in this thread. A failure to start is raised from `started`."""
        try:
            self._serve(listener, started)
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            listener.close()

    def _serve(self, listener: socket.socket, started: Future[None]) -> None:
        config = uvicorn.Config(
            self._app,
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
        self._server = _Server(config, started)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            self._loop = runner.get_loop()
            runner.run(self._server.serve(sockets=[listener]))


class _Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol, which also gives the application the connection."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to serve a client that has connected."""
        self.app_state = {**self.app_state, CONNECTION_KEY: transport}
        super().connection_made(transport)


class _Server(uvicorn.Server):
    """uvicorn's server, which starts and stops at once, however often a test does so.

    uvicorn itself checks every tenth of a second whether to stop, and then waits for open connections.
    """

    def __init__(self, config: uvicorn.Config, started: Future[None]) -> None:
        super().__init__(config)
        # An event belongs to the loop that first waits for it. Every start has a loop and a server of its own.
        self.closing = asyncio.Event()
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and report that the server has started."""
        self.lifespan.state[CLOSING_KEY] = self.closing
        await super().startup(sockets)
        self._started.set_result(None)

    async def main_loop(self) -> None:
        """Serve until `closing` is set."""
        await self.closing.wait()

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
