"""Authentication: the API key in the query, and a JSON Web Token signed with the secret in ``Authorization``.

Here: the checks and the codes they answer with. Not here: quotas. Tokens are HS256 (RFC 7515) and read by hand, so that
their times are judged by the emulator's clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import datetime

from . import errors
from .errors import ApiError


@dataclass
class Keeper:
    """Lets in who holds the key and a token signed with the secret.

    Attributes:
        key: the API key.
        secret: what tokens are signed with.
    """

    key: str
    secret: str = field(repr=False)
    _known: dict[str, dict[str, object]] = field(default_factory=dict, repr=False)

    def check(self, api_key: str | None, authorization: str | None, auth_type: str | None, now: datetime) -> None:
        """Raise ``ApiError`` (401, or 403 for a user's token) unless the request may pass."""
        if not api_key:
            raise ApiError(401, errors.ACCESS_KEY, "api_key not provided")
        if api_key != self.key:
            raise ApiError(401, errors.ACCESS_KEY, "api_key not valid")
        if auth_type != "jwt":
            raise ApiError(401, errors.AUTHENTICATION, 'stream-auth-type must be "jwt" for server-side requests')
        if not authorization:
            raise ApiError(401, errors.AUTHENTICATION, "missing auth token")
        claims = self._known.get(authorization)
        if claims is None:
            claims = self._read(authorization)
            if len(self._known) < 1000:
                self._known[authorization] = claims
        _check_times(claims, now.timestamp())
        if "user_id" in claims:
            raise ApiError(403, errors.NOT_ALLOWED, "this endpoint needs server-side authentication")

    def _read(self, token: str) -> dict[str, object]:
        """The claims of a token, its signature checked."""
        try:
            head, payload, signature = token.split(".")
            header, claims = json.loads(_decoded(head)), json.loads(_decoded(payload))
            given = _decoded(signature)
        except (ValueError, binascii.Error):
            raise ApiError(401, errors.AUTHENTICATION, "auth token is malformed") from None
        if not isinstance(header, dict) or not isinstance(claims, dict) or header.get("alg") != "HS256":
            raise ApiError(401, errors.AUTHENTICATION, "auth token must be a JWT signed with HS256")
        wanted = hmac.new(self.secret.encode(), f"{head}.{payload}".encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(given, wanted):
            raise ApiError(401, errors.TOKEN_SIGNATURE, "token signature is invalid")
        return claims


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _check_times(claims: dict[str, object], now: float) -> None:
    expires, not_before, issued = claims.get("exp"), claims.get("nbf"), claims.get("iat")
    if isinstance(expires, int | float) and expires <= now:
        raise ApiError(401, errors.TOKEN_EXPIRED, "token is expired")
    if isinstance(not_before, int | float) and not_before > now:
        raise ApiError(401, errors.TOKEN_NOT_YET_VALID, "token is not valid yet")
    if isinstance(issued, int | float) and issued > now:
        raise ApiError(401, errors.TOKEN_BEFORE_ISSUED, "token used before issued at (iat)")
