"""`call-metrics prune`, and what the other commands say of a pruned day."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.cli.commands import call_metrics
from pipeline.cli.due import without_pruned
from pipeline.cli.outcome import ExitCode
from pipeline.cli.prune import run_prune
from pipeline.cli.rebuild import run_rebuild
from pipeline.cli.status import print_status
from pipeline.emulator import Emulator, uniform_world
from pipeline.flow import Flow
from tests.support.command_line import finish

DAY = datetime.now(UTC).date() - timedelta(days=10)
WORLD = uniform_world(DAY, calls=1, people=2, minutes=40, step_seconds=60)


def test_prune_needs_a_setting(command: Callable[..., Any]) -> None:
    """Everything is kept unless a setting says otherwise, and one sentence names the settings."""
    code, out, err = finish(command("prune"))
    assert (code, out) == (2, "")
    assert err.startswith("call-metrics: set CALL_METRICS_KEEP_RAW_DAYS or CALL_METRICS_KEEP_DAYS")
    assert err.count("\n") == 1


def test_every_command_knows_a_pruned_day(flow_for: Callable[..., Flow], capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run changes nothing; afterwards `status`, `rebuild` and `backfill` say what was removed."""

    def printed() -> str:
        return capsys.readouterr().out

    with Emulator(WORLD) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        raw = flow.settings.model_copy(update={"keep_raw_days": 7})
        assert run_prune(raw, dry_run=True) == ExitCode.COMPLETE
        line = rf"{DAY}: raw responses, 0.\d MB\n0.\d MB of 1 day"
        assert re.fullmatch(rf"{line} would be removed; nothing was\n", printed())
        assert flow.landing.days() == [DAY]
        assert run_prune(raw, dry_run=False) == ExitCode.COMPLETE
        assert re.fullmatch(rf"{line} removed\n", printed())
        assert print_status(raw, None, None, as_json=True) == ExitCode.COMPLETE
        (day,) = json.loads(printed())
        assert (day["complete"], day["pruned"], day["raw_bytes"]) == (True, "raw", {})
        assert day["table_bytes"]["metric_points"] > 0
        assert run_rebuild(raw, None, None) == ExitCode.COMPLETE
        assert re.fullmatch(
            rf"{DAY}: cannot be rebuilt, because its raw responses were pruned on \d{{4}}-\d\d-\d\d; "
            "its tables stay as they are\n",
            printed(),
        )
        whole = flow.settings.model_copy(update={"keep_days": 8})
        assert run_prune(whole, dry_run=False) == ExitCode.COMPLETE
        assert printed().startswith(f"{DAY}: the whole day, 0.")
        assert without_pruned(whole, [DAY]) == []
        assert printed() == f"{DAY} was complete and was pruned: it is not fetched again\n"
        assert print_status(whole, None, None, as_json=False) == ExitCode.COMPLETE
        text = printed()
        assert re.search(rf"^{DAY} .* pruned$", text, re.MULTILINE)
        assert "stored: 0.0 MB of raw responses, 0.0 MB of tables, " in text
        assert run_prune(whole, dry_run=False) == ExitCode.COMPLETE
        assert printed() == "nothing is old enough\n"
        with call_metrics.make_context("call-metrics", ["-q", "prune"]):
            assert run_prune(whole, dry_run=False) == ExitCode.COMPLETE
            assert without_pruned(whole, [DAY]) == []
        assert printed() == ""
