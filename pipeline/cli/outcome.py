"""How a command ends: an exit code, and one sentence on stderr if something is wrong.

Which error gives which code is in `main`.
"""

from __future__ import annotations

import logging
import sys
from enum import IntEnum

from pipeline.logs import are_json

__all__ = ["KEEPS_VERSIONS", "PROGRAM", "ExitCode", "complain", "end_with", "may_keep"]

log = logging.getLogger(__name__)

PROGRAM = "call-metrics"


KEEPS_VERSIONS = "keeps versions of its objects that `forget` cannot delete; let a lifecycle rule delete old versions"
"""The rest of a sentence that starts with the address of the store."""


_MAY_KEEP = {
    "az": "may keep what `forget` deletes for some days (soft delete of Azure), which cannot be seen from here; look "
    "at the account's settings for data protection",
    "gs": "keeps what `forget` deletes for seven days, unless its soft delete is set otherwise, which cannot be seen "
    "from here; look at the bucket's settings for protection",
}


def may_keep(address: str) -> str:
    """Return the sentence about a store of which it cannot be seen what it keeps of deleted objects."""
    return f"{address} {_MAY_KEEP[address.partition('://')[0]]}"


class ExitCode(IntEnum):
    """Exit codes of all commands. A higher one is worse."""

    COMPLETE = 0
    INCOMPLETE = 1
    """Finished with something missing, which is listed."""
    NOT_STARTED = 2
    """Could not start: usage, settings, credentials or storage."""


def end_with(code: ExitCode, message: object) -> ExitCode:
    """Print the message on stderr and return the exit code."""
    return complain(code, f"{PROGRAM}: {message}")


def complain(code: ExitCode, sentence: str) -> ExitCode:
    """Print the sentence on stderr, or log it if the log is JSON, and return the exit code."""
    if are_json():
        log.error("%s", sentence, extra={"exit_code": int(code)})
    else:
        print(sentence, file=sys.stderr)
    return code
