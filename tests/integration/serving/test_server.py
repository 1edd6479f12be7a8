"""The published database over the network: a real server on loopback, real clients in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.errors import FixSettings, FixStorage
from pipeline.serving import server as serve
from pipeline.settings import Secret, Settings

TOKEN = "a-token-for-the-tests"

try:
    EXTENSIONS = [str(serve.extension(name)) for name in serve.EXTENSIONS]
except FixSettings as missing:
    EXTENSIONS = []
    WHY = str(missing)
else:
    WHY = ""

needs_extensions = pytest.mark.skipif(not EXTENSIONS, reason=WHY)

CLIENT = """
import json, sys, duckdb
database = duckdb.connect()
for extension in sys.argv[3:]:
    database.execute(f"LOAD '{extension}'")
attached = False
for line in sys.stdin:
    try:
        if not attached:
            database.execute(f"ATTACH '{sys.argv[1]}' AS calls (TOKEN '{sys.argv[2]}')")
            attached = True
        answer = {"rows": database.execute(json.loads(line)).fetchall()}
    except duckdb.Error as error:
        answer = {"error": str(error)}
    print(json.dumps(answer, default=str), flush=True)
"""


class Client:
    """A DuckDB in another process that attaches the server at its first question, and stays attached."""

    def __init__(self, uri: str, token: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, uri, token, *EXTENSIONS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, query: str) -> Any:
        """What DuckDB in that process gives: rows, or the message of an error."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(query) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer.get("error", answer.get("rows"))

    def there(self, query: str) -> Any:
        """What the server makes of the whole query."""
        return self.ask(f"FROM calls.query('{query.replace(chr(39), chr(39) * 2)}')")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    """Starts clients; ends them when the test is over."""
    clients: list[Client] = []

    def start(uri: str, token: str = TOKEN) -> Client:
        clients.append(Client(uri, token))
        return clients[-1]

    yield start
    for started in clients:
        started.close()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "warehouse.duckdb"
    path.parent.mkdir()
    publish(path, 1)
    return path


@pytest.fixture
def server(published: Path) -> Iterator[serve.Server]:
    """A server in this process, which looks for a new publication only when it is told to."""
    with serve.Server(published, Secret(TOKEN), published.parent / ".work") as running:
        yield running


def publish(path: Path, rows: int, more: str = "") -> None:
    """Replace the published database the way the warehouse does: by a finished one, in one step."""
    new = path.with_name("new.duckdb")
    with duckdb.connect(str(new)) as database:
        database.execute("CREATE SCHEMA store")
        database.execute(f"CREATE TABLE store.samples AS SELECT range AS n FROM range({rows})")
        database.execute("CREATE VIEW metric_points AS FROM store.samples")
        database.execute(f"CREATE TABLE windows AS SELECT now() AS since; {more}")
    new.replace(path)


@needs_extensions
def test_clients_ask_the_published_database(server: serve.Server, client: Callable[..., Client]) -> None:
    """Tables and views answer where they are attached, and whole queries on the server, in UTC."""
    reader = client(server.uri)
    assert reader.ask("SELECT count(*) FROM calls.metric_points") == [[1]]
    assert reader.there("SELECT count(*) FROM metric_points JOIN windows ON true") == [[1]]
    assert reader.there("SHOW TABLES") == [["metric_points"], ["windows"]]
    assert reader.there("SELECT current_setting('TimeZone')") == [["UTC"]]


@needs_extensions
@pytest.mark.parametrize("token", ["another-token-entirely", "a-token-for-the-test", "' OR true --"])
def test_without_the_token_nothing_is_answered(token: str, server: serve.Server, client: Callable[..., Client]) -> None:
    """A wrong token is refused, and the refusal does not name the right one."""
    answer = client(server.uri, token.replace("'", "''")).ask("FROM calls.windows")
    assert "Authentication failed" in answer
    assert TOKEN not in answer


