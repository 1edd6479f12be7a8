"""The remote server: real clients in their own processes read the published database, and nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.errors import FixSettings, FixStorage
from pipeline.serving.server import Server, extension, run
from pipeline.settings import Secret, Settings
from tests.support.remote import EXTENSION_FILES, TOKEN, Client, needs_extensions, publish


@needs_extensions
def test_clients_read_the_published_database(server: Server, client: Callable[..., Client]) -> None:
    """They read tables and views of the attached database, and run whole queries on the server, in UTC."""
    reader = client(server.uri)
    assert reader.run("SELECT count(*) FROM calls.metric_points") == [[1]]
    assert reader.run_on_server("SELECT count(*) FROM metric_points JOIN windows ON true") == [[1]]
    assert reader.run_on_server("SHOW TABLES") == [["metric_points"], ["windows"]]
    assert reader.run_on_server("SELECT current_setting('TimeZone')") == [["UTC"]]


@needs_extensions
@pytest.mark.parametrize("token", ["another-token-entirely", "a-token-for-the-test", "' OR true --"])
def test_wrong_token_is_refused(token: str, server: Server, client: Callable[..., Client]) -> None:
    """The refusal does not contain the right one."""
    result = client(server.uri, token.replace("'", "''")).run("FROM calls.windows")
    assert "Authentication failed" in result
    assert TOKEN not in result


@needs_extensions
def test_clients_cannot_reach_anything_else(server: Server, client: Callable[..., Client], tmp_path: Path) -> None:
    """No writing, no file of the server, no network, no setting, no session of another client, and no way around."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    reader = client(server.uri)
    file = tmp_path / "secret.csv"
    for refused in (
        "DROP VIEW windows",
        "DELETE FROM published_1.main.windows",
        "INSERT INTO published_1.main.windows VALUES (now())",
        "CREATE TABLE t (a INT)",
        "CREATE OR REPLACE MACRO only_select(a, b) AS b",
        "SELECT 1; DROP VIEW windows",
        "WITH x AS (SELECT now() AS since) INSERT INTO published_1.main.windows FROM x",
        f"COPY windows TO '{tmp_path}/out.csv'",
        f"FROM '{file}'",
        f"FROM read_text('{file}')",
        f"SELECT (SELECT content FROM read_text('{file}'))",
        f"FROM query('FROM read_text(''{file}'')')",
        f"FROM glob('{tmp_path}/*')",
        f"ATTACH '{file}' AS other",
        "ATTACH ':memory:' AS other",
        "DETACH published_1",
        "SET enable_external_access = true",
        "SET GLOBAL quack_authorization_function = 'quack_nop_authorization'",
        "INSTALL httpfs",
        f"LOAD '{EXTENSION_FILES[0]}'",
        f"CALL quack_stop('{server.uri}')",
        f"FROM quack_stop('{server.uri}')",
        "FROM quack_serve('quack:127.0.0.1:1', token => 'other')",
        "FROM quack_active_connections()",
        f"FROM quack_query('{server.uri}', 'SELECT 1', token => '{TOKEN}')",
        "FROM duckdb_secrets()",
        "CALL enable_logging('Quack')",
        "SELEKT 1",
        "",
    ):
        result = reader.run_on_server(refused)
        assert isinstance(result, str), refused
        assert "Error" in result
    for refused in ("CREATE TABLE calls.t AS SELECT 1", "INSERT INTO calls.windows VALUES (now())"):
        assert "Error" in reader.run(refused)
    assert not (tmp_path / "out.csv").exists()
    assert reader.run_on_server("SELECT count(*) FROM windows") == [[1]]
    assert TOKEN not in str(reader.run_on_server("SELECT * FROM duckdb_logs"))


