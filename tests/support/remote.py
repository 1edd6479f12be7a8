"""What tests of the remote server share: a client in another process, and a database that is published."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.errors import FixSettings
from pipeline.serving import server

TOKEN = "a-token-for-the-tests"

try:
    EXTENSION_FILES = [str(server.extension(name)) for name in server.EXTENSIONS]
except FixSettings as missing:
    EXTENSION_FILES = []
    REASON = str(missing)
else:
    REASON = ""

needs_extensions = pytest.mark.skipif(not EXTENSION_FILES, reason=REASON)

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
        result = {"rows": database.execute(json.loads(line)).fetchall()}
    except duckdb.Error as error:
        result = {"error": str(error)}
    print(json.dumps(result, default=str), flush=True)
"""


class Client:
    """A DuckDB in another process that attaches the server at its first query, and stays attached."""

    def __init__(self, uri: str, token: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, uri, token, *EXTENSION_FILES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, query: str) -> Any:
        """Run a query in the client, and return its rows, or the message of an error."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(query) + "\n")
        self._process.stdin.flush()
        result = json.loads(self._process.stdout.readline())
        return result.get("error", result.get("rows"))

    def run_on_server(self, query: str) -> Any:
        """Run the whole query on the server, and return its rows, or the message of an error."""
        return self.run(f"FROM calls.query('{query.replace(chr(39), chr(39) * 2)}')")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def publish(path: Path, rows: int, more: str = "") -> None:
    """Replace the published database as the warehouse does: by a finished one, in one step."""
    new = path.with_name("new.duckdb")
    with duckdb.connect(str(new)) as database:
        database.execute("CREATE SCHEMA store")
        database.execute(f"CREATE TABLE store.samples AS SELECT range AS n FROM range({rows})")
        database.execute("CREATE VIEW metric_points AS FROM store.samples")
        database.execute(f"CREATE TABLE windows AS SELECT now() AS since; {more}")
    new.replace(path)
