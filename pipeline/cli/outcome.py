"""How a command ends: an exit code, and one sentence on stderr if something is wrong.

Which error gives which code is in `main`.
"""

from __future__ import annotations

import sys
from enum import IntEnum

__all__ = ["KEEPS_VERSIONS", "MAY_KEEP", "PROGRAM", "ExitCode", "end_with"]

PROGRAM = "call-metrics"


KEEPS_VERSIONS = "keeps versions of its objects that `forget` cannot delete; let a lifecycle rule delete old versions"
"""The rest of a sentence that starts with the address of the store."""


MAY_KEEP = (
    "may keep what `forget` deletes for some days (soft delete of Azure), which cannot be seen from here; look at the "
    "account's settings for data protection"
)
"""Likewise."""


class ExitCode(IntEnum):
    """Exit codes of all commands. A higher one is worse."""

    COMPLETE = 0
    INCOMPLETE = 1
    """Finished with something missing, which is listed."""
    NOT_STARTED = 2
    """Could not start: usage, settings, credentials or storage."""


def end_with(code: ExitCode, message: object) -> ExitCode:
    """Print the message on stderr and return the exit code."""
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return code
