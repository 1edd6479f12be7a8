"""The lines below the table of `call-metrics status`."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from pipeline.cli.sizes import size_columns, size_lines
from pipeline.cli.status import days_before_the_first, days_table, next_to_expire, problem_lines
from pipeline.planning.problems import no_final_response
from pipeline.storage.disk_use import DiskUse
from tests.support import DAY, at, judged_day

DUE = judged_day(windows={"missing": 1}, due=1, problems=[no_final_response(1, 1)])


def test_next_to_expire_names_days_with_what_is_missing() -> None:
    """The days that expire first come first, and those that have expired are left out."""
    first = replace(DUE, problems=[], first_expiry=at(24 * 90 + 11))
    second = replace(DUE, day=DAY + timedelta(days=1), first_expiry=at(24 * 91 + 10))
    now = at(24 * 80)
    assert list(next_to_expire([second, first], now)) == [
        "2026-11-01 expires at the source in 10 days: nothing is missing",
        "2026-11-02 expires at the source in 11 days: 1 window of 1 stay has no final response",
    ]
    assert list(next_to_expire([first], at(24 * 92))) == []


def test_days_before_the_first_are_named_while_the_source_lists_them() -> None:
    """Days before the first one stored are named as far back as the source still lists them."""
    assert list(days_before_the_first([DAY], date(2026, 1, 1), at(24 * 10))) == [
        "2026-08-13 to 2026-10-31 were never fetched, and the source still lists them; 2026-08-13 expires next"
    ]
    assert list(days_before_the_first([DAY], date(2026, 1, 1), at(24 * 90))) == []
    assert list(days_before_the_first([DAY], DAY, at(24 * 10))) == []
    assert list(days_before_the_first([], date(2026, 1, 1), at(0))) == []


def test_problem_lines_are_limited() -> None:
    """The last line says how many more there are and which command lists them."""
    days = [replace(DUE, day=date(2026, 10, 1) + timedelta(days=number)) for number in range(25)]
    lines = list(problem_lines(days))
    assert len(lines) == 21
    assert lines[0] == "2026-10-01: 1 window of 1 stay has no final response"
    assert lines[-1] == "and 5 more; `call-metrics status --json` lists them all"


def test_sizes_of_a_day_are_split_where_there_is_room() -> None:
    """Raw responses and tables in a wide terminal, else both in one column; sentences have the sums."""
    other = DAY + timedelta(days=1)
    use = DiskUse(
        {DAY: {"call_stats": 1_000_000, "participant_metrics": 2_000_000}, other: {"call_stats": 100_000}},
        {DAY: {"tracks": 4_000_000}},
    )
    assert {name: size(DAY) for name, size in size_columns(use, 160).items()} == {"raw": "3.0 MB", "tables": "4.0 MB"}
    assert {name: size(DAY) for name, size in size_columns(use, 100).items()} == {"stored": "7.0 MB"}
    assert {name: size(DAY + timedelta(days=9)) for name, size in size_columns(use, 100).items()} == {
        "stored": "0.0 MB"
    }
    pruned = [replace(DUE, problems=[], pruned="raw"), replace(DUE, day=other, problems=[], pruned="all")]
    assert list(size_lines(use, 5_000_000, pruned)) == [
        "stored: 3.1 MB of raw responses, 4.0 MB of tables, 5.0 MB of database",
        "raw responses of 2026-11-01 were pruned; the tables are kept",
    ]
    assert list(size_lines(use, None, [])) == ["stored: 3.1 MB of raw responses, 4.0 MB of tables"]
    shown = list(days_table(pruned, at(0), size_columns(use, 100)).columns[-1].cells)
    assert shown == ["complete", "pruned"]
