"""The health of a server: 200 while the published database can be read, else 503, a sentence, and a line in the log."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from pipeline.catalog import LakeCatalog
from pipeline.errors import FixStorage
from pipeline.serving import health as module
from pipeline.serving.health import MISSING, SLOW, UNREADABLE, Health
from pipeline.warehouse.published import check


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every request a new check."""
    monkeypatch.setattr(module, "CACHE_SECONDS", 0.0)


def answer(health: Health) -> tuple[int, dict[str, str]]:
    """Return the status and the document of an answer."""

    async def ask() -> tuple[int, dict[str, str]]:
        response = await health.answer()
        assert response.headers["cache-control"] == "no-store"
        return response.status_code, json.loads(response.body)

    return asyncio.run(ask())


def test_server_is_healthy_while_the_database_can_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Missing, broken and not ours are told apart in the log, once each, and not to strangers: no path is named."""
    path = tmp_path / "warehouse.duckdb"
    health = Health(path, lambda: check(path))
    assert answer(health) == (503, {"status": "unavailable", "reason": MISSING})
    path.write_bytes(b"this is text" * 1000)
    assert answer(health) == answer(health) == (503, {"status": "unavailable", "reason": UNREADABLE})
    path.unlink()
    with duckdb.connect(str(path)) as database:
        database.execute("CREATE TABLE t AS SELECT 1")
    assert answer(health)[0] == 503
    with duckdb.connect(str(path)) as database:
        database.execute("CREATE SCHEMA store; CREATE TABLE store.loaded (session_date DATE)")
    assert answer(health) == (200, {"status": "ok"})
    assert len(caplog.messages) == 3
    assert all(str(path) in message for message in caplog.messages)


def test_lake_that_does_not_exist_is_not_healthy(tmp_path: Path) -> None:
    """Neither the file nor the server of its catalog is named."""
    catalog = LakeCatalog.parse(f"ducklake:{tmp_path}/catalog.ducklake", tmp_path)
    assert answer(Health(catalog, lambda: check(catalog))) == (503, {"status": "unavailable", "reason": UNREADABLE})


def test_answer_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A database whose server hangs is not healthy, and many requests share one check."""
    free, looks = threading.Event(), []

    def hang() -> None:
        looks.append(1)
        free.wait(30)

    health = Health(tmp_path, hang, seconds=0.05)

    async def ask_many() -> list[int]:
        return [response.status_code for response in await asyncio.gather(*(health.answer() for _ in range(20)))]

    try:
        assert asyncio.run(ask_many()) == [503] * 20
        assert answer(health)[1]["reason"] == SLOW
        assert looks == [1]
    finally:
        free.set()


def test_what_was_seen_holds_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that follow each other at once share one check, since anyone can send them."""
    monkeypatch.setattr(module, "CACHE_SECONDS", 3600.0)
    looks: list[int] = []
    health = Health(tmp_path, lambda: looks.append(1))
    assert [answer(health)[0] for _ in range(3)] == [200] * 3
    assert looks == [1]


def test_error_that_is_not_foreseen_is_not_hidden(tmp_path: Path) -> None:
    """It reaches the server, which answers 500 and logs it; the next look may find the database again."""
    errors: list[Callable[[], None]] = [lambda: None]

    def fail() -> None:
        raise ZeroDivisionError

    def refuse() -> None:
        raise FixStorage("fix it")

    errors += [refuse, fail]
    health = Health(tmp_path, lambda: errors.pop()())
    with pytest.raises(ZeroDivisionError):
        answer(health)
    assert answer(health) == (503, {"status": "unavailable", "reason": UNREADABLE})
    assert answer(health) == (200, {"status": "ok"})
