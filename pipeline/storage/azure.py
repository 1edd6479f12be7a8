"""The account in Azure whose container has the data, from the variables that its tools read.

`obstore` does not read connection strings, and DuckDB reads no variables: so both get what is found here. Nothing of it
prints.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.errors import FixSettings

__all__ = ["AzureAccount"]

CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
KEYS = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_KEY")
TOKENS = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
NAMES = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
"""Of each value, the name in Azure's SDKs comes first, then others that tools read, such as the command line `az`."""


@dataclass(frozen=True)
class AzureAccount:
    """A storage account.

    Attributes:
        name: the account.
        key: its key, if one is given.
        token: a shared access signature, if one is given. Without key and token the machine's identity counts.
        endpoint: the address of its blobs, if it is not the usual one.
    """

    name: str
    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    endpoint: str | None = None

    @classmethod
    def from_variables(cls, variables: Mapping[str, str] | None = None) -> AzureAccount:
        """Return the account that variables name, those of this process by default. Raises `FixSettings`."""
        variables = os.environ if variables is None else variables
        parts = _parts(variables.get(CONNECTION_STRING, ""))
        if parts:
            name, endpoint = parts.get("accountname"), parts.get("blobendpoint")
            key, token = parts.get("accountkey"), parts.get("sharedaccesssignature")
            if name and not endpoint and parts.get("endpointsuffix"):
                scheme = parts.get("defaultendpointsprotocol", "https")
                endpoint = f"{scheme}://{name}.blob.{parts['endpointsuffix']}"
            if not name and endpoint:
                name = endpoint.partition("://")[2].partition(".")[0]
        else:
            name, key, token = (_first(variables, names) for names in (NAMES, KEYS, TOKENS))
            endpoint = _first(variables, ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"))
        if not name:
            raise FixSettings(
                "CALL_METRICS_DATA is in Azure, and no variable names the account; set AZURE_STORAGE_ACCOUNT_NAME and "
                f"AZURE_STORAGE_ACCOUNT_KEY, or {CONNECTION_STRING}"
            )
        return cls(name, key or None, (token or "").lstrip("?") or None, (endpoint or "").rstrip("/") or None)

    @property
    def allows_http(self) -> bool:
        """Whether its address is without encryption, as that of a server on loopback is."""
        return (self.endpoint or "").startswith("http://")

    def for_client(self) -> dict[str, str]:
        """Return the configuration of `obstore`. What it lacks, such as an identity, `obstore` finds itself."""
        given = {"account_name": self.name, "account_key": self.key, "sas_key": self.token, "endpoint": self.endpoint}
        return {name: value for name, value in given.items() if value}

    def connection_string(self) -> str | None:
        """Return a connection string for DuckDB; None if neither key nor token is given."""
        if not (self.key or self.token):
            return None
        given = {
            "DefaultEndpointsProtocol": "http" if self.allows_http else "https",
            "AccountName": self.name,
            "AccountKey": self.key,
            "SharedAccessSignature": None if self.key else self.token,
            "BlobEndpoint": self.endpoint or f"https://{self.name}.blob.core.windows.net",
        }
        return ";".join(f"{name}={value}" for name, value in given.items() if value)


def _first(variables: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """Return the first of some variables that is set."""
    return next((value for name in names if (value := variables.get(name, "").strip())), None)


def _parts(text: str) -> dict[str, str]:
    """Return the parts of a connection string, by their names in small letters. Raises `FixSettings`."""
    parts = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, sign, value = part.partition("=")
        if not sign:
            raise FixSettings(f"{CONNECTION_STRING} cannot be read; copy it again from the account's access keys")
        parts[name.strip().lower()] = value.strip()
    return parts
