"""Landing: what the index and the bodies of a day contain, and how unreadable segments are treated."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.errors import FixStorage, Quarantined
from pipeline.landing.landing import Landing
from pipeline.landing.segment import INDEX_COLUMNS
from pipeline.model import Request
from tests.support import CALL, DAY, at, no_more_files_open
from tests.support.responses import METRICS, land, landed, landed_places, metrics_response


def test_landing_stores_request_response_and_body(tmp_path: Path) -> None:
    """The index has every column of a request and its response, and the body is where the index says."""
    landing = Landing(tmp_path)
    given = metrics_response('{"é": 1}', attempts=3, publishes=False, next_cursor="n")
    land(landing, [given])
    (row,) = landing.index(METRICS, DAY).to_pylist()
    place = (row.pop("segment"), row.pop("row_group"), row.pop("row"))
    assert row == {
        "endpoint": METRICS,
        "session_date": DAY,
        "call_type": "default",
        "call_id": "standup",
        "call_session_id": "s1",
        "user_id": "ann",
        "user_session_id": "ann-1",
        "since": at(10),
        "until": at(10, 30),
        "listing": None,
        "page": 0,
        "cursor": None,
        "next_cursor": "n",
        "publishes": False,
        "status": 200,
        "attempts": 3,
        "fetched_at": at(12),
        "error": None,
        "body_bytes": len('{"é": 1}'),
    }
    assert list(row) == INDEX_COLUMNS
    assert landing.bodies(METRICS, DAY, [place]) == ['{"é": 1}']


def test_landing_stores_the_cursor_of_a_page_and_its_failure(tmp_path: Path) -> None:
    """A page lands with its listing and cursor, also if no response came."""
    landing = Landing(tmp_path)
    request = Request("participant_sessions", DAY, call=CALL, listing="l1", page=2, cursor="c")
    failed = replace(metrics_response("", status=None, error="no response in time", attempts=6), request=request)
    land(landing, [failed], endpoint="participant_sessions")
    (row,) = landing.index("participant_sessions", DAY).to_pylist()
    assert (row["listing"], row["page"], row["cursor"], row["call_id"], row["user_id"]) == (
        "l1",
        2,
        "c",
        "standup",
        None,
    )
    assert (row["status"], row["error"], row["attempts"]) == (None, "no response in time", 6)


def test_landing_index_of_an_empty_day_has_all_columns(tmp_path: Path) -> None:
    """The index of a day without responses has the same columns and types as any other."""
    landing = Landing(tmp_path)
    index = landing.index(METRICS, DAY)
    assert index.num_rows == 0
    assert index.column_names == [*INDEX_COLUMNS, "segment", "row_group", "row"]
    assert landing.days() == []
    land(landing, [metrics_response()])
    assert landing.index(METRICS, DAY).schema.types == index.schema.types


def test_landing_days_are_those_with_a_response(tmp_path: Path) -> None:
    """Days are sorted, of any endpoint, and other folders do not count."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response()], day=date(2026, 11, 3))
    land(landing, [metrics_response()], day=date(2026, 10, 30))
    land(landing, [metrics_response()], day=date(2026, 11, 3), endpoint="call_stats")
    (tmp_path / METRICS / "session_date=soon").mkdir()
    assert landing.days() == [date(2026, 10, 30), date(2026, 11, 3)]


def test_landing_quarantines_a_broken_segment_and_reads_the_others(tmp_path: Path) -> None:
    """A broken segment keeps its content under another name and counts as not landed."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response("a")], [metrics_response("b")], [metrics_response("c")])
    broken = landing.segments(METRICS, DAY)[1]
    broken.write_bytes(b"nonsense")
    assert landed(landing) == ["a", "c"]
    (quarantined,) = broken.parent.glob(f"{broken.name}.set-aside-*")
    assert quarantined.read_bytes() == b"nonsense"


def test_landing_quarantines_a_parquet_file_of_another_program(tmp_path: Path) -> None:
    """A file without the columns of raw responses is not ours."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response("a")])
    foreign = landing.folder(METRICS, DAY) / "zz.parquet"
    pq.write_table(pa.table({"endpoint": ["x"]}), foreign)
    assert landed(landing) == ["a"]
    assert not foreign.exists()


def test_landing_leaves_a_segment_alone_on_a_transient_error(tmp_path: Path) -> None:
    """Too many open files do not make a segment broken."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response("x")])
    found = landed_places(landing)
    with no_more_files_open():
        for read in (landing.days, lambda: landing.index(METRICS, DAY), lambda: landing.bodies(METRICS, DAY, found)):
            with pytest.raises(FixStorage, match="Too many open files") as caught:
                read()
            assert not isinstance(caught.value, Quarantined)
    assert landed(landing) == ["x"]


def test_landing_raises_if_a_body_breaks_after_the_index_was_read(tmp_path: Path) -> None:
    """A segment that breaks after the index was read is quarantined, and the caller must read the index again."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response("a")], [metrics_response("b")])
    found = landed_places(landing)
    landing.segments(METRICS, DAY)[0].write_bytes(b"nonsense")
    with pytest.raises(Quarantined, match="was quarantined"):
        landing.bodies(METRICS, DAY, found)
    assert landed(landing) == ["b"]


def test_landing_rewrites_the_segments_that_change(tmp_path: Path) -> None:
    """A segment without rows is removed, and one that would be the same is left alone."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response("{}"), metrics_response("[]")], [metrics_response("[]")], [metrics_response("{}")])
    first, second, third = landing.segments(METRICS, DAY)
    written = third.stat().st_mtime_ns
    assert landing.rewrite(METRICS, DAY, without_lists) == 2
    assert landing.segments(METRICS, DAY) == [first, third]
    assert landed(landing) == ["{}", "{}"]
    assert (second.exists(), third.stat().st_mtime_ns) == (False, written)
    assert landing.rewrite(METRICS, DAY, without_lists) == 0


def test_landing_says_which_segment_cannot_be_rewritten(tmp_path: Path) -> None:
    """The segment keeps its content."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response("{}"), metrics_response("[]")])
    (segment,) = landing.segments(METRICS, DAY)
    segment.rename(segment.with_name(f"{'1' * 240}.parquet"))  # no room for the suffix of a new file
    with pytest.raises(FixStorage, match=r"111\.parquet cannot be written \(File name too long\)"):
        landing.rewrite(METRICS, DAY, without_lists)
    assert landed(landing) == ["{}", "[]"]


def without_lists(rows: pa.Table) -> pa.Table:
    """Leave out the responses with a list as their body."""
    return rows.filter(pc.not_equal(rows.column("body"), "[]"))
