"""Requests to the source, through a proxy and without one."""

from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

from pipeline.emulator import KEY, SECRET, Emulator, uniform_world
from pipeline.errors import AskAgain
from pipeline.extract.client import StreamApi
from pipeline.settings import Credentials, Secret
from tests.support import DAY


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove proxies from the environment of the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_proxy_gets_a_request_for_a_tunnel_and_nothing_else(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key and the path go through the tunnel only, and a proxy that refuses is named in the error."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                received.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        monkeypatch.setenv(variable, f"http://127.0.0.1:{server.getsockname()[1]}")

        async def send() -> None:
            credentials = Credentials("the-key", Secret("s" * 40))
            async with StreamApi("https://source.invalid", credentials, concurrency=1) as api:
                await api.rate_limits()

        with pytest.raises(AskAgain, match="HTTPS_PROXY"):
            asyncio.run(send())
        thread.join()
    assert received[0].startswith(b"CONNECT source.invalid:443 HTTP/1.1\r\n")
    assert b"the-key" not in received[0]


def test_proxy_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo works behind a proxy too."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def send(url: str) -> dict[str, object]:
        async with StreamApi(url, Credentials(KEY, Secret(SECRET)), concurrency=1) as api:
            return await api.rate_limits()

    with Emulator(uniform_world(DAY, calls=1, people=1, minutes=1)) as emulator:
        assert asyncio.run(send(emulator.url))
        assert asyncio.run(send(emulator.url.replace("127.0.0.1", "localhost")))
