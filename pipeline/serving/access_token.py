"""The token that clients of the remote server must give: the one that is set, or one of our own.

How the server checks it is DuckDB's business, see `server`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from pipeline.errors import FixStorage, first_line
from pipeline.settings import MIN_TOKEN, Secret, Settings

__all__ = ["token_file", "token_for"]


def token_for(settings: Settings) -> Secret:
    """Return the token in the settings. If there is none, create one, and keep it in a file that only its owner reads.

    Raises `FixStorage` if that file cannot be used.
    """
    if settings.serve_token is not None:
        return settings.serve_token
    path = token_file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
        if path.stat().st_mode & 0o077:
            raise FixStorage(f"{path} can be read by others; `chmod 600` it, or delete it to get a new token")
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FixStorage(f"{path} cannot be used ({first_line(error)}); set CALL_METRICS_SERVE_TOKEN") from None
    if len(token) < MIN_TOKEN:
        raise FixStorage(f"{path} has no token of at least {MIN_TOKEN} characters; delete it to get a new one")
    return Secret(token)


def token_file(settings: Settings) -> Path:
    """Return the path of the file that `token_for` keeps the token in."""
    return settings.data / "serve-token"
