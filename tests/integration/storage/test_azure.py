"""What is of Azure alone among the tests of `test_clouds`: its accounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import FixStorage
from pipeline.storage import connect
from pipeline.storage.objects import ObjectStore
from pipeline.warehouse.attach import attach
from tests.integration.storage.conftest import Cloud
from tests.support.azurite import ACCOUNT, KEY
from tests.support.postgres import Database


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"AZURE_STORAGE_ACCOUNT_KEY": "aHVudGVyMg=="},
            "does not allow it (AuthorizationFailure); the cred",
        ),
        ({"AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:1/x"}, "cannot be reached; check the network and AZURE_STORAGE_"),
    ],
    ids=["key", "network"],
)
def test_account_that_refuses_is_named_in_one_sentence(
    azure: Cloud, variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sentence holds neither a secret nor the server's words."""
    monkeypatch.setattr(connect, "RETRIES", 1)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore(azure.url, tmp_path)
    for use in (store.names, lambda: store.create("x", b"1"), lambda: store.prepare("raw")):
        with pytest.raises(FixStorage) as caught:
            use()
        message = str(caught.value)
        assert message.startswith(f"{azure.url} ")
        assert sentence in message
        assert not any(word in message for word in ("\n", "aHVudGVyMg", KEY, "http", "AWS_"))


def test_connection_string_is_enough(
    azure: Cloud, database: Database, azure_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It serves raw responses, tables and DuckDB."""
    for name in ("ACCOUNT_NAME", "ACCOUNT_KEY", "ENDPOINT"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}")
    parts = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={azure_endpoint};"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", parts)
    assert ObjectStore(azure.url, tmp_path).create("x", b"1")
    with attach(azure.lake(database), read_only=False) as lake:
        lake.execute("CREATE TABLE t AS SELECT 1 AS x")
        assert lake.execute("FROM t").fetchall() == [(1,)]
        assert KEY not in str(lake.execute("FROM duckdb_secrets()").fetchall())
