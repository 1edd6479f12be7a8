"""The health of a server, for load balancers and monitors: an HTTP answer that says whether its database can be read.

The answer needs no token. So it names no path, no host and no person; the reason is in the server's log. How the
database is checked is up to each server.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.catalog import LakeCatalog
from pipeline.errors import CallMetricsError, FixSettings, first_line

__all__ = ["PATH", "Health", "serving_health"]

log = logging.getLogger(__name__)

PATH = "/health"

CACHE_SECONDS = 1.0
"""Seconds for which a result is used again. Anyone can ask, and many requests must not cause as many checks."""

TIMEOUT_SECONDS = 10.0
"""Seconds that an answer waits for a check. Probes of Kubernetes wait for one second unless told otherwise."""

MISSING = "there is no published database"
UNREADABLE = "the published database cannot be read; the log of this server says why"
SLOW = f"the published database was not read within {TIMEOUT_SECONDS:g} seconds"


class Health:
    """The health of one server.

    Args:
        published: the database, to see whether it exists yet.
        check: reads a little of it. Raises a `CallMetricsError` if it cannot. Runs in a thread, one at a time.
        seconds: how long an answer waits for the check.
    """

    def __init__(
        self, published: Path | LakeCatalog, check: Callable[[], object], *, seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._published = published
        self._check = check
        self._seconds = seconds
        self._found: Future[str | None] | None = None
        self._began_at = 0.0
        self._logged: str | None = None

    async def answer(self, _request: Request | None = None) -> Response:
        """Return 200 if the database can be read, else 503 with the reason in one sentence."""
        checking = asyncio.wrap_future(self._checking())
        try:
            why = await asyncio.wait_for(asyncio.shield(checking), self._seconds)
        except TimeoutError:
            why = SLOW
        headers = {"Cache-Control": "no-store"}
        if why is None:
            return JSONResponse({"status": "ok"}, headers=headers)
        return JSONResponse({"status": "unavailable", "reason": why}, status_code=503, headers=headers)

    def _checking(self) -> Future[str | None]:
        """Return the running check, or one that ended just now; else start one. Only the event loop may call this."""
        now = time.monotonic()
        found = self._found
        if found is None or (found.done() and now - self._began_at >= CACHE_SECONDS):
            self._found = found = Future()
            self._began_at = now
            # Not in a pool: the end of the process would wait for a pool's threads, however long the database takes.
            threading.Thread(target=self._find, args=(found,), name="health", daemon=True).start()
        return found

    def _find(self, found: Future[str | None]) -> None:
        try:
            found.set_result(self._problem())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is told, and the thread ends
            found.set_exception(error)

    def _problem(self) -> str | None:
        """Return what is wrong, as a sentence that anyone may read. Log the exact reason, once until it changes."""
        try:
            self._check()
        except CallMetricsError as error:
            reason = str(error)
            is_missing = isinstance(self._published, Path) and not self._published.exists()
        else:
            self._logged = None
            return None
        if reason != self._logged:
            self._logged = reason
            log.warning("not healthy: %s", reason)
        return MISSING if is_missing else UNREADABLE


@contextmanager
def serving_health(health: Health, host: str, port: int) -> Iterator[str]:
    """Answer at `PATH` on a TCP port (0: any that is free), in a thread, within the block. Yields the URL.

    Raises `FixSettings` if the port cannot be used.
    """
    with _listener(host, port) as listener:
        app = Starlette(routes=[Route(PATH, health.answer)])
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="health server", daemon=True)
        thread.start()
        named = f"[{host}]" if ":" in host else host
        try:
            yield f"http://{named}:{listener.getsockname()[1]}{PATH}"
        finally:
            server.should_exit = True
            thread.join()


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        raise FixSettings(f"{host} port {port} cannot be used ({why}); choose another with --health-port") from None
