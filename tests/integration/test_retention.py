"""Retention: what old days lose, and what is still right about them afterwards."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.alerts.facts import days_at_risk
from pipeline.cli.due import without_pruned
from pipeline.emulator import Emulator, Fault, ManualClock, uniform_world
from pipeline.errors import FixSettings
from pipeline.files import day_folder
from pipeline.flow import Flow
from pipeline.landing.segment import RAW_SCHEMA
from pipeline.planning.completeness import day_ends
from pipeline.retention import prune
from pipeline.schema import TABLES
from pipeline.warehouse.published import open_published
from tests.support import rows_in
from tests.support.flows import AFTERWARDS, DAY, WORLD, published, run, traces

LATER = day_ends(DAY) + timedelta(days=30)
"""When everything of the day may go, by the settings of these tests."""

RAW = {"keep_raw_days": 30}
ALL = {"keep_days": 30}


@pytest.fixture
def emulator() -> Any:
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as source:
        yield source


def tables(flow: Flow) -> dict[str, bytes]:
    """Return every Parquet table of the data folder, byte by byte."""
    return {path.stem: path.read_bytes() for path in flow.settings.tables.rglob("*.parquet")}


def everything(flow: Flow) -> dict[str, Counter[tuple[Any, ...]]]:
    """Return all rows of the published database, by table."""
    return {table: published(flow, table) for table in TABLES}


def raw_files(flow: Flow) -> list[Path]:
    """Return everything that is left of the day's raw responses."""
    return list(flow.settings.raw.rglob("session_date=*"))


def test_a_day_without_raw_responses_stays_what_it_was(flow_for: Callable[..., Flow], emulator: Emulator) -> None:
    """It is complete with the same tables and rows, whatever is run, rebuilt, or loaded into a new database."""
    flow = flow_for(emulator, **RAW)
    flow.run(DAY)
    before, rows, complete = tables(flow), everything(flow), flow.completeness(DAY)
    assert prune(flow, LATER - timedelta(seconds=1)).pruned == []
    would = prune(flow, LATER, dry_run=True)
    assert raw_files(flow)
    assert [(one.day, one.removed) for one in would.pruned] == [(DAY, "raw")]
    assert would.size == sum(path.stat().st_size for path in flow.settings.raw.rglob("*.parquet"))
    assert prune(flow, LATER) == would
    assert raw_files(flow) == []
    requests = emulator.count()
    for _ in range(2):
        flow.run(DAY)
        flow.rebuild([DAY])
        assert tables(flow) == before
        assert everything(flow) == rows
        judged = flow.completeness(DAY)
        assert (judged.pruned, judged.verdict) == ("raw", "complete")
        assert (judged.calls, judged.held, judged.windows) == (complete.calls, complete.held, complete.windows)
        Path(f"{flow.settings.warehouse}").unlink()
        flow = flow_for(emulator, **RAW)
    assert emulator.count() == requests
    assert flow.known_days() == [DAY]
    assert flow.incomplete_days(AFTERWARDS) == []
    assert DAY not in flow.days_never_landed(AFTERWARDS)
    assert without_pruned(flow.settings, [DAY]) == []
    assert prune(flow, LATER).pruned == []


def test_a_day_that_is_removed_leaves_only_what_is_known_of_it(
    flow_for: Callable[..., Flow], emulator: Emulator
) -> None:
    """Raw responses, tables and rows are gone, and the ledger, the list of what is due and `status` do not miss it."""
    flow = flow_for(emulator, start=DAY, **ALL)
    flow.run(DAY)
    done = prune(flow, LATER)
    assert [(one.day, one.removed) for one in done.pruned] == [(DAY, "all")]
    assert raw_files(flow) == []
    assert tables(flow) == {}
    assert all(not rows_in(flow.settings.warehouse, table) for table in TABLES)
    with open_published(flow.settings.warehouse) as database:
        days = database.execute("SELECT value FROM store.meta WHERE name = 'pruned'").fetchall()
    assert days == [(f"{DAY}",)]  # for the ledger
    requests = emulator.count()
    flow.run(DAY)
    flow.load([DAY])
    assert emulator.count() == requests
    assert tables(flow) == {}
    judged = flow.completeness(DAY)
    assert (judged.pruned, judged.verdict, judged.calls, judged.held) == ("all", "complete", 2, 4)
    assert flow.incomplete_days(AFTERWARDS) == []
    assert DAY not in {risk.day for risk in days_at_risk(flow, AFTERWARDS, [DAY])}


