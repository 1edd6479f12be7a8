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
from pipeline.serving.health import Health, serving_health
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

    def check(self) -> None:
        """Raise `FixStorage` unless clients can read what is published now. May be called by another thread.

        Reads by the server's own DuckDB: whoever opened the file once more and closed it would free the lock that the
        server has on it, since locks of files are held per process.
        """
        if (problem := self._publication.problem) is not None:
            raise FixStorage(problem)
        try:
            with self._database.cursor() as reader:
                reader.execute("SELECT * FROM windows LIMIT 1").fetchone()
            _probe(self._host, self._port)
        except duckdb.Error as error:
            raise FixStorage(f"{self._published} cannot be read ({first_line(error)})") from None
        except (OSError, HTTPException) as error:
            raise FixStorage(f"{self.uri} does not answer ({first_line(error)})") from None

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
        try:
            _probe(self._host, self._port)
        except (OSError, HTTPException) as error:
            raise _unusable(self._host, self._port, first_line(error)) from None


def run(
    settings: Settings,
    published: Path,
    *,
    host: str,
    port: int,
    health_port: int | None = None,
    ready: Callable[[Server, str | None], None],
) -> int:
    """Serve until SIGTERM or SIGINT, and return 0. Calls `ready` as soon as clients can connect.

    With a `health_port`, `/health` on it says whether clients can read, and `ready` gets its address. Must be called in
    the main thread. Raises `FixSettings` and `FixStorage`.
    """
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with contextlib.ExitStack() as served:
            server = served.enter_context(Server(published, token_for(settings), settings.work, host=host, port=port))
            address = None
            if health_port is not None:
                address = served.enter_context(serving_health(Health(published, server.check), host, health_port))
            ready(server, address)
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


def _probe(host: str, port: int) -> None:
    """Return once DuckDB answers a request. Raises `OSError` and `HTTPException`."""
    with contextlib.closing(HTTPConnection(host, port, timeout=10)) as probe:
        probe.request("GET", "/")
        probe.getresponse()


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
