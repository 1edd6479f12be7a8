"""A PostgreSQL server for tests: Debian's programs as ordinary processes, in a temporary folder, on a free port.

PostgreSQL refuses to run as root, so root runs it as the user `postgres` or `nobody`. It is ended by its process id.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import psycopg2

from pipeline.catalog import LakeCatalog

__all__ = ["PASSWORD", "Database", "Postgres", "missing_programs"]

PASSWORD = "pass word's"
"""Of all roles, with what has to be quoted."""


def _programs() -> Path | None:
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


def missing_programs() -> str | None:
    """Return why no server can run here; None if one can."""
    if _programs() is None:
        return "PostgreSQL is not installed (Debian's package postgresql)"
    return None if os.getuid() or _other_user() else "PostgreSQL does not run as root, and there is no other user"


def _other_user() -> pwd.struct_passwd | None:
    """Return the user that a server of root runs as."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


class Database:
    """A database of a server, with a role that may write (`writer`) and one that may only read (`reader`)."""

    def __init__(self, port: int, name: str) -> None:
        self.port = port
        self.name = name

    def setting(self, role: str = "writer", **more: str) -> str:
        """Return a value for CALL_METRICS_WAREHOUSE. The password is in PGPASSWORD."""
        extras = "".join(f" {name}={value}" for name, value in more.items())
        return f"ducklake:postgres:dbname={self.name} host=127.0.0.1 port={self.port} user={role}{extras}"

    def catalog(self, data_path: Path, role: str = "writer") -> LakeCatalog:
        """Return the catalog of a lake in this database, with its files in a folder."""
        return LakeCatalog.parse(self.setting(role), data_path)

    def execute(self, statement: str, role: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement, and return its rows if it has any."""
        connection = psycopg2.connect(
            dbname=self.name, host="127.0.0.1", port=self.port, user=role, password=PASSWORD, connect_timeout=10
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def cut_off(self) -> int:
        """End all connections of `writer`, as a network that breaks does. Returns how many there were."""
        return len(
            self.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE usename = 'writer' AND datname = '{self.name}'"
            )
        )


class Postgres:
    """A server within a `with` block. It can be stopped and started again."""

    def __init__(self) -> None:
        programs = _programs()
        assert programs is not None
        self._programs = programs
        self._user = _other_user() if os.getuid() == 0 else None
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="call-metrics-postgres-"))
        if self._user:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run(
            "initdb", "-D", "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile=password", "-N",
            "--locale=C", "--encoding=UTF8",
        )  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        try:
            self.start()
            self._create_roles()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _create_roles(self) -> None:
        quoted = PASSWORD.replace("'", "''")
        main = Database(self.port, "postgres")
        main.execute(f"CREATE ROLE writer LOGIN PASSWORD '{quoted}'")
        main.execute(f"CREATE ROLE reader LOGIN PASSWORD '{quoted}'")

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 40,
            "shared_buffers": "16MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", "data", *options],
                cwd=self._folder, stdout=log, stderr=log, **self._identity(),
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                Database(self.port, "postgres").execute("SELECT 1")
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End the server and all its connections at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self._folder / "log").read_text(errors="replace")

    def create_database(self) -> Database:
        """Create an empty database, in which `writer` may create tables and `reader` may only read."""
        database = Database(self.port, f"lake_{next(self._numbers)}")
        Database(self.port, "postgres").execute(f"CREATE DATABASE {database.name} OWNER writer")
        database.execute("GRANT CREATE, USAGE ON SCHEMA public TO writer; GRANT USAGE ON SCHEMA public TO reader")
        database.execute("ALTER DEFAULT PRIVILEGES FOR ROLE writer IN SCHEMA public GRANT SELECT ON TABLES TO reader")
        return database

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder, capture_output=True, text=True, timeout=60, check=False, **self._identity(),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