def test_an_incomplete_day_stays_however_old(flow_for: Callable[..., Flow]) -> None:
    """What the source did not give is named, and nothing of the day is removed."""
    fault = Fault("unrecoverable", "participant_metrics", times=1)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=(fault,)) as source:
        flow = flow_for(source, **RAW, **ALL)
        flow.run(DAY)
        before = tables(flow)
        done = prune(flow, LATER + timedelta(days=3650))
        assert done.pruned == []
        assert [(one.day, one.why) for one in done.kept] == [(DAY, "1 window of 1 stay has no final response")]
        assert flow.pruned.days() == []
        assert tables(flow) == before
        flow.run(DAY)
        assert flow.completeness(DAY).is_complete
        assert [one.day for one in prune(flow, LATER).pruned] == [DAY]


class Killed(BaseException):
    """The process ends here."""


KILLS = [
    ("pruned.put", False),
    ("pruned.put", True),
    ("warehouse.load", False),
    ("landing.delete_day", False),
    ("landing.delete_day", True),
    ("lake.delete_day", False),
]
"""Calls of the flow that a removal makes, in order, and whether it is killed before them or after them."""


@pytest.mark.parametrize("kept", [RAW, pytest.param(ALL, marks=pytest.mark.slow)], ids=["raw", "all"])
def test_a_removal_that_is_killed_is_finished_by_the_next_one(
    flow_for: Callable[..., Flow], emulator: Emulator, monkeypatch: pytest.MonkeyPatch, kept: dict[str, int]
) -> None:
    """Wherever it ends, the day is whole or known as pruned, is never requested, and its tables never shrink."""
    flow = flow_for(emulator, **kept)
    flow.run(DAY)
    requests = emulator.count("participant_metrics")
    before, rows = tables(flow), everything(flow)
    for name, after in KILLS[:4] if kept == RAW else KILLS:
        killed = flow_for(emulator, **kept)
        _kill(monkeypatch, killed, name, after=after)
        with pytest.raises(Killed):
            prune(killed, LATER)
        segments = sorted(flow.settings.raw.rglob("session_date=*/*.parquet"))
        if flow.pruned.days() and len(segments) > 1:
            segments[0].unlink()  # half of it was deleted
        flow.run(DAY)
        flow.build_tables(DAY, rebuild=True)
        assert flow.completeness(DAY).is_complete
        assert emulator.count("participant_metrics") == requests
        assert tables(flow) == before
    flow = flow_for(emulator, **kept)
    prune(flow, LATER)
    assert raw_files(flow) == []
    assert tables(flow) == ({} if kept == ALL else before)
    assert everything(flow) == ({table: Counter() for table in TABLES} if kept == ALL else rows)
    assert prune(flow, LATER).pruned == []


def test_what_a_killed_process_left_of_a_day_is_removed_with_it(
    flow_for: Callable[..., Flow], emulator: Emulator
) -> None:
    """Temporary files of raw responses and tables are data of people like the files that they would have become."""
    flow = flow_for(emulator, **ALL)
    flow.run(DAY)
    for name in ("raw/participant_metrics", "tables/tracks"):
        folder = day_folder(flow.settings.data / name, DAY)
        (folder / ".tracks.parquet.0123abcd.tmp").write_bytes(b"killed while it was written")
    prune(flow, LATER)
    assert raw_files(flow) == []
    assert list(flow.settings.tables.rglob("session_date=*/*")) == []


def _kill(monkeypatch: pytest.MonkeyPatch, flow: Flow, name: str, *, after: bool) -> None:
    """Kill the process when a part of the flow is called, before or after it has done its work."""
    part, method = name.split(".")
    original = getattr(getattr(flow, part), method)

    def call(*args: Any, **options: Any) -> None:
        if after:
            original(*args, **options)
        raise Killed

    monkeypatch.setattr(getattr(flow, part), method, call)


def test_a_person_is_erased_from_the_tables_of_a_pruned_day(flow_for: Callable[..., Flow], emulator: Emulator) -> None:
    """The other rows stay as they are, the person's stays count as forgotten, and a second erasure changes nothing."""
    flow = flow_for(emulator, **RAW)
    flow.run(DAY)
    rows = everything(flow)
    prune(flow, LATER)
    assert traces(flow.settings.data, "user-1")
    assert flow.forget("user-1") == [DAY]
    assert traces(flow.settings.data, "user-1") == []
    for table, its in everything(flow).items():
        if table != "ingest_completeness_by_call":
            assert its == Counter({row: count for row, count in rows[table].items() if "user-1" not in row})
    for row in flow.certificates(DAY):
        assert (row["stays_promised"], row["stays_held"], row["stays_forgotten"]) == (1, 1, 1)
        assert row["windows_expected"] == row["windows_landed"]
        assert row["raw_sha256"] is None
    judged = flow.completeness(DAY)
    assert (judged.verdict, judged.promised, judged.held) == ("complete", 2, 2)
    after = tables(flow)
    assert flow.forget("user-1") == []
    assert tables(flow) == after


