"""The account in Azure that variables name."""

from __future__ import annotations

import pytest

from pipeline.errors import FixSettings
from pipeline.storage import AzureAccount


@pytest.mark.parametrize(
    ("variables", "client"),
    [
        (
            {"AZURE_STORAGE_ACCOUNT_NAME": "calls", "AZURE_STORAGE_ACCOUNT_KEY": "hunter2=="},
            {"account_name": "calls", "account_key": "hunter2=="},
        ),
        (
            {"AZURE_STORAGE_ACCOUNT": "calls", "AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=hunter2"},
            {"account_name": "calls", "sas_key": "sv=1&sig=hunter2"},
        ),
        (
            {
                "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=https;AccountName=calls;"
                "AccountKey=hunter2==;EndpointSuffix=core.windows.net",
                "AZURE_STORAGE_ACCOUNT_NAME": "other",
            },
            {"account_name": "calls", "account_key": "hunter2==", "endpoint": "https://calls.blob.core.windows.net"},
        ),
        (
            {
                "AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=https://calls.blob.core.windows.net/;"
                "SharedAccessSignature=sv=1&sig=hunter2"
            },
            {"account_name": "calls", "sas_key": "sv=1&sig=hunter2", "endpoint": "https://calls.blob.core.windows.net"},
        ),
        ({"AZURE_STORAGE_ACCOUNT_NAME": " calls "}, {"account_name": "calls"}),
    ],
    ids=["key", "token", "connection string", "connection string with a token", "identity"],
)
def test_account_is_found(variables: dict[str, str], client: dict[str, str]) -> None:
    """A connection string counts first. Nothing secret prints, and DuckDB gets the same."""
    account = AzureAccount.from_variables(variables)
    assert account.for_client() == client
    assert "hunter2" not in repr(account)
    text = account.connection_string()
    assert (text is None) == ("hunter2" not in str(variables))
    if text is not None:
        again = AzureAccount.from_variables({"AZURE_STORAGE_CONNECTION_STRING": text})
        assert (again.name, again.key, again.token) == (account.name, account.key, account.token)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AZURE_STORAGE_ACCOUNT_KEY": "hunter2"}, "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=x;hunter2"},
            "_CONNECTION_STRING cannot be read",
        ),
    ],
)
def test_account_that_cannot_be_found_is_one_sentence(variables: dict[str, str], sentence: str) -> None:
    """The sentence says what to set, and holds no secret."""
    with pytest.raises(FixSettings, match=sentence) as refused:
        AzureAccount.from_variables(variables)
    assert "hunter2" not in str(refused.value)
