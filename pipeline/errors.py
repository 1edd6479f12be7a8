"""Everything that can go wrong and that a person can act on, named by what to do next.

A message is one sentence for the person who reads it, and never holds a secret. What stays out: how to retry
(`api.py`) and how to print (`cli.py`).

    CallMetricsError
    ├── FixSettings          a setting, date or argument is wrong; nothing was started
    ├── FixCredentials       Stream refuses the key or the secret; every further request would fail too
    ├── FixStorage           the disk, a folder or a file of ours cannot be used
    │   ├── Broken           what is in a file is not what was written
    │   └── SetAside         a broken file was renamed; what it held is due again, so begin the step again
    ├── Interrupted          Ctrl-C or SIGTERM; all that was fetched has landed
    └── RequestFailed        one request has no usable answer
        ├── AskAgain         a fault that passes: time-out, dropped connection, 5xx, garbled body
        ├── WaitForQuota     429; waiting is all that it takes
        └── DoNotAskAgain    the answer is final for this request
            └── Gone         404: the source does not know it, or no longer does
"""

from __future__ import annotations

__all__ = [
    "AskAgain",
    "Broken",
    "CallMetricsError",
    "DoNotAskAgain",
    "FixCredentials",
    "FixSettings",
    "FixStorage",
    "Gone",
    "Interrupted",
    "RequestFailed",
    "SetAside",
    "WaitForQuota",
]


class CallMetricsError(Exception):
    """The family: `str()` of any member is one sentence that a user can act on."""


class FixSettings(CallMetricsError):
    """A setting, a date or an argument cannot be used; the message names it."""


class FixCredentials(CallMetricsError):
    """Stream refuses our key or secret."""


class FixStorage(CallMetricsError):
    """A file or folder of ours cannot be read or written."""


class Broken(FixStorage):
    """What is in a file is not what was written; `reason` says how it shows."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class SetAside(FixStorage):
    """A broken file of raw answers was set aside under another name; the step can begin again without it."""


class Interrupted(CallMetricsError):
    """The user or the system asked us to stop; what was fetched is on disk."""


class RequestFailed(CallMetricsError):
    """One request without a usable answer. `status` is the HTTP status, None where no answer came."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AskAgain(RequestFailed):
    """A fault that usually passes."""


class WaitForQuota(RequestFailed):
    """The per-minute quota is used up (HTTP 429)."""


class DoNotAskAgain(RequestFailed):
    """The same request would get the same answer."""


class Gone(DoNotAskAgain):
    """The source answers 404 for it."""
