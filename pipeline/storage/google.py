"""Who asks Google Cloud Storage: the credentials that Google's tools find, and their tokens.

One credential serves everything: `obstore` and DuckDB both show its tokens, which last for an hour. The library
`google-auth` finds it where Google's documents say: the file of GOOGLE_APPLICATION_CREDENTIALS, else what
`gcloud auth application-default login` has left, else the identity of the machine or pod.

https://cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

import functools
import logging
import os
import re
import threading
import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from pipeline.errors import FixSettings, FixStorage
from pipeline.storage.faults import NO_CREDENTIALS, REFUSED, UNREACHABLE, worded

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["GoogleAccount", "Token"]

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
"""What tokens are for: objects, and nothing else there is."""

RENEW_BEFORE = timedelta(minutes=15)
"""Tokens are renewed if less is left, so that what has begun can end. The identity of a machine may return the same one
until five minutes are left."""

TRY_AGAIN = timedelta(seconds=30)
"""If a token cannot be renewed, this is the time until it is tried again, as long as the old one is good."""

TIMEOUT = 20
"""Seconds that a request for a token may take."""

BASE_URL = "GOOGLE_BASE_URL"
"""The variable of `obstore` for another address than Google's."""

FOUND_BY = ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "HOME", "GCE_METADATA_HOST")
"""Variables that decide which credentials are found."""

UNREADABLE = (
    "cannot be used with the credentials of {keys}, which must be the path of a JSON file from Google; correct the "
    "path, or download the file again"
)


class _ForClient(TypedDict):
    token: str
    expires_at: datetime | None


class Token(NamedTuple):
    """A token, and the instant in UTC at which it expires; None if it does not."""

    value: str
    expires_at: datetime | None

    @property
    def is_fresh(self) -> bool:
        """Whether it lasts a while."""
        return self.lasts_beyond(datetime.now(UTC) + RENEW_BEFORE)

    def lasts_beyond(self, instant: datetime) -> bool:
        """Return whether it is still good at an instant."""
        return self.expires_at is None or self.expires_at > instant

    def __repr__(self) -> str:
        return f"Token(…, {self.expires_at})"


class GoogleAccount:
    """The account whose tokens are shown.

    It is what `obstore` calls a credential provider: called, it returns a token. Threads may share it.

    Attributes:
        endpoint: another address than Google's, if one is set.
        refresh_threshold: `obstore` asks for a new token if the one that it has lasts no longer than this.
    """

    refresh_threshold = RENEW_BEFORE

    def __init__(self) -> None:
        self.endpoint = os.environ.get(BASE_URL, "").strip().rstrip("/") or None
        if self.endpoint and not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+", self.endpoint):
            raise FixSettings(
                f"{BASE_URL} is not the address of a server; write it like https://storage-calls.p.googleapis.com, or "
                "leave it out"
            )
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._token: Token | None = None
        self._wait_until = datetime.min.replace(tzinfo=UTC)

    @classmethod
    def from_variables(cls) -> GoogleAccount:
        """Return the account that variables and the machine name: the same one each time, until a variable changes.

        Raises `FixSettings` if the address is none.
        """
        return _account(tuple(os.environ.get(name) for name in (BASE_URL, *FOUND_BY)))

    @property
    def allows_http(self) -> bool:
        """Whether its address is without encryption, as that of a server on loopback is."""
        return (self.endpoint or "").startswith("http://")

    def for_client(self) -> dict[str, str]:
        """Return the configuration of `obstore`, apart from tokens."""
        return {"base_url": self.endpoint} if self.endpoint else {}

    def __call__(self) -> _ForClient:
        """Return a token for `obstore`. Raises what `token` raises."""
        token = self.token("gs://")
        return {"token": token.value, "expires_at": token.expires_at}

    def token(self, url: str) -> Token:
        """Return a token that lasts a while. `url` is the data root, for messages.

        Raises `FixSettings` without the library, and `FixStorage` if there are no credentials or Google refuses them.
        """
        with self._lock:
            token, now = self._token, datetime.now(UTC)
            if token is None or not (token.is_fresh or (now < self._wait_until and token.lasts_beyond(now))):
                try:
                    token = self._token = self._renew(url)
                except FixStorage:
                    if token is None or not token.lasts_beyond(now):
                        raise
                    self._wait_until = now + TRY_AGAIN  # the token that we have is still good
            return token

    def _renew(self, url: str) -> Token:
        try:
            from google.auth import exceptions
            from google.auth.transport.requests import Request
        except ImportError:
            raise FixSettings(
                f"CALL_METRICS_DATA is {url}, and Google's credentials need a library; run "
                "`pip install 'call-metrics[scale]'`"
            ) from None
        try:
            if self._credentials is None:
                self._credentials = _found()
            self._credentials.refresh(functools.partial(Request(), timeout=TIMEOUT))
        except (exceptions.DefaultCredentialsError, exceptions.MalformedError, OSError, ValueError):
            raise FixStorage(worded(url, UNREADABLE if os.environ.get(FOUND_BY[0]) else NO_CREDENTIALS)) from None
        except exceptions.TransportError:
            raise FixStorage(worded(url, UNREACHABLE)) from None
        except exceptions.GoogleAuthError as error:
            self._credentials = None  # the file may be replaced by a good one
            raise FixStorage(worded(url, UNREACHABLE if error.retryable else REFUSED, _code(error))) from None
        expiry = self._credentials.expiry  # in UTC, which it does not say
        return Token(str(self._credentials.token), None if expiry is None else expiry.replace(tzinfo=UTC))


@functools.lru_cache(maxsize=8)
def _account(variables: tuple[str | None, ...]) -> GoogleAccount:  # noqa: ARG001 - another account if they change
    return GoogleAccount()


def _found() -> Any:
    """Return the credentials that Google's library finds."""
    import google.auth

    # It warns that a project is unknown, which we do not need, and of each attempt to find the machine's identity.
    logging.getLogger("google.auth").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a person's credentials: other services would want a project
        return google.auth.default(scopes=[SCOPE])[0]


def _code(error: Exception) -> str:
    """Return the code of a refusal, such as `invalid_grant`, from the answer that the error holds."""
    answer = error.args[1] if len(error.args) > 1 else None
    code = answer.get("error") if isinstance(answer, dict) else None
    return code if isinstance(code, str) and code.replace("_", "").isalnum() else "no token"
