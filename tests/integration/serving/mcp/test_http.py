"""The MCP server over HTTP: the token, the headers that are checked, and its end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from pipeline.serving.health import Health
from pipeline.settings import Secret, Settings
from pipeline.warehouse.published import check
from tests.support.assistants import TOKEN, call_of_two, mcp, publish, refusal, run, values

httpx2 = pytest.importorskip("httpx2", reason="needs the extra `mcp`")

from pipeline.serving.mcp.http import application  # noqa: E402 - the extra is there
from pipeline.serving.mcp.server import build  # noqa: E402

ACCEPT = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
PING = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'


@contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start `call-metrics mcp --http` on a free port, and yield the process and its address; end it afterwards."""
    publish(call_of_two(), folder / "data")
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", "mcp", "--http", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            "HOME": f"{folder}",
            "CALL_METRICS_DATA": f"{folder / 'data'}",
            "CALL_METRICS_SERVE_TOKEN": TOKEN,
        },
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert TOKEN not in line
            yield process, next(word for word in line.split() if word.startswith("http://"))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a server."""
    with served(tmp_path_factory.mktemp("http")) as (_, address):
        yield address


def post(url: str, **headers: str) -> tuple[int, str]:
    """Send a request, and return the status and the body of the response."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=20)) as connection:
        connection.request("POST", parts.path, PING, ACCEPT | {"Authorization": f"Bearer {TOKEN}"} | headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_client_with_the_token_reads(url: str) -> None:
    """The SDK's client asks, and hostile queries get the same sentences."""

    async def scenario() -> None:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as http:
            transport = mcp.client.streamable_http.streamable_http_client(url, http_client=http)
            async with mcp.Client(transport) as client:
                result = await values(client, "query", sql="SELECT count(*) FROM participant_sessions")
                assert result["rows"] == [[2]]
                assert "read_text" in await refusal(client, "query", sql="FROM read_text('/etc/passwd')")

    run(scenario)


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer another-token-entirely", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_wrong_token_is_refused(given: str, url: str) -> None:
    """The refusal does not contain the right one."""
    status, body = post(url, Authorization=given)
    assert status == 401
    assert TOKEN not in body


def test_other_hosts_and_pages_are_refused(url: str) -> None:
    """A page whose name points to this machine gets nothing, even with the token."""
    assert post(url)[0] == 200
    assert post(url, Host="evil.example")[0] == 421
    assert post(url, Host="evil.example:80")[0] == 421
    assert post(url, Origin="http://evil.example")[0] == 403
    assert post(url, Origin=url.removesuffix("/mcp"))[0] == 200


def test_health_needs_no_token(url: str) -> None:
    """It says that the server runs, and nothing else; other paths need the token."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=20)) as connection:
        connection.request("GET", "/health")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b'{"status":"ok"}')
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        assert response.status == 401


def test_health_is_that_of_the_database(tmp_path: Path) -> None:
    """Without a database the server runs and is not healthy; it says why, and neither where nor to whom it belongs."""
    settings = Settings(data=tmp_path / "data")
    health = Health(settings.warehouse, lambda: check(settings.warehouse))
    app = application(build(settings, 5), Secret(TOKEN), "127.0.0.1", health)

    async def scenario() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            response = await client.get("/health")
        assert response.status_code == 503
        assert response.json() == {"status": "unavailable", "reason": "there is no published database"}

    run(scenario)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_server(number: signal.Signals, tmp_path: Path) -> None:
    """With exit code 0, and without a word."""
    with served(tmp_path) as (process, address):
        assert post(address)[0] == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def test_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """The exit code is 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "mcp", "--http", "--port", f"{taken.getsockname()[1]}"],
            capture_output=True,
            text=True,
            env={"HOME": f"{tmp_path}", "CALL_METRICS_DATA": f"{tmp_path / 'data'}"},
        )
    assert done.returncode == 2
    assert "choose others with --host and --port" in done.stderr
    assert done.stderr.count("\n") == 1
