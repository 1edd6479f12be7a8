"""Telling on a real webhook: each cause once, its end once, never lost, and nothing secret in what is kept."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.alerts import facts
from pipeline.alerts.teller import preview, run_ended, run_failed, send_trial, tell, tell_quietly
from pipeline.emulator import Emulator, Fault, ManualClock
from pipeline.errors import FixSettings
from pipeline.flow import Flow
from pipeline.settings import Secret, Settings
from tests.support.flows import AFTERWARDS, DAY, WORLD
from tests.support.incident_calls import AFTERWARDS as AFTER_INCIDENT
from tests.support.incident_calls import DAY as INCIDENT_DAY
from tests.support.incident_calls import incident_world
from tests.support.webhook import Webhook

MORNING = timedelta(hours=6, minutes=30)
NEXT_MORNING = datetime(2026, 3, 2, tzinfo=UTC) + MORNING
"""When `DAY` is yesterday."""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture
def told_flow(settings_for: Callable[..., Settings], webhook: Webhook) -> Iterator[Callable[..., Flow]]:
    """Return a function that makes a flow whose alerts go to the webhook."""
    flows: list[Flow] = []

    def make(emulator: Emulator, **given: Any) -> Flow:
        values = {"alerts": Secret(webhook.address), "start": DAY} | given
        flows.append(Flow(settings_for(emulator, **values)))
        return flows[-1]

    yield make
    for flow in flows:
        flow.__exit__(None, None, None)


def test_yesterday_is_told_once_and_again_when_it_has_arrived(told_flow: Callable[..., Flow], webhook: Webhook) -> None:
    """Before the first load, each morning until it is there, and after that."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = told_flow(emulator)
        tell(flow, NEXT_MORNING)
        tell(flow, NEXT_MORNING + timedelta(hours=5))
        assert webhook.titles == ["Yesterday has not arrived"]
        assert "call-metrics backfill --from 2026-03-01 --to 2026-03-01" in webhook.messages[0]["message"]
        assert webhook.messages[0]["type"] == "failure"
        flow.run(DAY)
        told = tell(flow, NEXT_MORNING + timedelta(hours=6))
        assert webhook.titles[1:] == ["over: Yesterday has not arrived"]
        assert webhook.messages[1]["type"] == "success"
        assert not told.open
        assert not tell(flow, NEXT_MORNING + timedelta(hours=7)).messages


def test_yesterday_need_not_be_there_before_the_morning(told_flow: Callable[..., Flow], webhook: Webhook) -> None:
    """At midnight, the day before yesterday must be there."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = told_flow(emulator)
        flow.run(DAY)
        tell(flow, datetime(2026, 3, 3, 6, 14, tzinfo=UTC))
        assert not webhook.messages
        tell(flow, datetime(2026, 3, 3, 6, 15, tzinfo=UTC))
        assert webhook.titles == ["Yesterday has not arrived"]


@pytest.mark.slow
def test_what_soon_expires_is_told_and_its_end_says_what_became_of_it(
    told_flow: Callable[..., Flow], webhook: Webhook
) -> None:
    """A day with a failed window, 80 days later; fetched, it is over. Another that expires is said to be lost."""
    broken = Fault("poisoned", endpoint="participant_metrics", match={"user_session_id": "a-0"})
    clock = ManualClock(AFTERWARDS)
    late = AFTERWARDS + timedelta(days=80)
    with Emulator(WORLD, clock=clock, faults=[broken]) as emulator:
        flow = told_flow(emulator, start=DAY)
        flow.run(DAY)
        found = facts.look(flow, _state(flow), AFTERWARDS, ["risk"])
        assert not found.causes
        tell(flow, late, ["risk"])
        (message,) = webhook.messages
        assert message["title"] == "Call Metrics: Data is missing that Stream soon forgets"
        assert message["message"].startswith(f"{DAY}")
        assert "2 windows without a final response" in message["message"]
        tell(flow, late + timedelta(days=1), ["risk"])
        assert len(webhook.messages) == 1
        tell(flow, AFTERWARDS + timedelta(days=120), ["risk"])
    ends = [message for message in webhook.messages if ": over:" in message["title"]]
    assert "is lost: 2026-03-01: 2 windows without a final response" in ends[0]["message"]
    assert "a-0" not in f"{webhook.messages}"


def test_days_that_were_never_fetched_are_at_risk(told_flow: Callable[..., Flow], webhook: Webhook) -> None:
    """From CALL_METRICS_START on, once anything has landed."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = told_flow(emulator, start=date(2026, 2, 26))
        now = datetime(2026, 5, 25, 6, 30, tzinfo=UTC)
        tell(flow, now, ["risk"])
        assert not webhook.messages
        flow.run(DAY)
        tell(flow, now, ["risk"])
        texts = [message["message"] for message in webhook.messages]
        assert [text[:24] for text in texts] == ["2026-02-26 to 2026-02-28", "2026-03-02 to 2026-03-10"]
        assert "it was never fetched" in texts[0]