@needs_extensions
def test_a_client_reads_the_published_tables_and_nothing_else(
    server: serve.Server, client: Callable[..., Client], tmp_path: Path
) -> None:
    """No writing, no file of the server, no network, no setting, no other client's session, no way around that."""
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
        f"LOAD '{EXTENSIONS[0]}'",
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
        answer = reader.there(refused)
        assert isinstance(answer, str), refused
        assert "Error" in answer
    for refused in ("CREATE TABLE calls.t AS SELECT 1", "INSERT INTO calls.windows VALUES (now())"):
        assert "Error" in reader.ask(refused)
    assert not (tmp_path / "out.csv").exists()
    assert reader.there("SELECT count(*) FROM windows") == [[1]]
    assert TOKEN not in str(reader.there("SELECT * FROM duckdb_logs"))


@needs_extensions
def test_beneath_the_check_of_queries_duckdb_itself_refuses(server: serve.Server, tmp_path: Path) -> None:
    """What a client could send past the check still reaches no file, no network and no setting."""
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
def test_a_new_publication_is_seen_by_who_stays_attached(
    server: serve.Server, published: Path, client: Callable[..., Client]
) -> None:
    """Each publication answers the next query, tables come and go with it, and the files before it are let go of."""
    reader = client(server.uri)
    assert reader.there("SELECT count(*) FROM metric_points") == [[1]]
    assert not server.refresh()
    for rows in (2, 3, 4):
        publish(published, rows, "CREATE TABLE extra AS SELECT 1" if rows == 2 else "")
        assert server.refresh()
        assert reader.there("SELECT count(*) FROM metric_points") == [[rows]]
        assert isinstance(reader.there("FROM extra"), list) == (rows == 2)
    assert not server.refresh()
    assert reader.there("SELECT database_name FROM duckdb_databases() WHERE NOT internal ORDER BY ALL") == [
        ["memory"],
        ["published_4"],
    ]


@needs_extensions
def test_a_query_ends_on_the_publication_it_began_with(
    server: serve.Server, published: Path, client: Callable[..., Client]
) -> None:
    """Rows that are on their way when the file is replaced, and let go of, all arrive."""
    publish(published, 400_000)
    server.refresh()
    reader = server._database.cursor()
    reader.execute("SELECT sum(n) OVER (ROWS 1 PRECEDING) FROM metric_points")
    assert reader.fetchone() == (0,)
    for rows in (1, 2):
        publish(published, rows)
        server.refresh()
    server.refresh()
    assert len(reader.fetchall()) == 399_999
    assert client(server.uri).there("SELECT count(*) FROM metric_points") == [[2]]


