"""The client behind a proxy, as the environment names it."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from pipeline.api import StreamApi
from pipeline.errors import AskAgain
from pipeline.settings import Credentials, Secret


def test_a_proxy_is_asked_for_a_tunnel_and_told_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key and the path of a request go through the tunnel only; a proxy that refuses is named in the error."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{listening.getsockname()[1]}")

        async def ask() -> None:
            credentials = Credentials("the-key", Secret("s" * 40))
            async with StreamApi("https://source.invalid", credentials, concurrency=1) as api:
                await api.rate_limits()

        with pytest.raises(AskAgain, match="HTTPS_PROXY"):
            asyncio.run(ask())
        thread.join()
    assert asked[0].startswith(b"CONNECT source.invalid:443 HTTP/1.1\r\n")
    assert b"the-key" not in asked[0]
