"""A server on loopback that stands in for Azure's blobs: azurite, where it is installed (`npm install -g azurite`)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime

import obstore
from obstore.store import AzureStore

from tests.support.object_store import free_port, wait_for

ACCOUNT = "devstoreaccount1"
KEY = base64.b64encode(b"hunter2 hunter2 hunter2 hunter2!").decode()
PROGRAM = shutil.which("azurite-blob")


@contextlib.contextmanager
def azure_server() -> Iterator[str]:
    """Run a server that keeps everything in memory. Yields its address; ends it by its process id."""
    assert PROGRAM
    port = free_port()
    command = [PROGRAM, "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", f"{port}"]
    command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    environment = {"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}/{ACCOUNT}"
        finally:
            process.kill()


class Container:
    """A container of a test."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint, self.name = endpoint, name
        self._create()
        self._client = AzureStore(
            name,
            config={"account_name": ACCOUNT, "account_key": KEY, "endpoint": endpoint},
            client_options={"allow_http": True},
        )

    def list_keys(self) -> list[str]:
        return sorted(entry["path"] for page in obstore.list(self._client) for entry in page)

    def read(self, key: str) -> bytes:
        return bytes(obstore.get(self._client, key).bytes())

    def write(self, key: str, content: bytes) -> None:
        obstore.put(self._client, key, content)

    def contents(self) -> dict[str, bytes]:
        return {key: self.read(key) for key in self.list_keys()}

    def _create(self) -> None:
        """Create it, with a signature as Azure describes it, since `obstore` creates none.

        https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
        """
        headers = {"x-ms-date": f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT", "x-ms-version": "2021-08-06"}
        signed = "PUT" + "\n" * 12 + "".join(f"{name}:{value}\n" for name, value in headers.items())
        signed += f"/{ACCOUNT}/{ACCOUNT}/{self.name}\nrestype:container"
        signature = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest())
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature.decode()}"
        address = f"{self.endpoint}/{self.name}?restype=container"
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers, method="PUT")):
            pass