def test_refused_quota_is_told_from_what_a_run_has_noted(told_flow: Callable[..., Flow], webhook: Webhook) -> None:
    """A run notes what it sees. One that is refused is told after ten minutes, and is over with the next response."""
    refused = Fault("rate_limited", endpoint="call_stats", times=1)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=[refused]) as emulator:
        flow = told_flow(emulator)
        flow.run(DAY)
        flow.__exit__(None, None, None)  # the last note is made at the end
        assert emulator.count("call_stats", 429) == 1
        note = flow.quotas_seen()
        assert note is not None
        assert {"call_stats", "participant_metrics"} <= note.quotas.keys()
        assert note.quotas["call_stats"].refused_since is None
        # The same file, as a run leaves it that has waited for eleven minutes.
        path = flow.settings.work / "quotas.json"
        written = path.read_text()
        since = note.seen_at.timestamp() - 11 * 60
        path.write_text(written.replace('"refused_since": null', f'"refused_since": {since}', 1))
        tell(flow, kinds=facts.SOON)
        tell(flow, kinds=facts.SOON)
        assert webhook.titles == ["Stream refuses requests for long"]
        path.write_text(written)
        tell(flow, kinds=facts.SOON)
        assert webhook.titles[1:] == ["over: Stream refuses requests for long"]


