"""The published database for clients on other machines, read-only, by DuckDB's own remote protocol (quack).

A DuckDB in memory answers. It holds no rows: each of its views selects from the published file, which is attached
under a name of its own. When another file takes the place of the published one, that is attached too, all views are
turned to it in one transaction, and the former is let go of a little later. Nobody is disconnected, and a query that
runs meanwhile ends on the file it began with.

What a client may ask stands in `sql/only_select.sql`. Beneath it, the files are attached read-only, every other file
and the network are out of DuckDB's reach, and no setting can be changed any more. The protocol does not encrypt: for
other machines, put a TLS proxy or an SSH tunnel in front. What is published, and how, is `warehouse.py`'s business.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
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
from pipeline.settings import MIN_TOKEN, Secret, Settings
from pipeline.sql import literal, load, quoted
from pipeline.warehouse.published import identity

__all__ = ["EXTENSIONS", "LOOPBACK", "Server", "extension", "run", "token_file", "token_for"]

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"

EXTENSIONS = ("httpfs", "quack")
"""Extensions of DuckDB that the protocol needs, in the order of loading; they come with the extra `serve`."""

INSTALL = "install both with `pip install 'call-metrics[serve]'`"

CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}

LOCKS = (
    "SET GLOBAL TimeZone = 'UTC'",
    "SET temp_directory = ''",  # a query that needs more memory than there is fails alone, and fills no disk
    "SET GLOBAL quack_authorization_function = 'only_select'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
"""What keeps clients to the published tables, beside `sql/only_select.sql`."""

POLL_SECONDS = 1.0
"""How often the published file is looked at; also how long, at least, the former one stays attached."""


class Server:
    """Serves the database at `published` from the start of the `with` block to its end. Used by one thread.

    Port 0 is any free one. `scratch` is where the server makes a folder of its own, best on the file system of the
    database. Raises `FixSettings` where DuckDB's extensions or the address cannot be used, `FixStorage` where the
    database or the folder cannot.
    """

    def __init__(self, published: Path, token: Secret, scratch: Path, *, host: str = LOOPBACK, port: int = 0) -> None:
        self._published = published
        self._token = token
        self._scratch = scratch
        self._host = host
        self._port = port
        self._seen: tuple[int, ...] | None = None
        self._told: tuple[int, ...] | None = None
        self._generation = 0
        self._former: list[str] = []

    @property
    def uri(self) -> str:
        """What a client attaches, such as quack:127.0.0.1:9494."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"quack:{host}:{self._port}"

    def __enter__(self) -> Self:
        files = [extension(name) for name in EXTENSIONS]
        if not self._published.exists():
            raise FixStorage(
                f"{self._published} is not there yet; `call-metrics backfill` or `call-metrics demo` makes it"
            )
        self._port = _usable_port(self._host, self._port)
        with contextlib.ExitStack() as undo:
            self._folder = undo.enter_context(_own_folder(self._scratch / f"serve-{self._port}"))
            self._database = undo.enter_context(duckdb.connect(":memory:", config=CONFIGURATION))
            self._lock_down(files)
            try:
                self._turn()
            except (duckdb.Error, OSError) as error:
                raise FixStorage(f"{self._published} cannot be served ({first_line(error)})") from None
            self._listen()
            undo.callback(self._database.execute, "CALL quack_stop($uri)", {"uri": self.uri})
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def refresh(self) -> bool:
        """Let go of the file before the present one; turn to the one that is published now. Whether it is another."""
        for name in self._former:
            self._database.execute(f"DETACH {name}")
        self._former.clear()
        found = identity(self._published)
        if found in (self._seen, None):  # one that is gone will come back
            return False
        try:
            self._turn()
        except (duckdb.Error, OSError) as error:
            if self._told != found:  # it is tried again and again, for what is in the way may pass
                log.warning("%s cannot be served (%s); going on as before", self._published, first_line(error))
            self._told = found
            return False
        return True

    def _lock_down(self, extensions: list[Path]) -> None:
        """From here on: our extensions, our folder, no setting changed."""
        try:
            for file in extensions:
                self._database.execute(f"LOAD {literal(str(file))}")
        except duckdb.Error as error:
            raise FixSettings(f"DuckDB's extension cannot be loaded ({first_line(error)})") from None
        self._database.execute(load("pipeline.serving", "only_select"))
        self._database.execute(f"SET allowed_directories = [{literal(f'{self._folder}/')}]")
        for setting in LOCKS:
            self._database.execute(setting)

    def _turn(self) -> None:
        """Attach the published file and turn all views to it, at once. Raises what DuckDB and the system raise."""
        found = identity(self._published)
        name = f"published_{self._generation + 1}"
        file = self._folder / f"{name}.duckdb"  # DuckDB attaches no path twice, though another file lies there now
        try:
            _link(self._published, file)
            self._database.execute(f"ATTACH {literal(str(file))} AS {name} (READ_ONLY)")
        finally:
            file.unlink(missing_ok=True)  # who has it open keeps it
        try:
            self._database.execute("BEGIN")
            shown = self._names(name)
            for table in shown:
                self._database.execute(f"CREATE OR REPLACE VIEW {quoted(table)} AS FROM {name}.main.{quoted(table)}")
            for table in self._names("memory") - shown:
                self._database.execute(f"DROP VIEW {quoted(table)}")
            self._database.execute("COMMIT")
        except duckdb.Error:
            self._database.execute("ROLLBACK")
            self._database.execute(f"DETACH {name}")
            raise
        if self._generation:
            self._former.append(f"published_{self._generation}")
        self._generation += 1
        self._seen = found

    def _names(self, database: str) -> set[str]:
        """Tables and views of an attached database."""
        tables = "SELECT table_name FROM information_schema.tables"
        rows = self._database.execute(
            f"{tables} WHERE table_schema = 'main' AND table_catalog = $name", {"name": database}
        )
        return {row[0] for row in rows.fetchall()}

    def _listen(self) -> None:
        try:
            self._database.execute(
                "CALL quack_serve($uri, token => $token, allow_other_hostname => true)",
                {"uri": self.uri, "token": self._token.reveal()},
            )
        except duckdb.Error:  # its message may hold the statement
            raise _unusable(self._host, self._port, "DuckDB cannot listen there") from None
        # DuckDB listens in a thread of its own; stopped before that has begun, it would hold the port to the end.
        with contextlib.closing(HTTPConnection(self._host, self._port, timeout=10)) as probe:
            try:
                probe.request("GET", "/")
                probe.getresponse()
            except (OSError, HTTPException) as error:
                raise _unusable(self._host, self._port, first_line(error)) from None


