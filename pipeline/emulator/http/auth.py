"""Authentication: the API key in the query, and a JSON Web Token signed with the secret in `Authorization`.

Here are the checks and the codes of their refusals. Quotas are in `quotas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import jwt

from . import errors
from .errors import ApiError

SIGNATURE_ONLY: Final[Any] = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
"""PyJWT's options to leave the claims to us: it would compare their times with the machine's clock."""


class Authenticator:
    """Admits requests that have the key and a token signed with the secret.

    Args:
        key: the API key.
        secret: the secret that tokens must be signed with.
    """

    def __init__(self, key: str, secret: str) -> None:
        self._key = key
        self.secret = secret
        self._verified_claims = lru_cache(maxsize=1000)(self._verify)

    def check(self, api_key: str | None, headers: Mapping[str, str], now: datetime) -> None:
        """Raise `ApiError` unless the request may pass: a 401, or a 403 for the token of a user."""
        if not api_key:
            raise ApiError(401, errors.ACCESS_KEY, "api_key not provided")
        if api_key != self._key:
            raise ApiError(401, errors.ACCESS_KEY, "api_key not valid")
        if headers.get("stream-auth-type") != "jwt":
            raise ApiError(401, errors.AUTHENTICATION, 'stream-auth-type must be "jwt" for server-side requests')
        token = headers.get("authorization")
        if not token:
            raise ApiError(401, errors.AUTHENTICATION, "missing auth token")
        claims = self._verified_claims(token)
        _check_times(claims, now.timestamp())
        if "user_id" in claims:
            raise ApiError(403, errors.NOT_ALLOWED, "this endpoint needs server-side authentication")

    def _verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token with a valid signature."""
        try:
            return jwt.decode(token, self.secret, algorithms=["HS256"], options=SIGNATURE_ONLY)
        except jwt.InvalidSignatureError:
            raise ApiError(401, errors.TOKEN_SIGNATURE, "token signature is invalid") from None
        except jwt.InvalidAlgorithmError:
            raise ApiError(401, errors.AUTHENTICATION, "auth token must be a JWT signed with HS256") from None
        except jwt.InvalidTokenError:
            raise ApiError(401, errors.AUTHENTICATION, "auth token is malformed") from None


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    """Compare the times of a token, in Unix seconds, with the emulator's clock."""
    expires, not_before, issued = claims.get("exp"), claims.get("nbf"), claims.get("iat")
    if isinstance(expires, int | float) and expires <= now:
        raise ApiError(401, errors.TOKEN_EXPIRED, "token is expired")
    if isinstance(not_before, int | float) and not_before > now:
        raise ApiError(401, errors.TOKEN_NOT_YET_VALID, "token is not valid yet")
    if isinstance(issued, int | float) and issued > now:
        raise ApiError(401, errors.TOKEN_BEFORE_ISSUED, "token used before issued at (iat)")