def test_full_disk_is_told_from_the_disk_itself(
    told_flow: Callable[..., Flow], webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room that a publication needs is more than any disk has; then it is usual again."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = told_flow(emulator)
        monkeypatch.setattr(facts, "ROOM", shutil.disk_usage("/").total * 1000)
        tell(flow, kinds=["disk"])
        tell(flow, kinds=["disk"])
        assert webhook.titles == ["The disk of the data is nearly full"]
        monkeypatch.setattr(facts, "ROOM", 0)
        monkeypatch.setattr("pipeline.alerts.causes.FREE_SHARE", 0.0)
        tell(flow, kinds=["disk"])
        assert webhook.titles[1:] == ["over: The disk of the data is nearly full"]


def test_new_field_is_told_until_responses_no_longer_have_it(
    told_flow: Callable[..., Flow], webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field that this version does not know, and that one which knows it reads when tables are rebuilt."""
    from pipeline.tables import provenance

    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = told_flow(emulator)
        known = provenance.unknown_fields
        new = {"participant_metrics": {"client.os"}}
        monkeypatch.setattr(
            provenance, "unknown_fields", lambda endpoint, body: known(endpoint, body) | new.get(endpoint, set())
        )
        flow.run(DAY)
        assert flow.unknown_fields(DAY) == {"participant_metrics: client.os"}
        tell(flow, kinds=["field"])
        tell(flow, kinds=["field"])
        assert webhook.titles == ["Stream has a new field: participant_metrics: client.os"]
        monkeypatch.setattr(provenance, "unknown_fields", known)
        flow.build_tables(DAY, rebuild=True)
        tell(flow, kinds=["field"])
        assert webhook.titles[1:] == ["over: Stream has a new field: participant_metrics: client.os"]


def test_incident_is_one_message(told_flow: Callable[..., Flow], webhook: Webhook) -> None:
    """It is over when its data comes, and stays told; an old one is no news."""
    with Emulator(incident_world(), clock=ManualClock(AFTER_INCIDENT)) as emulator:
        flow = told_flow(emulator, start=INCIDENT_DAY)
        flow.run(INCIDENT_DAY)
        later = datetime.combine(INCIDENT_DAY + timedelta(days=1), datetime.min.time(), UTC) + MORNING
        for hours in (0, 24, 48, 72, 96):
            tell(flow, later + timedelta(hours=hours), ["incident", "release"])
        (title,) = webhook.titles
        assert title.startswith("Incident: media server ")
        assert "10 of 20 publishers got worse" in webhook.messages[0]["message"]
        assert "user" not in f"{flow.alerts_file.read_bytes()!r}"


def test_failed_run_is_over_when_its_days_have_run(told_flow: Callable[..., Flow], webhook: Webhook) -> None:
    """Two days that fail for the same reason are one message."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = told_flow(emulator)
        for day in ("2026-03-01", "2026-02-28"):
            run_failed(flow, day, f"Stream refuses the key, on {day}")
        run_failed(flow, "2026-03-01", "another reason")
        assert webhook.titles == ["A run failed"] * 2
        run_ended(flow, [DAY])
        assert webhook.titles[2:] == ["over: A run failed"]
        run_ended(flow, [DAY])
        assert len(webhook.messages) == 3
        run_ended(flow, ["2026-02-28", "morning_check"])
        assert webhook.titles[3:] == ["over: A run failed"]
        assert not _state(flow).causes


def test_failed_run_is_over_when_another_process_has_completed_its_day(
    told_flow: Callable[..., Flow], webhook: Webhook
) -> None:
    """A look finds that the day is complete. A day that never landed is not."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = told_flow(emulator)
        run_failed(flow, f"{DAY}", "no")
        tell(flow, NEXT_MORNING, ["run"])
        assert len(webhook.messages) == 1
        flow.run(DAY)
        now = datetime.now(UTC)
        tell(flow, now, ["run"])
        assert webhook.titles[1:] == ["over: A run failed"]


def test_message_that_was_not_accepted_is_sent_at_the_next_occasion(
    settings_for: Callable[..., Settings], webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    """Each address by itself, and the run goes on. What is logged names no address."""
    with Webhook(status=500) as broken, Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        both = Secret(f"{broken.address} {webhook.address}")
        with Flow(settings_for(emulator, alerts=both, start=DAY)) as flow, caplog.at_level(logging.DEBUG):
            run_failed(flow, f"{DAY}", "no")
            assert webhook.titles == ["A run failed"]
            assert broken.refused == 1
            assert "address 1 of CALL_METRICS_ALERTS (json://…) did not accept a message" in caplog.text
            assert tell_quietly(flow, ["quota"]) is not None
            assert (webhook.titles, broken.titles, broken.refused) == (["A run failed"], [], 2)
            broken.status = 200
            tell(flow, kinds=["quota"])
            assert broken.titles == webhook.titles == ["A run failed"]
            ours = [record.getMessage() for record in caplog.records if record.name.startswith(("pipeline", "apprise"))]
            assert not [line for line in ours if "hunter2" in line or "127.0.0.1" in line]


def test_server_that_is_down_loses_nothing(settings_for: Callable[..., Settings], webhook: Webhook) -> None:
    """A cause that came and went meanwhile is told with its end."""
    with Webhook() as gone:
        address = gone.address
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        with Flow(settings_for(emulator, alerts=Secret(address), start=DAY)) as flow:
            run_failed(flow, f"{DAY}", "no")
            run_ended(flow, [DAY])
            assert tell(flow, kinds=["quota"]).failures
        with Flow(settings_for(emulator, alerts=Secret(webhook.address), start=DAY)) as flow:  # corrected
            tell(flow, kinds=["quota"])
            tell(flow, kinds=["quota"])
    assert webhook.titles == ["over: A run failed"]
    assert "The run of 2026-03-01 failed: no" in webhook.messages[0]["message"]


def test_failure_is_told_even_if_nothing_can_be_remembered(
    told_flow: Callable[..., Flow], webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a full disk: the file cannot be written."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = told_flow(emulator)
        flow.settings.data.mkdir()
        (flow.settings.data / "alerts.json").mkdir()
        run_failed(flow, f"{DAY}", "no")
        assert webhook.titles == ["A run failed"]
        assert "alerts.json cannot be read or written" in caplog.text


def _tell_from_another_process(settings: Settings) -> None:
    with Flow(settings) as flow:
        tell(flow, NEXT_MORNING, ["yesterday"])


@pytest.mark.slow
def test_killed_between_sending_and_noting_it_tells_at_most_twice(
    settings_for: Callable[..., Settings], webhook: Webhook
) -> None:
    """The webhook has the message when the process is killed, and nothing is noted: it is sent once more, then not."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = settings_for(emulator, alerts=Secret(webhook.address), start=DAY)
        process = multiprocessing.get_context("spawn").Process(target=_tell_from_another_process, args=(settings,))

        def kill() -> None:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()

        webhook.before_answer = kill
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert len(webhook.messages) == 1
        webhook.before_answer = lambda: None
        for _ in range(3):
            _tell_from_another_process(settings)
        assert webhook.titles == ["Yesterday has not arrived"] * 2


@pytest.mark.slow
def test_two_processes_at_once_tell_once(settings_for: Callable[..., Settings], webhook: Webhook) -> None:
    """One sends while the other waits, and then finds nothing left to tell."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = settings_for(emulator, alerts=Secret(webhook.address), start=DAY)
        webhook.before_answer = lambda: time.sleep(0.5)
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=_tell_from_another_process, args=(settings,)) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0, 0]
        assert webhook.titles == ["Yesterday has not arrived"]


def test_preview_tells_and_notes_nothing(told_flow: Callable[..., Flow], webhook: Webhook) -> None:
    """Also without an address."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        for flow in (told_flow(emulator), told_flow(emulator, alerts=None)):
            messages, told = preview(flow, NEXT_MORNING)
            assert "Call Metrics: Yesterday has not arrived" in [message.title for message in messages]
            assert told.open
            assert not flow.alerts_file.exists()
        assert not webhook.messages


def test_app_with_a_name_is_named(told_flow: Callable[..., Flow], webhook: Webhook, tmp_path: Path) -> None:
    """Each app of a deployment remembers by itself what it told."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = told_flow(emulator, app="support")
        tell(flow, NEXT_MORNING, ["yesterday"])
        assert webhook.messages[0]["title"] == "Call Metrics (support): Yesterday has not arrived"
        assert (tmp_path / "data" / "support" / "alerts.json").exists()


def test_address_that_apprise_does_not_know_is_named_by_its_position(settings_for: Callable[..., Settings]) -> None:
    """Never by its text."""
    settings = Settings(alerts=Secret("hunter2://hunter2@x json://127.0.0.1:1"))
    first, second = send_trial(settings)
    assert first.startswith("address 1 of CALL_METRICS_ALERTS (hunter2://…) is not one that Apprise knows")
    assert second.startswith("address 2 of CALL_METRICS_ALERTS (json://…) did not accept a message")


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing fails but the command itself."""
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    with pytest.raises(FixSettings, match=r"run `pip install 'call-metrics\[alerts\]'`"):
        send_trial(Settings(alerts=Secret("json://127.0.0.1:1")))


def _state(flow: Flow) -> Any:
    from pipeline.alerts.state import read_state

    return read_state(flow.alerts_file)
