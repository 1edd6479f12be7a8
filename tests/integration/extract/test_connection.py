"""One connection to a server on loopback: when it is used again, and when another is opened."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from pipeline.extract.connection import Connection
from pipeline.extract.network import tls_context
from tests.support.api import ScriptedServer, http_response


async def get(connection: Connection, url: str) -> bytes:
    """Return the body of the response to a request for `/`."""
    request = httpx.Request("GET", url, extensions={"target": b"/", "timeout": {}})
    response = await connection.handle_async_request(request)
    try:
        return await response.aread()
    finally:
        await response.aclose()


@pytest.mark.parametrize(("trusted_seconds", "is_noticed"), [(0.0, True), (60.0, False)])
def test_connection_that_the_server_closed_is_replaced(trusted_seconds: float, is_noticed: bool) -> None:
    """Another one is opened before the next request, or after that has failed if the connection was just used."""
    server = ScriptedServer(http_response("one"))

    async def main() -> None:
        async with server.listening():
            connection = Connection(httpx.URL(server.url), tls_context(), trusted_seconds=trusted_seconds)
            async with connection:
                assert await get(connection, server.url) == b"one"
                await server.hang_up()
                if not is_noticed:
                    with pytest.raises(httpx.TransportError):
                        await get(connection, server.url)
                assert await get(connection, server.url) == b"one"
                assert server.connections == 2

    asyncio.run(main())


def test_connection_is_replaced_if_the_server_says_that_it_closes_it() -> None:
    """After `Connection: close`, the next request has a connection of its own."""
    server = ScriptedServer(http_response("one", 200, "Connection: close"))

    async def main() -> None:
        async with server.listening(), Connection(httpx.URL(server.url), tls_context()) as connection:
            assert [await get(connection, server.url) for _ in range(3)] == [b"one"] * 3
            assert server.connections == 3

    asyncio.run(main())


def test_server_that_closes_after_each_response_costs_one_failed_request() -> None:
    """It does not say that it closes the connection. After one failure, we look before each request."""
    server = ScriptedServer(http_response("one"))

    async def main() -> None:
        connection = Connection(httpx.URL(server.url), tls_context(), trusted_seconds=60.0)
        async with connection:
            failed = 0
            for _ in range(6):
                try:
                    assert await get(connection, server.url) == b"one"
                except httpx.TransportError:
                    failed += 1
                await server.hang_up()
            assert failed == 1

    async def listen() -> None:
        async with server.listening():
            await main()

    asyncio.run(listen())