@needs_extensions
def test_duckdb_refuses_what_passes_the_check_of_queries(server: Server, tmp_path: Path) -> None:
    """A statement that gets past the check still reaches no file, no network and no setting."""
    for refused in (
        f"COPY windows TO '{tmp_path}/out.csv'",
        "FROM read_text('/etc/hostname')",
        "FROM read_text('http://127.0.0.1:9/')",
        f"ATTACH '{tmp_path}/other.duckdb' AS other",
        "DELETE FROM published_1.main.windows",
        "SET enable_external_access = true",
        "SET GLOBAL quack_authorization_function = 'quack_nop_authorization'",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            server._database.execute(refused)


@needs_extensions
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_serves_until_a_signal(
    number: signal.Signals, published_file: Path, client: Callable[..., Client]
) -> None:
    """It prints the address but not the token, notices publications by itself, and ends cleanly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "serve", "--port", "0", "--health-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(published_file.parent),
            "CALL_METRICS_DATA": str(published_file.parent),
        },
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        path = published_file.parent / "serve-token"
        token = path.read_text().strip()
        assert len(token) >= 16
        assert path.stat().st_mode & 0o777 == 0o600
        assert str(path) in line
        assert token not in line
        uri = next(word for word in line.split() if word.startswith("quack:127.0.0.1:"))
        reader = client(uri, token)
        assert reader.run_on_server("SELECT count(*) FROM metric_points") == [[1]]
        publish(published_file, 2)
        assert process.stderr
        assert "published just now" in process.stderr.readline()
        assert reader.run_on_server("SELECT count(*) FROM metric_points") == [[2]]
        health = process.stdout.readline().split()[0]
        with urllib.request.urlopen(health) as response:
            assert (response.status, response.read()) == (200, b'{"status":"ok"}')
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.communicate()
    assert not list((published_file.parent / ".work").iterdir())


@needs_extensions
def test_server_is_healthy_while_clients_read_what_is_published(
    server: Server, published_file: Path, client: Callable[..., Client]
) -> None:
    """A file that is missing or broken is not, although the previous one is still served."""
    server.check()
    away = published_file.rename(published_file.with_name("away.duckdb"))
    assert not server.refresh()
    with pytest.raises(FixStorage, match="is missing; serving the previous one"):
        server.check()
    published_file.write_bytes(b"no database" * 1000)
    assert not server.refresh()
    with pytest.raises(FixStorage, match="cannot be served"):
        server.check()
    assert client(server.uri).run_on_server("SELECT count(*) FROM metric_points") == [[1]]
    away.replace(published_file)
    server.refresh()
    server.check()


@needs_extensions
def test_health_port_that_is_in_use_is_refused(published_file: Path) -> None:
    """One sentence names the option."""
    settings = Settings(data=published_file.parent)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FixSettings, match=f"port {port} cannot be used .*; choose another with --health-port"):
            run(settings, published_file, host="127.0.0.1", port=0, health_port=port, ready=lambda *_: None)
    assert not list((published_file.parent / ".work").iterdir())


@needs_extensions
def test_server_can_start_again_on_the_same_port(published_file: Path, client: Callable[..., Client]) -> None:
    """Neither connections of clients nor the folder of a killed server prevent it."""
    scratch = published_file.parent / ".work"
    with Server(published_file, Secret(TOKEN), scratch) as first:
        port = int(first.uri.rsplit(":", 1)[1])
        assert client(first.uri).run_on_server("SELECT 1") == [[1]]
    (scratch / f"serve-{port}").mkdir()
    (scratch / f"serve-{port}" / "published_1.duckdb").write_bytes(b"left")
    with Server(published_file, Secret(TOKEN), scratch, port=port):
        assert (scratch / f"serve-{port}").stat().st_mode & 0o777 == 0o700
    assert not list(scratch.iterdir())


@needs_extensions
def test_server_that_cannot_start_says_why(published_file: Path, tmp_path: Path) -> None:
    """No database, a broken one, a port in use, an address of another machine: one sentence each."""

    def refusal(path: Path, kind: type[Exception], **address: Any) -> str:
        with pytest.raises(kind) as caught, Server(path, Secret(TOKEN), tmp_path, **address):
            pass
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "does not exist yet" in refusal(tmp_path / "none.duckdb", FixStorage)
    (tmp_path / "broken.duckdb").write_bytes(b"no database")
    assert "cannot be served" in refusal(tmp_path / "broken.duckdb", FixStorage)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "choose others" in refusal(published_file, FixSettings, port=taken.getsockname()[1])
    for host in ("x..y", "x" * 70, "a b", ""):
        assert "Name or service not known" in refusal(published_file, FixSettings, host=host)
    assert "choose others" in refusal(published_file, FixSettings, host="192.0.2.1")
    assert refusal(published_file, FixSettings, host="127.0.0.1\n").startswith(r"--host is '127.0.0.1\n'; write an")


def test_missing_extension_says_what_to_install() -> None:
    """One sentence has the command that installs it."""
    with pytest.raises(FixSettings, match=r"pip install 'call-metrics\[serve\]'"):
        extension("nowhere")
