"""The client of a bucket.

Credentials, region and endpoint come from the variables that every tool reads (`AWS_ACCESS_KEY_ID`, `AWS_REGION`,
`AWS_ENDPOINT_URL` and so on; those of Azure are in `azure`, those of Google in `google`) or from the machine's role.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pipeline.errors import FixSettings
from pipeline.storage.azure import AzureAccount
from pipeline.storage.google import GoogleAccount

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

__all__ = ["connect"]

REQUEST_SECONDS = 60
"""Seconds that one request may take: an upload of a few megabytes over a slow line."""

RETRIES = 6
MAX_BACKOFF_SECONDS = 5
"""`obstore` sends a request again this often, with pauses from 0.2 seconds to this: about ten seconds in all."""


def connect(url: str) -> Client:
    """Return a client of the data root. Raises `FixSettings` if its library or a variable is missing or unusable."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError:
        raise FixSettings(
            f"CALL_METRICS_DATA is {url}, and reading an object store needs a library; run "
            "`pip install 'call-metrics[scale]'`"
        ) from None
    variable, given, allows_http = _account(url)
    try:
        return from_url(
            url,
            **given,
            client_options={
                "allow_http": allows_http,
                "timeout": timedelta(seconds=REQUEST_SECONDS),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=REQUEST_SECONDS),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=200),
                    "max_backoff": timedelta(seconds=MAX_BACKOFF_SECONDS),
                    "base": 2,
                },
            },
        )
    except (BaseError, ValueError):  # its message may hold a credential
        raise FixSettings(
            f"CALL_METRICS_DATA is {url}, which cannot be used with the variables of its store (such as {variable}); "
            "correct them"
        ) from None


def _account(url: str) -> tuple[str, dict[str, Any], bool]:
    """Return a variable of a store, what its client is given, and whether the address is without encryption."""
    if url.startswith("az://"):
        azure = AzureAccount.from_variables()
        return "AZURE_STORAGE_ACCOUNT_KEY", {"config": azure.for_client()}, azure.allows_http
    if url.startswith("gs://"):
        google = GoogleAccount.from_variables()
        return "GOOGLE_BASE_URL", {"config": google.for_client(), "credential_provider": google}, google.allows_http
    return "AWS_ENDPOINT_URL", {}, os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
