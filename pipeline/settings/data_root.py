"""Where the data are: a folder or an object store, and in it a folder for each app that has a name.

<data root>/<app>/raw, tables, …        of the app `CALL_METRICS_APP`; without a name, directly in the data root
<data root>/lake/                       files of the DuckLake of all of them
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.errors import FixSettings
from pipeline.settings.values import is_app_name, shown

__all__ = ["DATA", "place"]

DATA = Path("data")
"""The data root unless it is set."""

_REMOTE = re.compile(
    r"""(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]+(/(?!\.{1,2}(/|$))[^/\s\\"'<>^`{|}?#%*@:\x00-\x1f]+)*/?"""
)
"""The address of a prefix in S3 (or what speaks its protocol), Google Cloud Storage or Azure."""


def place(values: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return values of settings with the folder in which the app's files are on this machine as CALL_METRICS_DATA.

    Also returns the app's address in an object store if the data are there: then the folder is a scratch folder.
    Values that cannot be used are left for the settings to refuse, except an address: raises `FixSettings`.
    """
    name = "CALL_METRICS_DATA" if "CALL_METRICS_DATA" in values else "data"
    given, remote = values.get(name), None
    app = f"{values.get('CALL_METRICS_APP') or values.get('app') or ''}".strip()
    below = app if is_app_name(app) else ""
    if isinstance(given, str) and "://" in given:
        folder, root = _data_root(given.strip())
        scratch = values.get("CALL_METRICS_SCRATCH") or values.get("scratch")
        remote = f"{root}/{below}".rstrip("/") if root else None
        given = folder or scratch or _default_scratch(given.strip())
    elif not below:
        return dict(values), None
    if below:
        given = given if isinstance(given, Path) else f"{given or ''}".strip() or DATA
        given = given / below if isinstance(given, Path) else f"{given}/{below}"
    return {**values, name: given}, remote


def _data_root(address: str) -> tuple[Path | None, str | None]:
    """Return the folder of a `file://` address, or else the address of an object store as we write it."""
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Path(unquote(parts.path)), None
    if not _REMOTE.fullmatch(address):
        named = "" if "@" in address or parts.query else f" {shown(address)},"
        raise FixSettings(
            f"CALL_METRICS_DATA is{named} not the address of an object store; write it like s3://bucket/prefix (or "
            "az://, gs://, file:///folder), without credentials"
        )
    return None, address.rstrip("/")


def _default_scratch(address: str) -> Path:
    """Return a folder of this user for what is worked on, another one for every address."""
    name = hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    with contextlib.suppress(RuntimeError):  # the home folder is unknown
        cache = cache.expanduser()
        existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
        if cache.is_absolute() and os.access(existing, os.W_OK):
            return cache / "call-metrics" / name
    return Path(tempfile.gettempdir()) / f"call-metrics-{os.getuid()}" / name
