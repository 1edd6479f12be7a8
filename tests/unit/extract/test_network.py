"""Connections to the source: proxies, addresses and certificates that cannot be used are refused in one sentence."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path

import pytest

from pipeline.errors import FixSettings
from pipeline.extract.client import StreamApi
from pipeline.settings import Credentials, Secret


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove proxies from the environment of the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def refusal(base_url: str) -> str:
    """Return the sentence with which a client refuses this environment."""

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
def test_proxy_that_cannot_be_used_is_refused(address: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variable and does not repeat a password."""
    monkeypatch.setenv(variable, address)
    message = refusal("https://source.invalid")
    assert message.startswith((f"{variable} is not a usable address;", f"{variable} is not the address of a proxy;"))
    assert "hunter2" not in message


@pytest.mark.skipif(importlib.util.find_spec("socksio") is not None, reason="socksio is installed")
def test_socks_proxy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the proxy for the address at hand counts."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    assert "pip install 'httpx[socks]'" in refusal("https://source.invalid")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    StreamApi("http://127.0.0.1:9", Credentials("k", Secret("s" * 40)))


@pytest.mark.parametrize("address", ["http://xn--/", "http://a\x01b", "http://me:hunter2@x:99999"])
def test_address_that_cannot_be_used_is_refused(address: str) -> None:
    """An address that only the client finds to be wrong is refused too, without repeating a password."""
    message = refusal(address)
    assert message.startswith("STREAM_BASE_URL is not a usable address;")
    assert "hunter2" not in message


@pytest.mark.parametrize("content", [None, "no certificate\n"])
def test_certificates_that_cannot_be_read_are_refused(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that does not exist is refused, and so is one without certificates."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificates.pem"))
    if content:
        (tmp_path / "certificates.pem").write_text(content)
    assert refusal("https://source.invalid").startswith("SSL_CERT_FILE or SSL_CERT_DIR ")