@needs_extensions
def test_a_publication_that_cannot_be_read_changes_nothing(
    server: serve.Server, published: Path, client: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    """A broken or missing file is told once, and the one before goes on answering until a good one comes."""
    reader = client(server.uri)
    broken = published.with_name("broken")
    broken.write_bytes(b"no database")
    broken.replace(published)
    assert not server.refresh()
    assert not server.refresh()
    assert len([record for record in caplog.records if "cannot be served" in record.message]) == 1
    published.unlink()
    assert not server.refresh()
    assert reader.there("SELECT count(*) FROM metric_points") == [[1]]
    publish(published, 5)
    assert server.refresh()
    assert reader.there("SELECT count(*) FROM metric_points") == [[5]]


@needs_extensions
def test_a_publication_that_cannot_be_read_just_now_is_served_later(
    server: serve.Server, published: Path, client: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    """Someone else has the new file open for writing: that is told once, and it answers as soon as they are gone."""
    publish(published, 5)
    holding = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; d = duckdb.connect({str(published)!r}); print('open', flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holding.stdout.readline() == "open\n"
        assert not server.refresh()
        assert not server.refresh()
        assert len([record for record in caplog.records if "cannot be served" in record.message]) == 1
    finally:
        holding.kill()
        holding.communicate()
    assert server.refresh()
    assert client(server.uri).there("SELECT count(*) FROM metric_points") == [[5]]


@needs_extensions
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(
    number: signal.Signals, published: Path, client: Callable[..., Client]
) -> None:
    """It says where it is and not what the token is, notices publications by itself, and ends cleanly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(published.parent), "CALL_METRICS_DATA": str(published.parent)},
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        path = published.parent / "serve-token"
        token = path.read_text().strip()
        assert len(token) >= 16
        assert path.stat().st_mode & 0o777 == 0o600
        assert str(path) in line
        assert token not in line
        uri = next(word for word in line.split() if word.startswith("quack:127.0.0.1:"))
        reader = client(uri, token)
        assert reader.there("SELECT count(*) FROM metric_points") == [[1]]
        publish(published, 2)
        assert process.stderr
        assert "published just now" in process.stderr.readline()
        assert reader.there("SELECT count(*) FROM metric_points") == [[2]]
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.communicate()
    assert not list((published.parent / ".work").iterdir())


@needs_extensions
def test_a_server_leaves_nothing_in_the_way_of_the_next(published: Path, client: Callable[..., Client]) -> None:
    """Neither its clients' connections nor, after a kill, its folder keep another one from the same port."""
    scratch = published.parent / ".work"
    with serve.Server(published, Secret(TOKEN), scratch) as first:
        port = int(first.uri.rsplit(":", 1)[1])
        assert client(first.uri).there("SELECT 1") == [[1]]
    (scratch / f"serve-{port}").mkdir()
    (scratch / f"serve-{port}" / "published_1.duckdb").write_bytes(b"left")
    with serve.Server(published, Secret(TOKEN), scratch, port=port):
        assert (scratch / f"serve-{port}").stat().st_mode & 0o777 == 0o700
    assert not list(scratch.iterdir())


@needs_extensions
def test_where_no_server_can_be_the_reason_is_said(published: Path, tmp_path: Path) -> None:
    """No database, a broken one, a port that is taken, an address that is not ours: one sentence each."""

    def refusal(path: Path, kind: type[Exception], **address: Any) -> str:
        with pytest.raises(kind) as caught, serve.Server(path, Secret(TOKEN), tmp_path, **address):
            pass
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "is not there yet" in refusal(tmp_path / "none.duckdb", FixStorage)
    (tmp_path / "broken.duckdb").write_bytes(b"no database")
    assert "cannot be served" in refusal(tmp_path / "broken.duckdb", FixStorage)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "choose others" in refusal(published, FixSettings, port=taken.getsockname()[1])
    for host in ("x..y", "x" * 70, "a b", ""):
        assert "Name or service not known" in refusal(published, FixSettings, host=host)
    assert "choose others" in refusal(published, FixSettings, host="192.0.2.1")


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """Unset, a token is made and kept; a file that others can read, or that holds none, is refused; a set one wins."""
    settings = Settings(data=tmp_path)
    token = serve.token_for(settings)
    assert serve.token_for(settings) == token
    path = serve.token_file(settings)
    path.chmod(0o644)
    with pytest.raises(FixStorage, match="can be read by others"):
        serve.token_for(settings)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(FixStorage, match="holds no token"):
        serve.token_for(settings)
    assert serve.token_for(Settings(data=tmp_path, serve_token=Secret(TOKEN))) == Secret(TOKEN)


def test_a_token_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    """Fewer than 16 characters are too few, and the message does not repeat them."""
    with pytest.raises(FixSettings, match="at least 16 characters") as caught:
        Settings.load({"CALL_METRICS_SERVE_TOKEN": "fifteen-letters"}, tmp_path)
    assert "fifteen-letters" not in str(caught.value)
    settings = Settings.load({"CALL_METRICS_SERVE_TOKEN": "sixteen-letters!"}, tmp_path)
    assert settings.serve_token == Secret("sixteen-letters!")
    assert "sixteen" not in repr(settings)


def test_an_extension_that_is_missing_says_what_to_install() -> None:
    """One sentence with the command that brings it."""
    with pytest.raises(FixSettings, match=r"pip install 'call-metrics\[serve\]'"):
        serve.extension("nowhere")
