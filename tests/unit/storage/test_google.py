"""The account of Google Cloud Storage that variables name, and its tokens."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import FixSettings
from pipeline.storage import GoogleAccount
from pipeline.storage.google import RENEW_BEFORE, Token


def test_token_is_fresh_while_what_has_begun_can_end() -> None:
    """One that does not expire always is. No token prints."""
    now = datetime.now(UTC)
    assert Token("hunter2", None).is_fresh
    assert Token("hunter2", now + RENEW_BEFORE + timedelta(minutes=1)).is_fresh
    assert not Token("hunter2", now + RENEW_BEFORE - timedelta(minutes=1)).is_fresh
    assert "hunter2" not in f"{Token('hunter2', now)} {Token('hunter2', now)!r}"


def test_account_is_the_same_until_a_variable_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that a process asks for few tokens, and never shows those of another account."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "a.json"))
    account = GoogleAccount.from_variables()
    assert GoogleAccount.from_variables() is account
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "b.json"))
    assert GoogleAccount.from_variables() is not account


@pytest.mark.parametrize(
    ("address", "endpoint", "allows_http"),
    [
        ("", None, False),
        (" http://127.0.0.1:4443/ ", "http://127.0.0.1:4443", True),
        ("https://storage-calls.p.googleapis.com", "https://storage-calls.p.googleapis.com", False),
    ],
)
def test_address_can_be_another(
    address: str, endpoint: str | None, allows_http: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of a private endpoint."""
    monkeypatch.setenv("GOOGLE_BASE_URL", address)
    account = GoogleAccount.from_variables()
    assert (account.endpoint, account.allows_http) == (endpoint, allows_http)
    assert account.for_client() == ({} if endpoint is None else {"base_url": endpoint})


@pytest.mark.parametrize(
    "address", ["storage.example", "https://storage.example/path", "https://me:hunter2@storage.example"]
)
def test_address_that_is_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be a server alone, since DuckDB takes no more. The sentence does not repeat it."""
    monkeypatch.setenv("GOOGLE_BASE_URL", address)
    with pytest.raises(FixSettings, match=r"^GOOGLE_BASE_URL is not the address of a server; write it like") as caught:
        GoogleAccount.from_variables()
    assert "storage.example" not in str(caught.value)


def test_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "none.json")
    for name in ("google.auth", "google.auth.transport.requests"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(FixSettings, match=r"gs://b/d, and Google's credentials need a library; run `pip install"):
        GoogleAccount.from_variables().token("gs://b/d")
