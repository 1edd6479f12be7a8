"""Errors: what the API says when it refuses, in the shape of the specification's ``APIError``.

Here: the codes and the body. Not here: deciding when to refuse (``auth``, ``queries``, ``quotas``, ``faults``).
The codes are those of Stream's page "API Error Codes".
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
        unrecoverable: whether a client is told never to try again.
    """

    status: int
    code: int
    message: str
    unrecoverable: bool = False

    def body(self, duration: str = "0.10ms") -> dict[str, object]:
        """The JSON body; every field the specification requires is there."""
        body: dict[str, object] = {
            "code": self.code,
            "message": self.message,
            "StatusCode": self.status,
            "duration": duration,
            "more_info": MORE_INFO,
            "details": [],
        }
        if self.unrecoverable:
            body["unrecoverable"] = True
        return body


def bad_input(operation: str, problem: str) -> ApiError:
    """400 with code 4, in the wording the API uses."""
    return ApiError(400, INPUT, f'{operation} failed with error: "{problem}"')


def not_found(operation: str, problem: str) -> ApiError:
    """404 with code 16."""
    return ApiError(404, NOT_FOUND, f'{operation} failed with error: "{problem}"')
