"""Fixtures for the tests of the remote server: a published database, a server for it, and clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.serving.server import Server
from pipeline.settings import Secret
from tests.support.remote import TOKEN, Client, publish


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    """Return a function that starts clients. They end with the test."""
    clients: list[Client] = []

    def start(uri: str, token: str = TOKEN) -> Client:
        clients.append(Client(uri, token))
        return clients[-1]

    yield start
    for started in clients:
        started.close()


@pytest.fixture
def published_file(tmp_path: Path) -> Path:
    """Return a published database with one sample."""
    path = tmp_path / "data" / "warehouse.duckdb"
    path.parent.mkdir()
    publish(path, 1)
    return path


@pytest.fixture
def server(published_file: Path) -> Iterator[Server]:
    """Yield a server in this process, which looks for a new published file only in `refresh`."""
    with Server(published_file, Secret(TOKEN), published_file.parent / ".work") as running:
        yield running
