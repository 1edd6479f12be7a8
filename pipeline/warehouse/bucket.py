"""How DuckDB reaches the bucket in which a DuckLake has its files: the extensions, and a secret for that folder alone.

Credentials, region and endpoint are those of the data root: from the variables that every tool reads, or else from the
role of the machine, pod or task. How we read and write objects ourselves is in `storage`.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import duckdb

from pipeline.errors import FixStorage, first_line
from pipeline.sql import literal

__all__ = ["bucket_extensions", "create_secret"]


def bucket_extensions() -> list[str]:
    """Return the extensions that DuckDB needs: `aws` finds credentials that are not in variables."""
    return ["httpfs"] if _has_keys() else ["httpfs", "aws"]


def create_secret(database: duckdb.DuckDBPyConnection, folder: str) -> None:
    """Give a database access to a folder of a bucket. Raises `FixStorage` if there are no credentials."""
    options = {"TYPE": "s3", "SCOPE": literal(folder)}
    if _has_keys():
        options |= {
            "KEY_ID": literal(os.environ["AWS_ACCESS_KEY_ID"]),
            "SECRET": literal(os.environ["AWS_SECRET_ACCESS_KEY"]),
        }
        if token := os.environ.get("AWS_SESSION_TOKEN"):
            options["SESSION_TOKEN"] = literal(token)
    else:
        options["PROVIDER"] = "credential_chain"
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        options["REGION"] = literal(region)
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        address = urlsplit(endpoint)
        options |= {
            "ENDPOINT": literal(f"{address.netloc}{address.path.rstrip('/')}"),
            "URL_STYLE": "'path'",
            "USE_SSL": "false" if address.scheme == "http" else "true",
        }
    try:
        database.execute(f"CREATE SECRET bucket ({', '.join(f'{name} {value}' for name, value in options.items())})")
    except duckdb.Error as error:
        # The message of a missing chain names no credential; that of any other error could repeat the statement.
        reason = "it finds no credentials" if "credential" in first_line(error).lower() else type(error).__name__
        raise FixStorage(
            f"DuckDB cannot use {folder} ({reason}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the "
            "machine a role"
        ) from None


def _has_keys() -> bool:
    return bool(os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"))
