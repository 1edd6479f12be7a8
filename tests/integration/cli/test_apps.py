"""The command line for several apps in one data root and one lake: the same settings but the app's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import Emulator
from tests.support.command_line import DAYS, LARGE, SMALL, finish


@pytest.mark.slow
def test_commands_are_about_the_app_that_is_named(command: Callable[..., Any], tmp_path: Path) -> None:
    """Backfill, status, sql, report, rebuild, forget and doctor; and one query about both apps."""
    lake = {"CALL_METRICS_WAREHOUSE": "ducklake:calls.ducklake"}
    with Emulator(SMALL) as small, Emulator(LARGE) as large:
        apps = {"support": small, "sales": large}
        calls = {"support": len(SMALL.calls), "sales": len(LARGE.calls)}

        def run(app: str, *arguments: str) -> tuple[int, str, str]:
            return finish(command(*arguments, on=apps[app], CALL_METRICS_APP=app, **lake))

        for app in apps:
            code, out, err = run(app, "sql", "FROM windows")
            assert (code, out) == (2, "")
            assert "does not exist yet; `call-metrics backfill`" in err
            code, out, err = run(app, "backfill", *DAYS)
            assert code == 0, err
        for app, count in calls.items():
            code, out, err = run(app, "status", "--json")
            assert (code, json.loads(out)[0]["calls"]) == (0, count), err
            code, out, _ = run(app, "sql", "SELECT count(*) AS n FROM call_quality", "--format", "json")
            assert json.loads(out) == [{"n": count}]
        both = "SELECT app, count(*) AS n FROM all_apps.call_quality GROUP BY app ORDER BY app"
        code, out, _ = run("support", "sql", both, "--format", "json")
        assert json.loads(out) == [{"app": app, "n": calls[app]} for app in ("sales", "support")]
        code, out, err = run("support", "report", SMALL.calls[0].call_session_id, "-o", "-")
        assert (code, "<html" in out) == (0, True), err
        assert run("support", "rebuild")[0] == 0
        user = SMALL.calls[0].participants[0].user_id
        code, out, err = run("support", "forget", "--user", user)
        assert code == 0, err
        assert f"The data folder is {tmp_path}/data/support." in out
        named = f"SELECT count(*) > 0 AS there FROM all_apps.participant_sessions WHERE user_id = '{user}' AND app = "
        there = [json.loads(run("sales", "sql", f"{named}'{app}'", "--format", "json")[1])[0]["there"] for app in apps]
        assert there == [False, True]
        code, out, _ = run("sales", "doctor")
        assert "FAIL" not in out
        assert f"ok    data: {tmp_path}/data/sales can be written" in out
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"support", "sales", "lake", "lake-id", "dagster"}
