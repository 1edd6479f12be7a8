"""Everything that can go wrong and that a person can act on, named by what to do next.

A message is one sentence for the person who reads it, and never contains a secret. Retries are in `extract`, printing
in `cli`.

    CallMetricsError
    ├── FixSettings          a setting, date or argument is wrong; nothing was started
    ├── FixCredentials       Stream refuses the key or the secret; every further request would fail too
    ├── FixStorage           the disk, a folder or a file of ours cannot be used
    │   ├── Broken           a file does not contain what was written to it
    │   └── Quarantined      a broken file was renamed, or one was removed meanwhile: run the step again
    ├── Interrupted          Ctrl-C or SIGTERM; everything fetched so far has landed
    └── RequestFailed        one request has no usable response
        ├── AskAgain         a passing fault: time-out, dropped connection, 5xx, garbled body
        ├── WaitForQuota     429: wait, then send it again
        └── DoNotAskAgain    the response is final for this request
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
    "Quarantined",
    "RequestFailed",
    "WaitForQuota",
    "first_line",
]


class CallMetricsError(Exception):
    """The root of the tree. `str()` of any of these errors is one sentence that a user can act on."""


class FixSettings(CallMetricsError):
    """A setting, a date or an argument cannot be used; the message names it."""


class FixCredentials(CallMetricsError):
    """Stream refuses our key or secret."""


class FixStorage(CallMetricsError):
    """A file or folder of ours cannot be read or written."""


class Broken(FixStorage):
    """A file does not contain what was written to it; `reason` says how that shows."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Quarantined(FixStorage):
    """A broken file of raw responses was renamed. Run the step again: it continues without the file."""


class Interrupted(CallMetricsError):
    """The user or the system asked us to stop; everything fetched so far is on disk."""


class RequestFailed(CallMetricsError):
    """One request without a usable response. `status` is the HTTP status, None if no response came."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AskAgain(RequestFailed):
    """A fault that usually passes."""


class WaitForQuota(RequestFailed):
    """The per-minute quota is used up (HTTP 429)."""


class DoNotAskAgain(RequestFailed):
    """The same request would get the same response."""


class Gone(DoNotAskAgain):
    """The source responds with HTTP 404."""


def first_line(error: BaseException) -> str:
    """Return the message of an error in one line; the name of its class if it has no message."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
