"""Privacy: IP addresses and secrets in files and logs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.emulator import ClientSpec, Emulator, ManualClock, World
from pipeline.extract.client import StreamApi
from pipeline.flow import Flow
from pipeline.schema import TABLES
from pipeline.settings import Settings
from tests.support.flows import AFTERWARDS, DAY, WORLD, call, published, traces


@pytest.mark.parametrize(("mode", "kept"), [("keep", "203.0.113.77"), ("truncate", "203.0.113.0"), ("drop", None)])
def test_addresses_are_stored_as_the_setting_says(mode: str, kept: str | None, flow_for: Callable[..., Flow]) -> None:
    """The part of an address that must not be kept is in no file."""
    one = call("a", minutes=10)
    stay = replace(one.participants[0], client=ClientSpec(name="web", ip="203.0.113.77"))
    with Emulator(World((replace(one, participants=(stay,)),)), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator, client_ip=mode)
        flow.run(DAY)
        names = TABLES["participant_sessions"].schema.names
        ((row, _),) = published(flow, "participant_sessions").items()
        assert row[names.index("client_ip")] == kept
        assert bool(traces(flow.settings.data, "203.0.113.77")) == (mode == "keep")


def test_secrets_are_in_no_file_and_no_log(flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture) -> None:
    """Neither the secret nor the token is stored or logged."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        with caplog.at_level(logging.DEBUG):
            flow.run(DAY)
        settings: Settings = flow.settings
        assert settings.api_secret is not None
        token = StreamApi(settings.base_url, settings.credentials())._token
        for secret in (settings.api_secret.reveal(), token):
            assert traces(settings.data, secret) == []
            assert secret not in caplog.text