def test_an_erasure_finishes_a_removal_that_was_interrupted(flow_for: Callable[..., Flow], emulator: Emulator) -> None:
    """What is left of a day that is removed would still name the person."""
    flow = flow_for(emulator, **ALL)
    flow.run(DAY)
    assert flow.close_day(DAY, "all").is_complete
    assert traces(flow.settings.data, "user-1")
    flow.forget("user-1")
    assert traces(flow.settings.data, "user-") == []
    assert raw_files(flow) == []
    assert tables(flow) == {}


def test_an_upgrade_keeps_the_tables_of_a_pruned_day(
    flow_for: Callable[..., Flow], emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """New columns are NULL; a table that does not fit stays as it is, and the day says that it cannot be used."""
    flow = flow_for(emulator, **RAW)
    flow.run(DAY)
    prune(flow, LATER)
    points = published(flow, "metric_points")
    _write_as_earlier_version(flow, DAY, drop={"participant_sessions": "sdk"}, text={"tracks"})
    Path(f"{flow.settings.warehouse}").unlink()
    upgraded = flow_for(emulator, **RAW)
    with caplog.at_level(logging.WARNING):
        upgraded.load([])
    assert "stays as it is: restore it from a backup, or use the version that wrote it" in caplog.text
    assert set(upgraded.lake.read("participant_sessions", DAY).column("sdk").to_pylist()) == {None}
    assert published(upgraded, "metric_points") == points
    assert len(published(upgraded, "participant_sessions")) > 0
    (problem,) = upgraded.completeness(DAY).problems
    assert "its table tracks is missing or cannot be read" in str(problem)
    assert Path(upgraded.lake.path("tracks", DAY)).exists()
    assert upgraded.completeness(DAY).verdict == "incomplete"


def _write_as_earlier_version(flow: Flow, day: date, *, drop: dict[str, str], text: set[str]) -> None:
    """Write the tables as an earlier version did: without a column, and some with texts where numbers must be."""
    for table in TABLES:
        path = Path(flow.lake.path(table, day))
        rows = pq.read_table(path, partitioning=None)
        mark = {"call_metrics.fingerprint": "old-0", "call_metrics.tables_version": "0"}
        if table in drop:
            rows = rows.drop_columns([drop[table]])
        if table in text:
            rows = rows.drop_columns(["points"]).append_column("points", [["many"] * rows.num_rows])
        pq.write_table(rows.replace_schema_metadata(mark), path)
    pruned = flow.pruned.get(day)
    assert pruned is not None
    flow.pruned.put(type(pruned)(**{**pruned.__dict__, "rules": "old"}))


def test_a_lost_table_of_a_pruned_day_is_said(flow_for: Callable[..., Flow], emulator: Emulator) -> None:
    """It cannot be made again, so the day is incomplete, and is not removed as a whole either."""
    flow = flow_for(emulator, **RAW)
    flow.run(DAY)
    prune(flow, LATER)
    Path(flow.lake.path("tracks", DAY)).unlink()
    judged = flow.completeness(DAY)
    (problem,) = judged.problems
    assert str(problem) == (
        "its table tracks is missing or cannot be read, and its raw responses were pruned, so that it cannot be "
        "rebuilt; restore the folder `tables` from a backup"
    )
    assert not judged.needs_another_run
    flow = flow_for(emulator, **ALL)
    assert [one.day for one in prune(flow, LATER).kept] == [DAY]


def test_a_day_that_cannot_be_used_does_not_stop_the_others(flow_for: Callable[..., Flow]) -> None:
    """It stays, with the sentence about it, and the other days are pruned."""
    days = [DAY, DAY + timedelta(days=1)]
    world = uniform_world(days[0], calls=1, people=1, minutes=5) + uniform_world(days[1], calls=1, people=1, minutes=5)
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as source:
        flow = flow_for(source, **RAW)
        run(flow, *days)
        (segment,) = flow.landing.segments("call_stats", DAY)
        later = RAW_SCHEMA.with_metadata({"call_metrics.raw_version": "99"})
        pq.write_table(pq.read_table(segment, partitioning=None).replace_schema_metadata(later.metadata), segment)
        done = prune(flow, LATER + timedelta(days=1))
        assert [one.day for one in done.pruned] == [days[1]]
        (kept,) = done.kept
        assert (kept.day, kept.is_broken) == (DAY, True)
        assert "later version of Call Metrics; upgrade" in kept.why
        assert Path(segment).exists()


def test_pruning_without_a_setting_is_refused(flow_for: Callable[..., Flow], emulator: Emulator) -> None:
    """Everything is kept then, and one sentence says which settings there are."""
    with pytest.raises(FixSettings, match="set CALL_METRICS_KEEP_RAW_DAYS or CALL_METRICS_KEEP_DAYS"):
        prune(flow_for(emulator), datetime.now(LATER.tzinfo))
