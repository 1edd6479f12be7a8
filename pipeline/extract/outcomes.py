"""From what the server sent to a `Response` or an error.

HTTP statuses and Stream's error codes are known only here. One table translates every failure of the
HTTP library, `judge` every status and error code. How often to retry is in `client`; what a body means is in `planning`
and `tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import msgspec

from pipeline.endpoints import ENDPOINTS, Endpoint, EndpointName
from pipeline.errors import AskAgain, DoNotAskAgain, FixCredentials, Gone, RequestFailed
from pipeline.model import Request, Response

__all__ = ["TRANSLATIONS", "Attempt", "decode", "judge", "translated", "usable_response"]

AUTH_CODES = frozenset({2, 5, 40, 41, 42, 43})
"""Stream's error codes for a key, a token or a signature that it does not accept."""

FINAL = frozenset({httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND})
"""Statuses after which something may never be requested again. A gateway in front of Stream must not decide that."""

MAX_MESSAGE = 300
"""Characters of the source's own error message that are kept."""

TRANSLATIONS: dict[type[Exception], tuple[type[RequestFailed], str]] = {
    TimeoutError: (AskAgain, "no complete response in {seconds:.0f} seconds"),
    httpx.TimeoutException: (AskAgain, "no response in time"),
    httpx.NetworkError: (AskAgain, "the connection to {base_url} failed; check STREAM_BASE_URL and the network"),
    httpx.RemoteProtocolError: (AskAgain, "the connection was dropped in the middle of a response"),
    httpx.DecodingError: (AskAgain, "the response cannot be decompressed"),
    httpx.ProxyError: (AskAgain, "the proxy refuses; check HTTPS_PROXY"),
    httpx.UnsupportedProtocol: (DoNotAskAgain, "{base_url} is not an address to send to; check STREAM_BASE_URL"),
    httpx.LocalProtocolError: (DoNotAskAgain, "the request cannot be sent as HTTP"),
    httpx.TooManyRedirects: (DoNotAskAgain, "{base_url} redirects in circles; check STREAM_BASE_URL"),
    httpx.InvalidURL: (DoNotAskAgain, "the request has no valid address"),
}
"""What the layer below can raise, and what it means. A test walks it against httpx's own tree."""


@dataclass(frozen=True)
class Attempt:
    """What the server sent for one attempt."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are escaped."""
        return self.content.decode("utf-8", errors="backslashreplace")


def translated(error: Exception, base_url: str, seconds: float) -> RequestFailed:
    """Return our error for one in `TRANSLATIONS`. `seconds` is how long the attempt could take."""
    kind, message = next(TRANSLATIONS[cls] for cls in type(error).__mro__ if cls in TRANSLATIONS)
    return kind(message.format(base_url=base_url, seconds=seconds))


def usable_response(request: Request, attempt: Attempt, attempts: int, fetched_at: datetime) -> Response:
    """Return the response of a successful attempt. Raises what `judge` and `decode` raise, and `AskAgain`
    for a page that names itself as the next one.
    """
    payload = decode(_DECODERS[request.endpoint], judge(attempt))
    next_cursor = getattr(payload, "next", None) or None
    if next_cursor is not None and next_cursor == request.cursor:
        raise AskAgain("the page names itself as the next one", status=attempt.status)
    publishes = None
    if isinstance(payload, _ParticipantMetrics):
        publishes = bool(payload.published_tracks) or payload.is_publisher is not False
    return Response(
        request,
        attempt.status,
        attempt.text,
        attempts,
        fetched_at,
        next_cursor=next_cursor,
        publishes=publishes,
    )


def judge(attempt: Attempt) -> bytes:
    """Return the body of a 2xx response. Otherwise raise the error for its status and Stream's error code."""
    status = attempt.status
    if 200 <= status < 300:
        return attempt.content
    try:
        error = _ERROR.decode(attempt.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = _Error()
    code = f", code {error.code}" if error.code is not None else ""
    words = f": {error.message.strip()[:MAX_MESSAGE]}" if error.message.strip() else ""
    summary = f"HTTP {status}{code}{words}"
    if status == httpx.codes.UNAUTHORIZED or (400 <= status < 500 and error.code in AUTH_CODES):
        raise FixCredentials(
            f"Stream refuses STREAM_API_KEY or STREAM_API_SECRET ({summary}); check both in its dashboard"
        )
    if status in FINAL and not error.is_from_stream:
        raise AskAgain(f"{summary}, and not from Stream; check STREAM_BASE_URL and the gateway in front of it")
    if status == httpx.codes.NOT_FOUND:
        raise Gone(summary, status=status)
    if 300 <= status < 400:
        raise DoNotAskAgain(f"{summary}; check STREAM_BASE_URL", status=status)
    is_passing = status >= 500 or status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY)
    if is_passing and not error.unrecoverable:
        raise AskAgain(summary, status=status)
    raise DoNotAskAgain(summary, status=status)


def decode(decoder: msgspec.json.Decoder[Any], content: bytes) -> Any:
    """Return decoded JSON. Raises `AskAgain` if it is not JSON in UTF-8, or not of the documented shape."""
    try:
        content.decode("utf-8")
        return decoder.decode(content)
    except msgspec.ValidationError as error:
        raise AskAgain(f"the response does not have the documented shape: {error}", status=200) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AskAgain("the response is not JSON", status=200) from None


class _ParticipantMetrics(msgspec.Struct):
    """All fields are optional, but each response of Stream has some, at least `duration`. A gateway's `{}` would be
    taken for a window without points.
    """

    is_publisher: bool | msgspec.UnsetType | None = msgspec.UNSET
    published_tracks: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    user_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    user_session_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    is_subscriber: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    client: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    duration: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Refuse an object without any of these fields. Raises `ValueError`, which msgspec translates."""
        if all(getattr(self, name) is msgspec.UNSET for name in self.__struct_fields__):
            raise ValueError("none of its fields is there")


class _ParticipantDetails(msgspec.Struct):
    publisher: dict[str, msgspec.Raw] | None = None
    subscriber: dict[str, msgspec.Raw] | None = None
    user: dict[str, msgspec.Raw] | None = None


class _ParticipantTimeline(msgspec.Struct):
    events: list[dict[str, msgspec.Raw] | None] | None


class _Error(msgspec.Struct):
    code: int | None = None
    message: str = ""
    unrecoverable: bool = False

    @property
    def is_from_stream(self) -> bool:
        """Whether Stream wrote the body: its errors always have a code of its own (`APIError` in its specification).
        A gateway has none, or repeats an HTTP status.
        """
        return self.code is not None and self.code < 400


_OF_A_STAY: Mapping[EndpointName, type[msgspec.Struct]] = {
    "participant_metrics": _ParticipantMetrics,
    "participant_details": _ParticipantDetails,
    "participant_timeline": _ParticipantTimeline,
}


def _envelope(endpoint: Endpoint) -> type[msgspec.Struct]:
    """Return what a usable body must have: for a page, its list of rows, which are objects with their ids."""
    if endpoint.rows is None:
        return _OF_A_STAY[endpoint.name]
    row = msgspec.defstruct(f"{endpoint.name}_row", [(name, str) for name in endpoint.row_ids])
    rows: Any = list[row] | None if endpoint.rows_can_be_null else list[row]  # type: ignore[valid-type]
    return msgspec.defstruct(endpoint.name, [(endpoint.rows, rows), ("next", str | None, None)])


_DECODERS: dict[EndpointName, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(_envelope(endpoint)) for name, endpoint in ENDPOINTS.items()
}
_ERROR = msgspec.json.Decoder(_Error)
