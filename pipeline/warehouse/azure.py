"""How DuckDB reaches a container in Azure, with the same variables as everything else that does.

A key or a token in the environment is used as it is. Without them DuckDB's extension `azure` finds the identity of the
machine or pod.
"""

from __future__ import annotations

import os

import duckdb

from pipeline.errors import FixStorage
from pipeline.sql import literal
from pipeline.storage import AzureAccount

__all__ = ["create_azure_secret"]


def create_azure_secret(database: duckdb.DuckDBPyConnection, data_path: str) -> None:
    """Let DuckDB read and write below `data_path`, and nothing else there is. Raises `FixSettings` and `FixStorage`."""
    account = AzureAccount.from_variables()
    options = {"SCOPE": data_path}
    if connection := account.connection_string():
        options["CONNECTION_STRING"] = connection
    else:
        options |= {"PROVIDER": "credential_chain", "ACCOUNT_NAME": account.name}
        if account.endpoint:
            options["ENDPOINT"] = account.endpoint.partition("://")[2].removeprefix(f"{account.name}.")
    given = ", ".join(f"{name} {literal(value)}" for name, value in options.items())
    # The default one may not find the system's certificates: https://github.com/duckdb/duckdb-azure/issues/8
    transport = "curl" if os.name == "posix" else "default"
    try:
        database.execute(f"SET GLOBAL azure_transport_option_type = '{transport}'")
        database.execute(f"CREATE TEMPORARY SECRET lake_files (TYPE azure, {given})")
    except duckdb.Error:  # its message repeats the statement
        raise FixStorage(
            f"{data_path} cannot be used with the variables of Azure; check AZURE_STORAGE_ACCOUNT_NAME and "
            "AZURE_STORAGE_ACCOUNT_KEY"
        ) from None
