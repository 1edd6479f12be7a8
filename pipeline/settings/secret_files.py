"""Secrets in files, as Docker and Kubernetes mount them: `<variable>_FILE` names the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import FixSettings
from pipeline.settings.values import shown

__all__ = ["SECRETS", "read_secrets"]

SECRETS = ("STREAM_API_KEY", "STREAM_API_SECRET", "CALL_METRICS_SERVE_TOKEN", "CALL_METRICS_ALERTS")
"""Variables that can also be in a file, which `<variable>_FILE` names."""

LISTS = ("CALL_METRICS_ALERTS",)
"""Those of them that may have several lines."""

MAX_SECRET = 10_000
"""Most bytes of a file with a secret."""


def read_secrets(variables: Mapping[str, str | None], folder: Path) -> dict[str, str]:
    """Return the secrets that are in files, by variable. A file holds one secret; white space around it is ignored.

    In those that are `LISTS`, lines count as separated by blanks.
    """
    secrets = {}
    for name in SECRETS:
        path = (variables.get(f"{name}_FILE") or "").strip()
        if not path:
            continue
        if (variables.get(name) or "").strip():
            raise FixSettings(f"both {name} and {name}_FILE are set; unset one of them")
        try:
            with (folder / path).open("rb") as source:
                text = source.read(MAX_SECRET + 1).decode("utf-8")
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "it is not text"
            raise FixSettings(f"{name}_FILE is {shown(path)}, which cannot be read ({reason}); fix it") from None
        if not text.strip() or len(text) > MAX_SECRET:
            size = "is empty" if not text.strip() else "is too large for a secret"
            raise FixSettings(f"{name}_FILE is {shown(path)}, which {size}; name the file that holds the secret")
        secrets[name] = " ".join(text.split()) if name in LISTS else text
    return secrets
