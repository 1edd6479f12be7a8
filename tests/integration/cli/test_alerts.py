"""`call-metrics alerts`, and what a backfill tells, on a real webhook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import Emulator, Fault
from tests.support.command_line import DAYS, SMALL, YESTERDAY, finish
from tests.support.webhook import Webhook

Command = Callable[..., Any]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.mark.slow
def test_backfill_that_fails_is_told_once_and_its_end_once(command: Command, webhook: Webhook, tmp_path: Path) -> None:
    """Night after night; also without credentials, where nothing can start. Its output and exit codes stay."""
    refusing = Fault("unauthorized")
    alerts = {"CALL_METRICS_ALERTS": webhook.address}
    for dates in (DAYS, ()):  # without dates, the failure is that of yesterday
        code, _, err = finish(command("backfill", *dates, **alerts))
        assert code == 2
        assert err.startswith("call-metrics: set STREAM_API_KEY and STREAM_API_SECRET")
    assert webhook.titles == ["A run failed"]
    with Emulator(SMALL, faults=[refusing]) as emulator:
        for _ in range(2):
            code, _, err = finish(command("backfill", *DAYS, on=emulator, **alerts))
            assert code == 2
            assert "Stream refuses STREAM_API_KEY" in err
    assert webhook.titles == ["A run failed"] * 2
    assert f"The run of {YESTERDAY} failed: Stream refuses" in webhook.messages[1]["message"]
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator, **alerts))[::2] == (0, "")
    assert webhook.titles[2:] == ["over: A run failed"] * 2
    kept = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not [content for content in kept if b"hunter2" in content]


def test_alerts_are_told_once(command: Command, webhook: Webhook, tmp_path: Path) -> None:
    """First a dry run, which tells nobody, then a look, then another one. A file can hold the addresses."""
    (tmp_path / "addresses").write_text(f"{webhook.address}\n")
    from_file = {"CALL_METRICS_ALERTS_FILE": "addresses", "CALL_METRICS_START": f"{YESTERDAY}"}
    code, out, err = finish(command("alerts", "--dry-run", CALL_METRICS_START="2026-01-01"))
    assert (code, "releases could not be looked at" in err) == (1, True)
    assert "would tell: Call Metrics: Yesterday has not arrived\n    " in out
    assert not webhook.messages
    code, out, _ = finish(command("alerts", **from_file, CALL_METRICS_DATA=f"{tmp_path}/data"))
    assert len(webhook.messages) == out.count("told: Call Metrics: ")
    with Emulator(SMALL) as emulator:
        finish(command("backfill", *DAYS, on=emulator))
    code, out, err = finish(command("alerts", **from_file))
    assert (code, err) == (0, "")
    code, out, err = finish(command("alerts", **from_file))
    assert (code, out, err) == (0, "told: nothing new\n", "")


def test_test_message_shows_whether_addresses_work(command: Command, webhook: Webhook) -> None:
    """One that does not is named by its position; the exit code is 1."""
    code, out, err = finish(command("alerts", "--test", CALL_METRICS_ALERTS=webhook.address))
    assert (code, out, err) == (0, "addresses that accepted a test message: 1 of 1\n", "")
    assert webhook.titles == ["test"]
    webhook.status = 500
    code, out, err = finish(command("alerts", "--test", CALL_METRICS_ALERTS=webhook.address))
    assert (code, out) == (1, "addresses that accepted a test message: 0 of 1\n")
    assert err.startswith("call-metrics: address 1 of CALL_METRICS_ALERTS (json://…) did not accept a message")
    assert "hunter2" not in err


def test_alerts_without_an_address_say_what_to_set(command: Command) -> None:
    """In one sentence; so does an address that is none, which is not repeated."""
    code, _, err = finish(command("alerts"))
    assert (code, err.startswith("call-metrics: CALL_METRICS_ALERTS is not set; set it to")) == (2, True)
    code, _, err = finish(command("alerts", CALL_METRICS_ALERTS="hunter2"))
    assert (code, err.startswith("call-metrics: CALL_METRICS_ALERTS has something that is not an address")) == (2, True)
    assert "hunter2" not in err
    code, _, err = finish(command("alerts", "--test", "--dry-run"))
    assert (code, "cannot be given together" in err) == (2, True)
