"""The client behind a proxy, as the environment names it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import threading
from pathlib import Path

import pytest

from pipeline.emulator import KEY, SECRET, Emulator, uniform_world
from pipeline.errors import AskAgain, FixSettings
from pipeline.extract.client import StreamApi
from pipeline.settings import Credentials, Secret
from tests.support import DAY


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies of whoever runs the tests are not the tests'."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_is_asked_for_a_tunnel_and_told_nothing_else(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
        monkeypatch.setenv(variable, f"http://127.0.0.1:{listening.getsockname()[1]}")

        async def ask() -> None:
            credentials = Credentials("the-key", Secret("s" * 40))
            async with StreamApi("https://source.invalid", credentials, concurrency=1) as api:
                await api.rate_limits()

        with pytest.raises(AskAgain, match="HTTPS_PROXY"):
            asyncio.run(ask())
        thread.join()
    assert asked[0].startswith(b"CONNECT source.invalid:443 HTTP/1.1\r\n")
    assert b"the-key" not in asked[0]


def refusal(base_url: str) -> str:
    """Why no client can be made in this environment: one sentence."""

    async def connect() -> None:
        async with StreamApi(base_url, Credentials("k", Secret("s" * 40)), concurrency=1):
            pass

    with pytest.raises(FixSettings) as caught:
        asyncio.run(connect())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "address", ["foo://hunter2@x", "http://me:hunter2@127.0.0.1:99999", "http://[::1", "http://", "http://xn--/"]
)
def test_a_proxy_that_is_none_is_refused_by_its_variable(
    address: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sentence, which does not repeat a password."""
    monkeypatch.setenv(variable, address)
    message = refusal("https://source.invalid")
    assert message.startswith((f"{variable} is not a usable address;", f"{variable} is not the address of a proxy;"))
    assert "hunter2" not in message


@pytest.mark.skipif(importlib.util.find_spec("socksio") is not None, reason="what SOCKS needs is installed")
def test_a_proxy_of_another_kind_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where it would be used: the address at hand decides which proxy counts."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    assert "pip install 'httpx[socks]'" in refusal("https://source.invalid")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    StreamApi("http://127.0.0.1:9", Credentials("k", Secret("s" * 40)))


def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo works behind a proxy too: its emulator is not asked through it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def ask(url: str) -> dict[str, object]:
        async with StreamApi(url, Credentials(KEY, Secret(SECRET)), concurrency=1) as api:
            return await api.rate_limits()

    with Emulator(uniform_world(DAY, calls=1, people=1, minutes=1)) as emulator:
        assert asyncio.run(ask(emulator.url))
        assert asyncio.run(ask(emulator.url.replace("127.0.0.1", "localhost")))


@pytest.mark.parametrize("address", ["http://xn--/", "http://a\x01b", "http://me:hunter2@x:99999"])
def test_an_address_that_cannot_be_one_is_refused(address: str) -> None:
    """Also where only the client finds out, and again without a password."""
    message = refusal(address)
    assert message.startswith("STREAM_BASE_URL is not a usable address;")
    assert "hunter2" not in message


@pytest.mark.parametrize("content", [None, "no certificate\n"])
def test_certificates_that_cannot_be_read_are_said(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there, and one of something else."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificates.pem"))
    if content:
        (tmp_path / "certificates.pem").write_text(content)
    assert refusal("https://source.invalid").startswith("SSL_CERT_FILE or SSL_CERT_DIR ")
