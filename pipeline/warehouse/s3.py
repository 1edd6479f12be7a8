"""How DuckDB reaches the bucket of a lake: with the same variables as everything else that does.

Keys in the environment are used as they are. Without them DuckDB's extension `aws` finds those of the machine, pod or
task, and renews them.
"""

from __future__ import annotations

import os

import duckdb

from pipeline.errors import FixStorage
from pipeline.sql import literal

__all__ = ["create_secret", "has_static_keys"]


def has_static_keys() -> bool:
    """Return whether the environment has keys, so that no role has to be asked for them."""
    return bool(os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"))


def create_secret(database: duckdb.DuckDBPyConnection, data_path: str) -> None:
    """Let DuckDB read and write below `data_path`, and nothing else there is. Raises `FixStorage`."""
    options = {"SCOPE": data_path}
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        options["REGION"] = region
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        scheme, _, address = endpoint.rpartition("://")
        options |= {"ENDPOINT": address.rstrip("/"), "URL_STYLE": "path"}
        options["USE_SSL"] = "false" if scheme == "http" else "true"
    if has_static_keys():
        options |= {"KEY_ID": os.environ["AWS_ACCESS_KEY_ID"], "SECRET": os.environ["AWS_SECRET_ACCESS_KEY"]}
        if token := os.environ.get("AWS_SESSION_TOKEN"):
            options["SESSION_TOKEN"] = token
    else:
        options |= {"PROVIDER": "credential_chain", "REFRESH": "auto"}
    given = ", ".join(f"{name} {literal(value)}" for name, value in options.items())
    try:
        database.execute(f"CREATE TEMPORARY SECRET lake_files (TYPE s3, {given})")
    except duckdb.Error:  # its message repeats the statement
        raise FixStorage(
            f"{data_path} finds no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a "
            "role"
        ) from None
