"""How DuckDB reaches a bucket of Google Cloud Storage: with a token of the same account as everything else.

A token lasts for an hour, and DuckDB does not renew it: who keeps a DuckDB open calls `create_google_secret` again.

DuckLake deletes files many at a time, by a request that Google has learned in 2026:
https://docs.cloud.google.com/storage/docs/xml-api/post-bucket
"""

from __future__ import annotations

import duckdb

from pipeline.errors import FixStorage
from pipeline.sql import literal
from pipeline.storage import GoogleAccount

__all__ = ["create_google_secret"]


def create_google_secret(database: duckdb.DuckDBPyConnection, data_path: str) -> None:
    """Let DuckDB read and write below `data_path`, and nothing else there is. Raises `FixSettings` and `FixStorage`."""
    account = GoogleAccount.from_variables()
    options = {"SCOPE": data_path, "BEARER_TOKEN": account.token(data_path).value}
    if account.endpoint:
        options |= {"ENDPOINT": account.endpoint.rpartition("://")[2], "URL_STYLE": "path"}
        options["USE_SSL"] = "false" if account.allows_http else "true"
    given = ", ".join(f"{name} {literal(value)}" for name, value in options.items())
    try:
        database.execute(f"CREATE OR REPLACE TEMPORARY SECRET lake_files (TYPE gcs, {given})")
    except duckdb.Error:  # its message repeats the statement
        raise FixStorage(
            f"{data_path} cannot be used with the variables of Google; check GOOGLE_APPLICATION_CREDENTIALS and "
            "GOOGLE_BASE_URL"
        ) from None
