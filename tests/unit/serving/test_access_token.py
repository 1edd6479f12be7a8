"""The token of the remote server: created once, kept from others, long enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import FixSettings, FixStorage
from pipeline.serving import access_token
from pipeline.settings import Secret, Settings
from tests.support.remote import TOKEN


def test_token_is_created_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """A file that others can read, or without a token, is refused. A token in the settings comes first."""
    settings = Settings(data=tmp_path)
    token = access_token.token_for(settings)
    assert access_token.token_for(settings) == token
    path = access_token.token_file(settings)
    path.chmod(0o644)
    with pytest.raises(FixStorage, match="can be read by others"):
        access_token.token_for(settings)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(FixStorage, match="has no token"):
        access_token.token_for(settings)
    assert access_token.token_for(Settings(data=tmp_path, serve_token=Secret(TOKEN))) == Secret(TOKEN)


def test_short_token_in_the_settings_is_refused(tmp_path: Path) -> None:
    """A token needs at least 16 characters, and the message does not repeat it."""
    with pytest.raises(FixSettings, match="at least 16 characters") as caught:
        Settings.load({"CALL_METRICS_SERVE_TOKEN": "fifteen-letters"}, tmp_path)
    assert "fifteen-letters" not in str(caught.value)
    settings = Settings.load({"CALL_METRICS_SERVE_TOKEN": "sixteen-letters!"}, tmp_path)
    assert settings.serve_token == Secret("sixteen-letters!")
    assert "sixteen" not in repr(settings)
