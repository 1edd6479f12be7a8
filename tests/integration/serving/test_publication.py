"""A new published file: clients see it without reconnecting, and a broken one changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.serving.server import Server
from pipeline.settings import Secret
from pipeline.warehouse.published import open_published
from tests.support import DAY
from tests.support.remote import TOKEN, Client, needs_extensions, publish
from tests.support.small_world import SmallWorld, steady

MACRO_QUERIES = (
    "SELECT * FROM compare_releases('web', '1.1', '1.0')",
    f"SELECT dimension, kind, value, n_after FROM explain_change('{DAY}', '{DAY}', '{DAY}', '{DAY}') ORDER BY ALL",
)


def release_world() -> SmallWorld:
    """Return a call of two people, each with another version of the app; one is poor."""
    world = SmallWorld()
    world.call()
    for user, version, framerate in (("ann", "1.1", 3), ("bob", "1.0", 30)):
        world.stay(user, 0, 600, client_name="web", client_version=version, network_type="wifi")
        world.track(steady(0, 600, framerate=framerate), user_id=user, user_session_id=user)
    return world


@needs_extensions
def test_attached_client_sees_a_new_publication(
    server: Server, published_file: Path, client: Callable[..., Client]
) -> None:
    """Each publication is in the next query, with its tables, and the files before it are detached."""
    reader = client(server.uri)
    assert reader.run_on_server("SELECT count(*) FROM metric_points") == [[1]]
    assert not server.refresh()
    for rows in (2, 3, 4):
        publish(published_file, rows, "CREATE TABLE extra AS SELECT 1" if rows == 2 else "")
        assert server.refresh()
        assert reader.run_on_server("SELECT count(*) FROM metric_points") == [[rows]]
        assert isinstance(reader.run_on_server("FROM extra"), list) == (rows == 2)
    assert not server.refresh()
    assert reader.run_on_server("SELECT database_name FROM duckdb_databases() WHERE NOT internal ORDER BY ALL") == [
        ["memory"],
        ["published_4"],
    ]


@needs_extensions
def test_query_ends_on_the_publication_it_started_with(
    server: Server, published_file: Path, client: Callable[..., Client]
) -> None:
    """All rows of a running query arrive, even if its file is replaced and detached meanwhile."""
    publish(published_file, 400_000)
    server.refresh()
    reader = server._database.cursor()
    reader.execute("SELECT sum(n) OVER (ROWS 1 PRECEDING) FROM metric_points")
    assert reader.fetchone() == (0,)
    for rows in (1, 2):
        publish(published_file, rows)
        server.refresh()
    server.refresh()
    assert len(reader.fetchall()) == 399_999
    assert client(server.uri).run_on_server("SELECT count(*) FROM metric_points") == [[2]]


@needs_extensions
def test_broken_publication_is_ignored(
    server: Server, published_file: Path, client: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    """A broken or missing file is logged once. The previous one is served until a good one comes."""
    reader = client(server.uri)
    broken = published_file.with_name("broken")
    broken.write_bytes(b"no database")
    broken.replace(published_file)
    assert not server.refresh()
    assert not server.refresh()
    assert len([record for record in caplog.records if "cannot be served" in record.message]) == 1
    published_file.unlink()
    assert not server.refresh()
    assert reader.run_on_server("SELECT count(*) FROM metric_points") == [[1]]
    publish(published_file, 5)
    assert server.refresh()
    assert reader.run_on_server("SELECT count(*) FROM metric_points") == [[5]]


@needs_extensions
def test_locked_publication_is_served_later(
    server: Server, published_file: Path, client: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    """Another program has the new file open for writing: it is logged once, and the file is served when it is free."""
    publish(published_file, 5)
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; d = duckdb.connect({str(published_file)!r}); print('open', flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout.readline() == "open\n"
        assert not server.refresh()
        assert not server.refresh()
        assert len([record for record in caplog.records if "cannot be served" in record.message]) == 1
    finally:
        writer.kill()
        writer.communicate()
    assert server.refresh()
    assert client(server.uri).run_on_server("SELECT count(*) FROM metric_points") == [[5]]


@needs_extensions
def test_client_calls_the_published_macros(tmp_path: Path, client: Callable[..., Client]) -> None:
    """They return what they return in the published file, also after the next publication."""
    world = release_world()
    world.load(tmp_path).close()
    file = tmp_path / "published.duckdb"
    with Server(file, Secret(TOKEN), tmp_path / "work") as server:
        reader = client(server.uri)
        for _ in range(2):
            for query in MACRO_QUERIES:
                with open_published(file) as database:
                    expected = database.execute(query).fetchall()
                assert expected
                assert reader.run_on_server(query) == json.loads(json.dumps(expected, default=str))
            (tmp_path / "copy").write_bytes(file.read_bytes())
            (tmp_path / "copy").replace(file)
            assert server.refresh()


@needs_extensions
def test_macro_that_does_not_fit_is_left_out(
    server: Server, published_file: Path, client: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    """A file of another version is served without the macro; one without macros has none."""
    reader = client(server.uri)
    assert "does not exist" in reader.run_on_server(MACRO_QUERIES[0])
    publish(published_file, 2, "CREATE MACRO compare_releases(a, b, c) AS TABLE SELECT a, b, c")
    assert server.refresh()
    assert [record.message for record in caplog.records if "compare_releases cannot be called" in record.message]
    assert reader.run_on_server("SELECT count(*) FROM metric_points") == [[2]]
    assert "does not exist" in reader.run_on_server(MACRO_QUERIES[0])
