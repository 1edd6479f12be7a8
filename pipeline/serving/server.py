"""The published database for clients on other machines, read-only, by DuckDB's own remote protocol (quack).

The server is a DuckDB in memory, with a view for each published table. Here is how it starts, what it forbids clients,
and how it runs until it is stopped. How it attaches the published file, and switches to a newer one, is in
`publication`.

`only_select.sql` decides which statements of a client run. Below that, DuckDB protects itself: the files are attached
read-only, every other file and the network are out of reach, and no setting can be changed any more. The protocol does
not encrypt: for other machines, put a TLS proxy or an SSH tunnel in front. The token that clients must give is in
`access_token`.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

import duckdb

from pipeline.errors import FixSettings, FixStorage, first_line
from pipeline.serving.access_token import token_for
from pipeline.serving.publication import Publication
from pipeline.settings import Secret, Settings
from pipeline.sql import literal, read_statement
from pipeline.warehouse.extensions import NO_DOWNLOADS, extension_file, load_extensions

__all__ = ["EXTENSIONS", "LOOPBACK", "Server", "extension", "run"]

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"

EXTENSIONS = ("httpfs", "quack")
"""Extensions of DuckDB that the protocol needs, in the order of loading. They come with the extra `serve`."""

INSTALL = "install both with `pip install 'call-metrics[serve]'`"

CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    **NO_DOWNLOADS,
    "python_enable_replacements": "false",
}

LOCKED_SETTINGS = (
    "SET GLOBAL TimeZone = 'UTC'",
    "SET temp_directory = ''",  # a query that needs more memory than there is fails alone, and fills no disk
    "SET GLOBAL quack_authorization_function = 'only_select'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
"""Settings that keep clients to the published tables, together with `only_select.sql`."""

POLL_SECONDS = 1.0
"""How often the server looks for a new published file. The previous file stays attached at least this long."""


class Server:
    """Serves the database at `published` within a `with` block. Used by one thread.

    Args:
        published: the file that is served, and looked at again in `refresh`.
        token: what clients must give.
        scratch: where the server makes a folder of its own, best on the file system of the database.
        host: address to listen on.
        port: TCP port to listen on; 0 for any free one.

    Entering the block raises `FixSettings` if DuckDB's extensions or the address cannot be used, `FixStorage` if the
    database or the folder cannot.
    """

    def __init__(self, published: Path, token: Secret, scratch: Path, *, host: str = LOOPBACK, port: int = 0) -> None:
        self._published = published
        self._token = token
        self._scratch = scratch
        self._host = host
        self._port = port

    @property
    def uri(self) -> str:
        """What a client attaches, such as quack:127.0.0.1:9494."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"quack:{host}:{self._port}"

    def __enter__(self) -> Self:
        files = [extension(name) for name in EXTENSIONS]
        if not self._published.exists():
            raise FixStorage(
                f"{self._published} does not exist yet; `call-metrics backfill` or `call-metrics demo` creates it"
            )
        self._port = _usable_port(self._host, self._port)
        with contextlib.ExitStack() as undo:
            folder = undo.enter_context(_own_folder(self._scratch / f"serve-{self._port}"))
            self._database = undo.enter_context(duckdb.connect(":memory:", config=CONFIGURATION))
            _lock_down(self._database, files, folder)
            self._publication = Publication(self._database, self._published, folder)
            self._publication.attach()
            self._listen()
            undo.callback(self._database.execute, "CALL quack_stop($uri)", {"uri": self.uri})
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def refresh(self) -> bool:
        """Switch to the file that is published now. Returns whether it is another one."""
        return self._publication.refresh()

    def _listen(self) -> None:
        try:
            self._database.execute(
                "CALL quack_serve($uri, token => $token, allow_other_hostname => true)",
                {"uri": self.uri, "token": self._token.reveal()},
            )
        except duckdb.Error:  # do not repeat its message, which may contain the statement
            raise _unusable(self._host, self._port, "DuckDB cannot listen there") from None
        # DuckDB listens in its own thread. If it is stopped before that thread is ready, the port stays in use until
        # the process ends.
        with contextlib.closing(HTTPConnection(self._host, self._port, timeout=10)) as probe:
            try:
                probe.request("GET", "/")
                probe.getresponse()
            except (OSError, HTTPException) as error:
                raise _unusable(self._host, self._port, first_line(error)) from None


def run(settings: Settings, published: Path, *, host: str, port: int, ready: Callable[[Server], None]) -> int:
    """Serve until SIGTERM or SIGINT, and return 0. Calls `ready` as soon as clients can connect.

    Must be called in the main thread. Raises `FixSettings` and `FixStorage`.
    """
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with Server(published, token_for(settings), settings.work, host=host, port=port) as server:
            ready(server)
            while not stop.wait(POLL_SECONDS):
                if server.refresh():
                    log.info("serving what was published just now")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def extension(name: str) -> Path:
    """Return the file of an extension from its package. Raises `FixSettings` if there is none for this DuckDB."""
    return extension_file(name, needed_by="`call-metrics serve`", install=INSTALL)


def _lock_down(database: duckdb.DuckDBPyConnection, extensions: list[Path], folder: Path) -> None:
    """Load the extensions, then forbid everything but them, our folder and `only_select`."""
    load_extensions(database, extensions)
    database.execute(read_statement("pipeline.serving", "only_select"))
    database.execute(f"SET allowed_directories = [{literal(f'{folder}/')}]")
    for setting in LOCKED_SETTINGS:
        database.execute(setting)


@contextlib.contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder for the length of the block. Replaces one that a killed server left."""
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise FixStorage(f"{path} cannot be created ({error.strerror}); is the data folder writable?") from None
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _usable_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0. Raises `FixSettings` if we cannot listen on host and port."""
    if not host.isprintable():
        raise FixSettings(f"--host is {host!r}; write an address or a name of this machine")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            if port:  # as DuckDB does; otherwise connections of a server that has just ended block it for a minute
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_REUSEPORT", socket.SO_REUSEADDR), 1)
            probe.bind(address)
            usable = int(probe.getsockname()[1])
    except OSError as error:
        raise _unusable(host, port, error.strerror) from None
    except UnicodeError:  # from a name that no host can have
        raise _unusable(host, port, "Name or service not known") from None
    with contextlib.suppress(OSError), socket.create_connection((host, usable), timeout=5):
        raise _unusable(host, port, "another server is listening there")
    return usable


def _unusable(host: str, port: int, why: str | None) -> FixSettings:
    return FixSettings(f"{host} port {port} cannot be used ({why}); choose others with --host and --port")
