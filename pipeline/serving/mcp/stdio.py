"""The server on standard input and output, for an editor or assistant that starts it. Logs go to standard error."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from typing import cast

import anyio
from mcp.server.stdio import stdio_server

from pipeline.serving.mcp.server import Server

__all__ = ["serve"]

STDIN = 0
CHUNK_BYTES = 1 << 16


async def serve(server: Server) -> None:
    """Serve until standard input ends, or SIGTERM or SIGINT comes."""
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_on_signal, group.cancel_scope)
        lines = cast("anyio.AsyncFile[str]", _Lines(asyncio.get_running_loop()))
        async with stdio_server(stdin=lines) as (incoming, outgoing):
            protocol = server._lowlevel_server  # as `MCPServer.run_stdio_async` does, which takes no stream
            await protocol.run(incoming, outgoing, protocol.create_initialization_options())
        group.cancel_scope.cancel()


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()


class _Lines:
    """Lines of standard input, read by a thread that need not end: the SDK's could not be cancelled while it waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        threading.Thread(target=self._read, name="standard input", daemon=True).start()

    async def __aiter__(self) -> AsyncIterator[str]:
        while (line := await self._lines.get()) is not None:
            yield line

    def _read(self) -> None:
        """Read pieces with `os.read`, which holds no lock of Python's that the end of the process would wait for."""
        rest = b""
        try:
            while piece := os.read(STDIN, CHUNK_BYTES):
                *lines, rest = (rest + piece).split(b"\n") if b"\n" in piece else (rest + piece,)
                for line in lines:
                    self._give(line.decode(errors="replace"))
            self._give(None)
        except (OSError, RuntimeError):  # the loop has ended
            return

    def _give(self, line: str | None) -> None:
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
