"""The command line on a DuckLake: everything that works on a file, and what does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.emulator import Emulator
from tests.support.command_line import SMALL, finish
from tests.support.postgres import PASSWORD, Database


@pytest.mark.slow
def test_commands_work_on_a_lake(command: Callable[..., Any], database: Database) -> None:
    """Backfill, status, sql, report, rebuild, forget and doctor, with the catalog in PostgreSQL."""
    lake = {"CALL_METRICS_WAREHOUSE": database.setting(), "PGPASSWORD": PASSWORD}
    reader = lake | {"CALL_METRICS_WAREHOUSE": database.setting("reader")}
    with Emulator(SMALL) as emulator:
        day = SMALL.calls[0].started_at.date().isoformat()
        days = ("--from", day, "--to", day)
        code, out, err = finish(command("sql", "FROM windows", **lake))
        assert code == 2
        assert "does not exist yet; `call-metrics backfill`" in err
        code, out, err = finish(command("backfill", *days, on=emulator, **lake))
        assert code in (0, 1), err
        assert f"database: {database.setting()}" in out
        assert finish(command("status", on=emulator, **lake))[0] == code
        counted = "SELECT count(*) > 0 AS some FROM metric_points"
        code, out, err = finish(command("sql", counted, "--format", "json", **reader))
        assert (code, json.loads(out)) == (0, [{"some": True}]), err
        session = SMALL.calls[0].call_session_id
        code, out, err = finish(command("report", session, "-o", "-", **reader))
        assert "<html" in out, err
        assert finish(command("rebuild", *days, **lake))[0] in (0, 1)
        user = SMALL.calls[0].participants[0].user_id
        assert finish(command("forget", "--user", user, **lake))[0] == 0
        code, out, err = finish(
            command("sql", f"FROM participant_sessions WHERE user_id = '{user}'", "--format", "csv", **lake)
        )
        assert out.count("\n") == 1
        code, out, _ = finish(command("doctor", on=emulator, **lake))
        assert f"ok    lake: {database.setting()} can be used" in out
        code, out, _ = finish(command("doctor", on=emulator, **reader))
        assert code == 1
        assert "FAIL  lake: the role cannot create tables" in out


def test_lake_is_not_served(command: Callable[..., Any]) -> None:
    """DuckDB attaches a lake itself."""
    code, _, err = finish(command("serve", CALL_METRICS_WAREHOUSE="ducklake:c.ducklake"))
    assert code == 2
    assert "c.ducklake needs no server: let DuckDB attach it; `serve` is for a file" in err


def test_doctor_names_a_server_that_is_down(command: Callable[..., Any]) -> None:
    """In one sentence, and looks at everything else too."""
    code, out, _ = finish(command("doctor", CALL_METRICS_WAREHOUSE="ducklake:postgres:host=127.0.0.1 port=9 dbname=a"))
    assert code == 2
    assert "FAIL  lake: PostgreSQL of ducklake:postgres:host=127.0.0.1 port=9 dbname=a cannot be used" in out
    assert "ok    timestamps: " in out
