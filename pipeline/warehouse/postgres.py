"""PostgreSQL, where a DuckLake has its catalog: turns of workers by advisory locks, and what may be wrong with it.

A turn is an advisory lock on a connection of its own, and is free as soon as that connection ends: when the process
dies, when its machine does, when the network breaks (the server notices within a minute). Whoever lost its connection
has lost its turn, and must not publish. Passwords come from PostgreSQL's own variables and files.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from pipeline.catalog import LakeCatalog, without_password
from pipeline.errors import FixSettings, FixStorage, first_line
from pipeline.turns import StillMine

if TYPE_CHECKING:
    import psycopg2

__all__ = ["INSTALL", "PostgresTurns", "explain", "is_english", "server_problems"]

log = logging.getLogger(__name__)

INSTALL = "install what it needs with `pip install 'call-metrics[scale]'`"

ANSWER_SECONDS = 10.0
"""A server that does not answer a small query within this time is cut off from us. A connection that is cut off in
silence looks as if the answer were on its way."""

SESSION = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
"""Settings of a connection that holds a turn: the server drops it within a minute of the client's machine going."""

ANY_SILENCE = "SET idle_session_timeout = 0"
"""The server keeps the connection however long it is silent."""

FIRST_WAIT, LONGEST_WAIT = 0.05, 1.0
"""Seconds between two looks whether a turn is free. We look, and do not wait in the server, so that Ctrl-C works."""


class PostgresTurns:
    """Turns by advisory locks in the catalog's database.

    Args:
        catalog: the lake.
        data: the data root that days belong to, as a path or URL: each has its own days.
    """

    def __init__(self, catalog: LakeCatalog, data: str) -> None:
        self._catalog = catalog
        self._data = data

    def of_day(self, day: date) -> AbstractContextManager[StillMine]:
        """Work on a day of this data root, alone among all machines. Raises `FixStorage`."""
        return self._held(self._day(day), f"{day}")

    def is_taken(self, day: date) -> bool:
        """Return whether another process works on a day of this data root just now. Raises `FixStorage`."""
        with explain(self._catalog), contextlib.closing(_connect(self._catalog)) as connection:
            return not _is_locked(connection, _key(self._day(day)))  # closing the connection gives it back

    def of_publishing(self) -> AbstractContextManager[StillMine]:
        """Publish in this lake, alone among all machines. Raises `FixStorage`."""
        return self._held("publishing", "the lake")

    def of_erasing(self) -> AbstractContextManager[StillMine]:
        """Change the list of erased users of this data root, alone among all machines. Raises `FixStorage`."""
        return self._held(f"{self._data} erasing", "the list of erased users")

    def of_alerting(self) -> AbstractContextManager[StillMine]:
        """Tell people what is wrong with this data root, alone among all machines. Raises `FixStorage`."""
        return self._held(f"{self._data} alerting", "alerts")

    def _day(self, day: date) -> str:
        return f"{self._data} {day}"

    @contextmanager
    def _held(self, name: str, what: str) -> Iterator[StillMine]:
        connection = _connect(self._catalog)
        try:
            with explain(self._catalog):
                _do(connection, SESSION)
                if connection.server_version >= 140000:
                    _do(connection, ANY_SILENCE)
            self._wait(connection, _key(name), what)

            def still_mine() -> None:
                try:
                    with _at_most(ANSWER_SECONDS, connection):
                        _rows(connection, "SELECT 1")
                except _errors():
                    raise FixStorage(
                        f"the connection to PostgreSQL was lost, and with it the turn on {what}; nothing is half "
                        "published, run again to go on"
                    ) from None

            yield still_mine
        finally:
            with contextlib.suppress(Exception):  # it may be lost
                connection.close()

    def _wait(self, connection: psycopg2.extensions.connection, key: int, what: str) -> None:
        pause, started_at = FIRST_WAIT, time.monotonic()
        with explain(self._catalog):
            while not _is_locked(connection, key):
                if pause == FIRST_WAIT:
                    log.info("another process is working on %s; waiting for it", what, extra={"waits_for": what})
                time.sleep(pause)
                pause = min(pause * 1.5, LONGEST_WAIT)
        if pause != FIRST_WAIT:
            seconds = time.monotonic() - started_at
            log.debug("waited %.1f s for %s", seconds, what, extra={"waits_for": what, "seconds": round(seconds, 3)})


def _is_locked(connection: psycopg2.extensions.connection, key: int) -> bool:
    """Return whether the lock is ours now."""
    with _at_most(ANSWER_SECONDS, connection):
        return bool(_rows(connection, f"SELECT pg_try_advisory_lock({key})")[0][0])


@contextmanager
def _at_most(seconds: float, connection: psycopg2.extensions.connection) -> Iterator[None]:
    """Within the block, break the connection after so many seconds: whoever waits for an answer then gets an error.

    The settings of libpq are not enough: `tcp_user_timeout` only sees bytes that are not acknowledged, and a load
    balancer acknowledges them for a server that is gone.
    """
    ours = socket.socket(fileno=os.dup(connection.fileno()))

    def break_off() -> None:
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, break_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        ours.close()


def server_problems(catalog: LakeCatalog) -> list[str]:
    """Return what about the server will break the lake sooner or later, as sentences.

    Raises `FixStorage` and `FixSettings`. DuckLake repeats a commit only if the message of a conflict is in English
    (its issue 1311).
    """
    with explain(catalog), contextlib.closing(_connect(catalog)) as connection:
        ((language, may_create, read_only, free),) = _rows(
            connection,
            "SELECT current_setting('lc_messages'), has_schema_privilege(current_user, 'public', 'CREATE'), "
            "current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery(), "
            "current_setting('max_connections')::int - (SELECT count(*) FROM pg_stat_activity)",
        )
    problems = []
    if not is_english(language):
        problems.append(
            f"PostgreSQL's messages are in {language}, and DuckLake understands English ones only; "
            "set lc_messages to C for the database or the role"
        )
    if read_only or not may_create:
        problems.append("the role cannot create tables in the schema public, so it can only read the lake")
    if free < 4:
        problems.append(f"PostgreSQL has {free} connections left, and a worker needs up to 4; raise max_connections")
    return problems


def is_english(language: str) -> bool:
    """Return whether a value of `lc_messages` gives English messages."""
    return language in ("", "C", "POSIX") or language.startswith(("C.", "en_", "English"))


@contextmanager
def explain(catalog: LakeCatalog) -> Iterator[None]:
    """Translate the errors of PostgreSQL to `FixStorage`, without passwords."""
    try:
        yield
    except _errors() as error:
        reason = without_password(first_line(error)).strip()
        raise FixStorage(f"PostgreSQL of {catalog} cannot be used ({reason}); fix it and run again") from None


def _connect(catalog: LakeCatalog) -> psycopg2.extensions.connection:
    try:
        import psycopg2
    except ImportError:
        raise FixSettings(f"a DuckLake in PostgreSQL needs psycopg2; {INSTALL}") from None
    with explain(catalog):
        connection = psycopg2.connect(catalog.patient_postgres or "", application_name="call-metrics")
        connection.autocommit = True
        return connection


def _errors() -> type[Exception]:
    import psycopg2

    return psycopg2.Error


def _rows(connection: psycopg2.extensions.connection, query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def _do(connection: psycopg2.extensions.connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _key(name: str) -> int:
    """Return the number of an advisory lock: 64 bits, signed."""
    return int.from_bytes(hashlib.sha256(f"call-metrics {name}".encode()).digest()[:8], signed=True)
