"""The client of the API against servers on loopback: the emulator, and one whose responses a test writes byte by byte.

Servers are started by the test that needs them, and stop when it ends.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pipeline.emulator import KEY, SECRET, CallSpec, ManualClock, Points, StaySpec, TrackSpec, World
from pipeline.extract.client import StreamApi
from pipeline.extract.clock import Clock
from pipeline.model import Request, Response, Window
from pipeline.settings import Credentials, Secret
from tests.support import CALL, DAY, STAY, at

T = TypeVar("T")

CREDENTIALS = Credentials(KEY, Secret(SECRET))
AFTERWARDS = ManualClock(at(20))
"""A clock at which the call of `WORLD` is over and its report is made."""

ANN = StaySpec(
    STAY.user_id,
    STAY.user_session_id,
    at(10),
    at(11),
    tracks=(TrackSpec("mic", "audio", "opus", Points.every(600, at(10), bitrate=(1, 2, 3, 4, 5, 6))),),
)
WORLD = World((CallSpec(*CALL.key, at(10), at(11), (ANN,)),))
CALLS = Request("call_stats", DAY)
ATTENDANCE = Request("participant_sessions", DAY, call=CALL)
METRICS = Request("participant_metrics", DAY, stay=STAY, window=Window(at(10), at(10, 30)))


class SkippingClock:
    """A clock that skips every wait and records it."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return time.time() + sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    @property
    def clock(self) -> Clock:
        return Clock(self.now, self.sleep)


def use(url: str, body: Callable[[StreamApi], Coroutine[Any, Any, T]], **given: Any) -> T:
    """Return what a coroutine returns for a client that does not wait between attempts."""

    async def main() -> T:
        options: dict[str, Any] = {"credentials": CREDENTIALS, "concurrency": 1, "backoff": lambda attempt: 0.0}
        async with StreamApi(url, **options | given) as api:
            return await body(api)

    return asyncio.run(main())


def fetch(url: str, request: Request, **given: Any) -> Response:
    """Return the response to one request."""
    return use(url, lambda api: api.fetch(request), **given)


class ScriptedServer:
    """A server that sends prepared bytes and counts connections. It uses each response once, and the last one again."""

    def __init__(self, *responses: bytes) -> None:
        self.responses = list(responses)
        self.connections = 0
        self.heads: list[str] = []
        self.url = ""
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open[writer] = asyncio.current_task()
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next((line[15:] for line in head.split("\r\n") if line.startswith("Content-Length:")), "0")
                await reader.readexactly(int(length))
                self.heads.append(head)
                writer.write(self.responses[min(len(self.heads), len(self.responses)) - 1])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def use(self, body: Callable[[StreamApi], Coroutine[Any, Any, T]], **given: Any) -> T:
        """Return what a coroutine returns for a client of this server."""

        async def main() -> T:
            options: dict[str, Any] = {"credentials": CREDENTIALS, "concurrency": 1, "backoff": lambda attempt: 0.0}
            async with self.listening(), StreamApi(self.url, **options | given) as api:
                return await body(api)

        return asyncio.run(main())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen within the block. `url` is then the address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            await self.hang_up()

    async def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._open:
            writer.close()
        await asyncio.gather(*(task for task in self._open.values() if task), return_exceptions=True)


def http_response(body: bytes | str | object, status: int = 200, *headers: str) -> bytes:
    """Return a response as it goes over the wire. A body that is neither bytes nor text is sent as JSON."""
    content = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
