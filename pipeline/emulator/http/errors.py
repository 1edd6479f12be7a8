"""Refusals of the API: Stream's error codes, and the body in the shape of the specification's `APIError`.

The codes are those of Stream's page "API Error Codes". When to refuse is decided in `auth`, `parameters`, `quotas` and
`faults`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INTERNAL: Final = -1
ACCESS_KEY: Final = 2
INPUT: Final = 4
AUTHENTICATION: Final = 5
RATE_LIMIT: Final = 9
NOT_FOUND: Final = 16
NOT_ALLOWED: Final = 17
TOKEN_EXPIRED: Final = 40
TOKEN_NOT_YET_VALID: Final = 41
TOKEN_BEFORE_ISSUED: Final = 42
TOKEN_SIGNATURE: Final = 43

MORE_INFO: Final = "https://getstream.io/chat/docs/api_errors_response"


@dataclass
class ApiError(Exception):
    """A refusal.

    Attributes:
        status: HTTP status.
        code: Stream's code.
        message: what is wrong, in words.
        names_operation: whether the body's message also names the operation that failed.
        unrecoverable: whether the body asks the client never to retry.
    """

    status: int
    code: int
    message: str
    names_operation: bool = False
    unrecoverable: bool = False

    def body(self, operation: str) -> dict[str, object]:
        """Return the JSON body, with every field that the specification requires."""
        failed = f'{operation} failed with error: "{self.message}"'
        body: dict[str, object] = {
            "code": self.code,
            "message": failed if self.names_operation else self.message,
            "StatusCode": self.status,
            "duration": "0.10ms",
            "more_info": MORE_INFO,
            "details": [],
        }
        if self.unrecoverable:
            body["unrecoverable"] = True
        return body


def bad_input(problem: str) -> ApiError:
    """Return a 400 with code 4."""
    return ApiError(400, INPUT, problem, names_operation=True)


def not_found(problem: str) -> ApiError:
    """Return a 404 with code 16."""
    return ApiError(404, NOT_FOUND, problem, names_operation=True)
