"""`call-metrics status`, and what a backfill prints of what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from pipeline.emulator import Emulator, Fault, Quota
from tests.support.command_line import DAYS, SMALL, YESTERDAY, finish

PARTS = ("days", "files", "database", "ledger", "runs", "quotas")
"""What metrics are read from."""


def test_status_lists_what_is_missing(command: Callable[..., Any]) -> None:
    """A window without a response means exit code 1 and a line, of `backfill` and of `status`, until it lands."""
    with Emulator(SMALL, faults=(Fault("unrecoverable", "participant_metrics", times=1),)) as emulator:
        code, out, err = finish(command("backfill", *DAYS, on=emulator))
        assert code == 1
        assert f"missing: {YESTERDAY}: 1 window of 1 stay has no final response" in out
        assert "Traceback" not in err
        code, out, _ = finish(command("status"))
        assert code == 1
        assert "incomplete" in out
        code, out, _ = finish(command("status", "--json"))
        assert code == 1
        (day,) = json.loads(out)
        assert (day["day"], day["windows_due"], day["complete"]) == (f"{YESTERDAY}", 1, False)
        assert finish(command("status", "--format", "json")) == (code, out, "")
        code, out, err = finish(command("status", "--format", "openmetrics", CALL_METRICS_START=f"{YESTERDAY}"))
        assert (code, err) == (1, "")
        found = metrics(out)
        assert {found[f"part_readable {part}"] for part in PARTS} == {1}
        assert (found["days incomplete"], found["windows_due"]) == (1, 1)
        assert found["requests_due"] == 2  # the list of calls, and the window
        assert found["missing_forgotten_seconds"] > 80 * 86_400
        assert found["newest_response_timestamp_seconds"] <= found["published_timestamp_seconds"]
        assert found["published_timestamp_seconds"] <= found["run_finished_timestamp_seconds success"]
        for size in ("raw_bytes participant_metrics", "table_bytes windows", "database_bytes"):
            assert found[size] > 0
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
        assert finish(command("status"))[0] == 0


@pytest.mark.slow
def test_status_names_days_that_were_never_fetched(command: Callable[..., Any]) -> None:
    """Every day from --from to --to counts; without them, a line names earlier days that the source still lists."""
    with Emulator(SMALL) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator))[0] == 0
    before = YESTERDAY - timedelta(days=2)
    code, out, _ = finish(command("status", "--from", f"{before}", "--to", f"{YESTERDAY}"))
    assert code == 1
    assert f"missing: {before}: its call sessions have not been listed yet" in out
    code, out, _ = finish(command("status"))
    assert code == 0
    assert f"to {YESTERDAY - timedelta(days=1)} were never fetched, and the source still lists them" in out


def test_status_of_nothing_says_how_to_start(command: Callable[..., Any]) -> None:
    """In an empty folder, a sentence names the commands that fetch; as JSON, the list is empty."""
    code, out, err = finish(command("status"))
    assert (code, err) == (0, "")
    assert "`call-metrics backfill` or `call-metrics demo`" in out
    assert json.loads(finish(command("status", "--json"))[1]) == []


def test_metrics_say_what_could_not_be_read(command: Callable[..., Any]) -> None:
    """Without a database, its metrics are left out, and that is a metric too. Every sample has the name of the app."""
    code, out, err = finish(command("status", "--format", "openmetrics", CALL_METRICS_APP="support"))
    assert code == 0
    assert {sample.labels["app"] for family in read_openmetrics(out) for sample in family.samples} == {"support"}
    found = metrics(out)
    assert [part for part in PARTS if found[f"part_readable {part} support"] == 0] == ["database", "ledger"]
    assert "the metrics of database are left out: " in err
    assert not any(name.startswith(("published", "requests_due", "newest")) for name in found)
    assert found["days_never_fetched support"] > 0


def test_formats_that_do_not_go_together_are_refused(command: Callable[..., Any]) -> None:
    """One sentence each."""
    for arguments, why in (
        (("--json", "--format", "text"), "--json and --format text cannot be given together"),
        (("--ledger", "--format", "openmetrics"), "--ledger has no format openmetrics"),
    ):
        code, out, err = finish(command("status", *arguments))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert why in err


def metrics(text: str) -> dict[str, float]:
    """Return the value of each metric, by its name without prefix and the values of its labels."""
    return {
        " ".join([sample.name.removeprefix("call_metrics_"), *sorted(sample.labels.values())]): sample.value
        for family in read_openmetrics(text)
        for sample in family.samples
    }


def test_ledger_says_what_can_still_be_had(command: Callable[..., Any]) -> None:
    """A day that is held is not in it; days before it that were never listed are, as long as the source lists them."""
    assert finish(command("status", "--ledger"))[0] == 2
    with Emulator(SMALL, quotas={"participant_metrics": Quota(6_000)}) as emulator:
        assert finish(command("backfill", *DAYS, on=emulator, CALL_METRICS_START=f"{YESTERDAY}"))[0] == 0
        code, out, err = finish(command("status", "--ledger"))
        assert (code, out, err) == (0, "nothing is missing that the source can still give\n", "")
        before = YESTERDAY - timedelta(days=2)
        start = f"{before}"
        assert finish(command("backfill", *DAYS, on=emulator, CALL_METRICS_START=start))[0] == 0
    code, out, err = finish(command("status", "--ledger"))
    assert (code, err) == (1, "")
    assert "estimate: never listed" in out
    assert f"start `call-metrics backfill --from {before} --to {YESTERDAY - timedelta(days=1)}` by " in out
    days = json.loads(finish(command("status", "--ledger", "--json"))[1])
    assert [day["session_date"] for day in days] == [f"{before}", f"{YESTERDAY - timedelta(days=1)}"]
    assert days[0]["start_by"] == days[0]["lost_from"] == f"{before + timedelta(days=90)}T00:00:00+00:00"
    assert len(json.loads(finish(command("status", "--ledger", "--json", "--from", f"{YESTERDAY}"))[1])) == 0
    later = finish(command("status", "--ledger", CALL_METRICS_START=f"{YESTERDAY}"))
    assert later == (0, "nothing is missing that the source can still give\n", "")