def run(settings: Settings, *, host: str, port: int, ready: Callable[[Server], None]) -> int:
    """Serve until SIGTERM or SIGINT, and return 0; `ready` is called once clients are answered.

    To be called in the main thread. Raises `FixSettings` and `FixStorage`.
    """
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with Server(settings.warehouse, token_for(settings), settings.work, host=host, port=port) as server:
            ready(server)
            while not stop.wait(POLL_SECONDS):
                if server.refresh():
                    log.info("serving what was published just now")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def token_for(settings: Settings) -> Secret:
    """The token that clients must give: the one that is set, else one of our own, made once and kept beside the data.

    Raises `FixStorage` where the file that keeps it cannot be used.
    """
    if settings.serve_token is not None:
        return settings.serve_token
    path = token_file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
        if path.stat().st_mode & 0o077:
            raise FixStorage(f"{path} can be read by others; `chmod 600` it, or delete it and a new token is made")
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FixStorage(f"{path} cannot be used ({first_line(error)}); set CALL_METRICS_SERVE_TOKEN") from None
    if len(token) < MIN_TOKEN:
        raise FixStorage(f"{path} holds no token of {MIN_TOKEN} characters; delete it and a new one is made")
    return Secret(token)


def token_file(settings: Settings) -> Path:
    """Where the token is kept that `token_for` makes."""
    return settings.data / "serve-token"


def extension(name: str) -> Path:
    """The file of an extension, as its package brings it, for the DuckDB that runs.

    Raises `FixSettings` where the package is missing, or made for another version.
    """
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise FixSettings(f"`call-metrics serve` needs DuckDB's extension {name}; {INSTALL}")
    file = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.exists():
        raise FixSettings(f"DuckDB's extension {name} is not made for DuckDB {duckdb.__version__}; {INSTALL}")
    return file


@contextlib.contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """An empty folder for the length of the block; one that a killed server left makes room."""
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise FixStorage(f"{path} cannot be made ({error.strerror}); is the data folder writable?") from None
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Another name for the file, which costs nothing; a copy where the file system has no such thing."""
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _usable_port(host: str, port: int) -> int:
    """The port, or a free one for 0. Raises `FixSettings` where host and port cannot be listened to."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            if port:  # as DuckDB's own; else connections of a server that has just ended are in the way for a minute
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_REUSEPORT", socket.SO_REUSEADDR), 1)
            probe.bind(address)
            usable = int(probe.getsockname()[1])
    except OSError as error:
        raise _unusable(host, port, error.strerror) from None
    except UnicodeError:  # of a name that none can have
        raise _unusable(host, port, "Name or service not known") from None
    with contextlib.suppress(OSError), socket.create_connection((host, usable), timeout=5):
        raise _unusable(host, port, "another server answers there")
    return usable


def _unusable(host: str, port: int, why: str | None) -> FixSettings:
    return FixSettings(f"{host} port {port} cannot be used ({why}); choose others with --host and --port")
