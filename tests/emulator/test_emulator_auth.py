"""Who may ask: Stream's error codes for keys and tokens."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from emulator_reader import assert_refused, at, small_world

from pipeline.emulator import KEY, SECRET, Emulator, ManualClock

NOW = at(12)
GOOD = jwt.encode({}, SECRET, algorithm="HS256")


def unsigned() -> str:
    """A token that says it needs no signature."""
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in ({"alg": "none"}, {})]
    return ".".join([*parts, ""])


def ask(emulator: Emulator, token: str | None, key: str | None = KEY, kind: str | None = "jwt") -> httpx.Response:
    """One request with these credentials."""
    headers = {"Authorization": token, "stream-auth-type": kind}
    return httpx.post(
        f"{emulator.url}/api/v2/video/call_stats",
        params={"api_key": key} if key is not None else {},
        headers={name: value for name, value in headers.items() if value is not None},
        json={},
    )


def signed(**claims: Any) -> str:
    """A token with these claims; times in seconds from now."""
    times = {name: int(NOW.timestamp()) + value for name, value in claims.items() if isinstance(value, int)}
    return jwt.encode(claims | times, SECRET, algorithm="HS256")


@pytest.mark.parametrize("token", [GOOD, signed(iat=-5), signed(iat=0, exp=60), jwt.encode({"server": True}, SECRET)])
def test_a_server_token_is_let_in(token: str) -> None:
    """No claims, a backdated iat, a future exp, or server: true."""
    with Emulator(small_world(), clock=ManualClock(NOW)) as emulator:
        assert ask(emulator, token).status_code == 201


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
        assert_refused(ask(emulator, token, key, kind), 401, code)


def test_a_users_token_is_not_a_servers() -> None:
    """A token made for a user may not read statistics."""
    with Emulator(small_world(), clock=ManualClock(NOW)) as emulator:
        assert_refused(ask(emulator, signed(user_id="ann")), 403, 17)


def test_a_token_is_judged_by_the_emulators_clock_every_time() -> None:
    """A token that was good is refused once it has expired."""
    clock = ManualClock(NOW)
    token = signed(exp=60)
    with Emulator(small_world(), clock=clock) as emulator:
        assert ask(emulator, token).status_code == 201
        clock.advance(timedelta(seconds=60))
        assert_refused(ask(emulator, token), 401, 40)


def test_refused_requests_use_up_no_quota() -> None:
    """Who is not let in is not counted against those who are."""
    with Emulator(small_world(), clock=ManualClock(NOW)) as emulator:
        ask(emulator, None)
        assert ask(emulator, GOOD).headers["x-ratelimit-remaining"] == "59999"


def test_the_secret_is_not_shown() -> None:
    """Printing what holds the secret does not print it."""
    assert SECRET not in repr(vars(Emulator(small_world())))
