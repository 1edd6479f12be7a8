"""Which credentials are admitted, and Stream's error codes for the others."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from pipeline.emulator import KEY, SECRET, Emulator, ManualClock
from tests.support.emulator_reader import assert_refused, at, small_world

NOW = at(12)
GOOD = jwt.encode({}, SECRET, algorithm="HS256")


def unsigned() -> str:
    """Return a token that claims to need no signature."""
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in ({"alg": "none"}, {})]
    return ".".join([*parts, ""])


def send(emulator: Emulator, token: str | None, key: str | None = KEY, kind: str | None = "jwt") -> httpx.Response:
    """Send one request with these credentials."""
    headers = {"Authorization": token, "stream-auth-type": kind}
    return httpx.post(
        f"{emulator.url}/api/v2/video/call_stats",
        params={"api_key": key} if key is not None else {},
        headers={name: value for name, value in headers.items() if value is not None},
        json={},
    )


def signed(**claims: Any) -> str:
    """Return a token with these claims; times are in seconds from now."""
    times = {name: int(NOW.timestamp()) + value for name, value in claims.items() if isinstance(value, int)}
    return jwt.encode(claims | times, SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    "token",
    [
        GOOD,
        signed(iat=-5),
        signed(iat=0, exp=60),
        jwt.encode({"server": True}, SECRET),
        jwt.encode({"aud": "someone", "iss": "someone"}, SECRET),
    ],
)
def test_server_token_is_admitted(token: str) -> None:
    """No claims, an iat in the past, an exp in the future, server: true and unrelated claims are all valid."""
    with Emulator(small_world(), clock=ManualClock(NOW)) as emulator:
        assert send(emulator, token).status_code == 201


@pytest.mark.parametrize(
    ("token", "key", "kind", "code"),
    [
        (GOOD, None, "jwt", 2),
        (GOOD, "another", "jwt", 2),
        (GOOD, KEY, None, 5),
        (GOOD, KEY, "anonymous", 5),
        (None, KEY, "jwt", 5),
        (f"Bearer {GOOD}", KEY, "jwt", 5),
        ("not.a.token", KEY, "jwt", 5),
        (unsigned(), KEY, "jwt", 5),
        (jwt.encode({}, SECRET * 2, algorithm="HS512"), KEY, "jwt", 5),
        (jwt.encode({}, "another-secret-of-sufficient-length", algorithm="HS256"), KEY, "jwt", 43),
        (GOOD[:-4] + "AAAA", KEY, "jwt", 43),
        (signed(exp=0), KEY, "jwt", 40),
        (signed(nbf=1), KEY, "jwt", 41),
        (signed(iat=1), KEY, "jwt", 42),
    ],
)
def test_wrong_credentials_are_refused_with_streams_codes(
    token: str | None, key: str | None, kind: str | None, code: int
) -> None:
    """Each mistake has its own code, and the status is 401."""
    with Emulator(small_world(), clock=ManualClock(NOW)) as emulator:
        assert_refused(send(emulator, token, key, kind), 401, code)


def test_user_token_is_refused() -> None:
    """A token made for a user may not read statistics."""
    with Emulator(small_world(), clock=ManualClock(NOW)) as emulator:
        assert_refused(send(emulator, signed(user_id="ann")), 403, 17)


def test_token_is_checked_with_the_emulators_clock_every_time() -> None:
    """A token that was valid is refused once it has expired."""
    clock = ManualClock(NOW)
    token = signed(exp=60)
    with Emulator(small_world(), clock=clock) as emulator:
        assert send(emulator, token).status_code == 201
        clock.advance(timedelta(seconds=60))
        assert_refused(send(emulator, token), 401, 40)


def test_refused_requests_use_no_quota() -> None:
    """A request with wrong credentials does not count against the quota."""
    with Emulator(small_world(), clock=ManualClock(NOW)) as emulator:
        send(emulator, None)
        assert send(emulator, GOOD).headers["x-ratelimit-remaining"] == "59999"


def test_secret_is_not_printed() -> None:
    """Printing the parts of an emulator does not print its secret."""
    assert SECRET not in repr(vars(Emulator(small_world())))
