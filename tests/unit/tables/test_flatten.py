"""Raw answers become rows: small ones written by hand, with the rows worked out by hand; and nothing stops a day."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.landing.bodies import BodySql
from pipeline.model import Response, Stay
from pipeline.planning.listings import updated_sessions
from pipeline.schema import TABLES
from pipeline.tables import flatten as flatten_module
from pipeline.tables.provenance import fingerprint
from tests.support import CALL, DAY, STAY, at, examples
from tests.support.raw_day import (
    BOB,
    CLIENT,
    FIRST,
    SECOND,
    TEN,
    Day,
    attendance_page,
    calls_page,
    failed,
    metrics,
    nanoseconds,
    pairs,
    track,
)

KEY = (DAY, "default", "standup", "s1")


# One day, written out.


def golden(instant: Any) -> list[Response]:
    """A call of 50 minutes: ann talks and shows herself, bob listens. `instant` writes datetimes as the source does."""
    counts = {
        "participants": 2,
        "sessions": 2,
        "publishers": 1,
        "live_sessions": 0,
        "peak_concurrent_users": 2,
        "peak_concurrent_sessions": 2,
        "sfus_used": 1,
        "total_participant_duration": 6000,
        "call_event_count": 9,
        "cq_score": 91,
        "average_jitter_ms": 3,
        "average_latency_ms": 40,
        "max_freezes_duration_ms": 250,
        "avg_user_rating": 4.5,
        "min_user_rating": 4,
    }
    stats = {
        "call_type": "default",
        "call_id": "standup",
        "call_session_id": "s1",
        "call_started_at": instant(at(10)),
        "call_ended_at": instant(at(10, 50)),
        "generated_at": instant(at(10, 52)),
        "counts": counts,
    }
    stays = [
        {
            "user_id": user,
            "user_session_id": f"{user}-1",
            "joined_at": instant(at(10)),
            "left_at": instant(at(10, 50)),
            "duration_in_seconds": 3000,
            "publisher_type": "webrtc",
            "roles": ["user", "host"],
        }
        for user in ("bob", "ann")
    ]
    video = {
        "track_id": "cam",
        "track_type": "video",
        "codec": "vp8",
        "bitrate": {"data_points": pairs(900.5, None, 910)},
        "framerate": {"data_points": pairs(30, 29, 30)},
        "resolution": {"width": {"data_points": pairs(1280)}, "height": {"data_points": pairs(720)}},
        "warnings": [{"time": instant(at(10, 1)), "code": "cpu", "warning": "busy"}],
    }
    about_ann = {"is_publisher": True, "is_subscriber": True, "client": CLIENT}
    return [
        calls_page(stats),
        attendance_page(*stays, total=2),
        metrics({**about_ann, "published_tracks": [video, track(*pairs(32))]}, FIRST, fetched_at=at(12)),
        metrics({**about_ann, "published_tracks": [track(*pairs(33, start=TEN + 1800))]}, SECOND, fetched_at=at(12, 1)),
        metrics({"is_publisher": False, "is_subscriber": True}, FIRST, BOB, attempts=2, fetched_at=at(12, 2)),
    ]


ANN_KEY = (*KEY, "ann", "ann-1")
GOLDEN_WINDOWS = {STAY: [FIRST, SECOND], BOB: [FIRST]}
GOLDEN_COUNTS = (2, 2, 1, 0, 2, 2, 1, 6000, 9, 91, 3, 40, 250, 4.5, 4)
GOLDEN_PLACE = ("Zürich", "Zurich", "Switzerland", "CH", "Europe", 47.37, 8.54, 5000)
GOLDEN_CLIENT = ("web", "1.8.0", "192.0.2.7", "wifi", *GOLDEN_PLACE)
UNTOLD = [None] * 16
"""Of participant statistics, where there are none."""

GOLDEN = {
    "call_sessions": [
        (*KEY, "default:standup", at(10), at(10, 50), at(10, 52), False, *GOLDEN_COUNTS),
    ],
    "participant_sessions": [
        (*ANN_KEY, at(10), at(10, 50), 3000, "webrtc", ["user", "host"], True, True, *GOLDEN_CLIENT, *UNTOLD),
        (
            *KEY,
            "bob",
            "bob-1",
            at(10),
            at(10, 50),
            3000,
            "webrtc",
            ["user", "host"],
            False,
            True,
            *[None] * 12,
            *UNTOLD,
        ),
    ],
    "tracks": [
        (*ANN_KEY, "cam", "video", "vp8", at(10), at(10, 0, 20), 7),
        (*ANN_KEY, "mic", "audio", "opus", at(10), at(10, 30), 2),
    ],
    "metric_points": [
        (*ANN_KEY, "cam", "video", "vp8", "bitrate", at(10), 900.5),
        (*ANN_KEY, "cam", "video", "vp8", "bitrate", at(10, 0, 20), 910.0),
        (*ANN_KEY, "cam", "video", "vp8", "framerate", at(10), 30.0),
        (*ANN_KEY, "cam", "video", "vp8", "framerate", at(10, 0, 10), 29.0),
        (*ANN_KEY, "cam", "video", "vp8", "framerate", at(10, 0, 20), 30.0),
        (*ANN_KEY, "cam", "video", "vp8", "resolution_height", at(10), 720.0),
        (*ANN_KEY, "cam", "video", "vp8", "resolution_width", at(10), 1280.0),
        (*ANN_KEY, "mic", "audio", "opus", "bitrate", at(10), 32.0),
        (*ANN_KEY, "mic", "audio", "opus", "bitrate", at(10, 30), 33.0),
    ],
    "track_warnings": [(*ANN_KEY, "cam", "video", at(10, 1), "cpu", "busy")],
    "windows": [
        (*ANN_KEY, at(10), at(10, 30), "landed", 200, 1, 8, "s", at(12), None),
        (*ANN_KEY, at(10, 30), at(10, 50), "landed", 200, 1, 1, "s", at(12, 1), None),
        (*KEY, "bob", "bob-1", at(10), at(10, 30), "empty", 200, 2, 0, None, at(12, 2), None),
    ],
}


def rows(day: Day) -> dict[str, list[tuple[Any, ...]]]:
    return {name: [tuple(row.values()) for row in getattr(day, name).to_pylist()] for name in GOLDEN}


@pytest.mark.parametrize(
    "instant",
    [nanoseconds, lambda moment: moment.isoformat().replace("+00:00", "Z"), lambda moment: moment.isoformat()],
    ids=["nanoseconds", "rfc3339-z", "rfc3339-offset"],
)
def test_the_worked_example(instant: Any, tmp_path: Path) -> None:
    """Every row of every table of a small day, in order, however the source writes its datetimes."""
    day = Day(tmp_path, *golden(instant), windows=GOLDEN_WINDOWS)
    for name, expected in GOLDEN.items():
        assert rows(day)[name] == expected, name
        assert getattr(day, name).schema.equals(TABLES[name].schema), name
    assert day.provenance.unknown_fields == {}
    assert day.promised.to_pylist()[0]["promised"] == 2


def test_flattening_twice_gives_the_same(tmp_path: Path) -> None:
    """Answers that came twice, and the same day read twice, give the same rows."""
    answers = golden(nanoseconds)
    once = Day(tmp_path, *answers, windows=GOLDEN_WINDOWS)
    again = Day(tmp_path, *answers, windows=GOLDEN_WINDOWS)
    twice = Day(tmp_path, *answers, *answers, windows=GOLDEN_WINDOWS)
    assert once.all() == again.all()
    assert once.all() == twice.all()


def test_the_size_of_chunks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay by stay or all at once: the same rows in the same order."""
    answers = [
        metrics(
            {"published_tracks": [track(*pairs(user, user + 1))]}, window, Stay(CALL, f"u{user}", "1"), fetched_at=when
        )
        for user in range(5)
        for window, when in ((FIRST, at(13)), (SECOND, at(12)), (FIRST, at(12)))
    ]
    whole = Day(tmp_path, *answers).all()
    monkeypatch.setattr(flatten_module, "BATCH_BYTES", 1)
    assert Day(tmp_path, *answers).all() == whole
    assert len(whole["metric_points"]) == 5 * 2


def test_a_day_without_answers_has_empty_tables(tmp_path: Path) -> None:
    """Nothing landed, nothing to show, and no error."""
    day = Day(tmp_path)
    assert {name: len(some) for name, some in day.all().items()} == dict.fromkeys(day.all(), 0)
    assert Day(tmp_path, windows={STAY: [FIRST]}).windows.column("state").to_pylist() == ["missing"]


# Instants.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1793527200123456789, at(10, 0, 0.123456)),
        ("2026-11-01T10:00:00.123456789Z", at(10, 0, 0.123456)),
        ("2026-11-01T12:00:00.5+02:00", at(10, 0, 0.5)),
        (1793527200123456999, at(10, 0, 0.123456)),
        (1793527200123456, at(10, 0, 0.123456)),
        (1793527200123, at(10, 0, 0.123)),
        (1793527200, at(10)),
        (1793527200.25, at(10, 0, 0.25)),
        ("1793527200123456789", at(10, 0, 0.123456)),
        (None, None),
        ("", None),
        ("soon", None),
        (1e300, None),
        (0, None),
        ("0001-01-01T00:00:00Z", None),
        ("99999-01-01T00:00:00Z", None),
        (-90000000000, None),
        ({}, None),
    ],
)
def test_instants_are_read_exactly_however_they_are_written(
    given: Any, expected: datetime | None, tmp_path: Path
) -> None:
    """Nanoseconds beyond 2^53 lose nothing down to the microsecond; what is no instant is NULL and stops nothing."""
    row = {"user_id": "ann", "user_session_id": "ann-1", "joined_at": given, "left_at": nanoseconds(at(11))}
    (stay,) = Day(tmp_path, attendance_page(row)).attended.to_pylist()
    assert (stay["joined_at"], stay["left_at"]) == (expected, at(11))


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=30))
@examples(20)
def test_nanoseconds_and_rfc_3339_say_the_same(offsets: list[int]) -> None:
    """To the microsecond, for any instant."""
    moments = [at(0) + timedelta(microseconds=offset) for offset in offsets]
    texts = [[str(form(moment)) for moment in moments] for form in (nanoseconds, lambda moment: moment.isoformat())]
    with BodySql() as sql:
        read = [sql.query("SELECT instant(text) AS at FROM texts", texts=pa.table({"text": some})) for some in texts]
    assert [table.column("at").to_pylist() for table in read] == [moments, moments]


def test_a_call_belongs_to_the_utc_day_on_which_it_started(tmp_path: Path) -> None:
    """One that says it started on another day is left to that day."""
    ids = {"call_type": "default", "call_session_id": "s"}
    starts = {"a": at(0), "b": at(23, 59, 59.999999), "c": at(24), "d": at(-1), "e": None}
    page = calls_page(
        *({**ids, "call_id": name, "call_started_at": start and start.isoformat()} for name, start in starts.items())
    )
    day = Day(tmp_path, page)
    assert [row["call_id"] for row in day.call_sessions.to_pylist()] == ["a", "b", "e"]
    assert day.of_other_days == 2


# Later answers.


def test_the_latest_value_that_is_one_wins(tmp_path: Path) -> None:
    """Column by column; what a later answer leaves out is not taken back, and a session that vanishes stays."""
    ids = {
        "call_type": "default",
        "call_id": "standup",
        "call_session_id": "s1",
        "call_started_at": nanoseconds(at(10)),
    }
    other = ids | {"call_id": "other"}
    day = Day(
        tmp_path,
        calls_page(ids | {"counts": {"cq_score": 80, "sessions": 2}}, other, fetched_at=at(12)),
        calls_page(ids | {"call_ended_at": nanoseconds(at(11)), "counts": {"sessions": 3}}, fetched_at=at(14)),
        calls_page(ids | {"counts": {"cq_score": None, "sessions": 1}}, fetched_at=at(13)),  # landed late, is older
        calls_page(fetched_at=at(15)),
    )
    listed = {row["call_id"]: row for row in day.call_sessions.to_pylist()}
    assert set(listed) == {"other", "standup"}
    call = listed["standup"]
    assert (call["cq_score"], call["sessions"], call["ended_at"], call["is_live"]) == (80, 3, at(11), False)
    assert listed["other"]["is_live"]


def test_an_emptied_list_of_participants_takes_nobody_away(tmp_path: Path) -> None:
    """The source forgets; the totals that it keeps are the most it ever said."""
    ann = {"user_id": "ann", "user_session_id": "ann-1", "joined_at": nanoseconds(at(10)), "roles": ["host"]}
    day = Day(
        tmp_path,
        attendance_page(ann, total=3, fetched_at=at(12)),
        attendance_page(ann | {"left_at": nanoseconds(at(11)), "roles": None}, total=2, fetched_at=at(13)),
        attendance_page(total=1, fetched_at=at(14)),
    )
    (stay,) = day.attended.to_pylist()
    assert (stay["joined_at"], stay["left_at"], stay["roles"]) == (at(10), at(11), ["host"])
    assert day.promised.to_pylist()[0]["promised"] == 3


def test_an_emptied_answer_takes_no_points_away(tmp_path: Path) -> None:
    """Later answers with fewer points, without tracks, or failures leave what there was; newer values win."""
    day = Day(
        tmp_path,
        metrics(
            {"is_publisher": True, "client": CLIENT, "published_tracks": [track(*pairs(1, 2, 3))]}, fetched_at=at(12)
        ),
        metrics({"is_publisher": True, "published_tracks": [track([TEN + 10, 9])]}, fetched_at=at(13)),
        metrics({"is_publisher": False, "published_tracks": []}, fetched_at=at(14)),
        failed(FIRST, 404, "HTTP 404", fetched_at=at(15)),
        attendance_page({"user_id": "ann", "user_session_id": "ann-1"}),
        windows={STAY: [FIRST]},
    )
    assert [point[3:] for point in day.points()] == [(0, 1), (10, 9), (20, 3)]
    (stay,) = day.participant_sessions.to_pylist()
    assert (stay["is_publisher"], stay["city"]) == (True, "Zürich")
    (window,) = day.windows.to_pylist()
    assert (window["state"], window["points"], window["http_status"]) == ("landed", 3, 200)
    assert (window["fetched_at"], window["error"]) == (at(14), "HTTP 404")
    (described,) = day.tracks.to_pylist()
    assert described["points"] == 3


def test_a_track_has_the_latest_codec_that_is_named(tmp_path: Path) -> None:
    """Its points keep the codec of the answer that gave them; a track without points is a track."""
    day = Day(
        tmp_path,
        metrics({"published_tracks": [track([TEN, 1]), track(track_id="mute")]}, fetched_at=at(12)),
        metrics({"published_tracks": [track([TEN + 10, 2], codec="red")]}, fetched_at=at(13)),
        metrics({"published_tracks": [track(codec=None)]}, fetched_at=at(14)),
    )
    assert [(row["track_id"], row["codec"], row["points"]) for row in day.tracks.to_pylist()] == [
        ("mic", "red", 2),
        ("mute", "opus", 0),
    ]
    assert day.metric_points.column("codec").to_pylist() == ["opus", "red"]
    assert day.tracks.to_pylist()[1]["first_point_at"] is None


def test_warnings_are_told_once(tmp_path: Path) -> None:
    """The same one in several windows is one row; one without time or code is one too."""
    busy = {"time": nanoseconds(at(10, 5)), "code": "cpu", "warning": "busy"}
    day = Day(
        tmp_path,
        metrics({"published_tracks": [track(warnings=[busy, busy, {"warning": "odd"}, None])]}),
        metrics({"published_tracks": [track(warnings=[busy, {**busy, "code": "gpu"}])]}, SECOND),
    )
    assert [(row["time"], row["code"], row["warning"]) for row in day.track_warnings.to_pylist()] == [
        (at(10, 5), "cpu", "busy"),
        (at(10, 5), "gpu", "busy"),
        (None, None, "odd"),
    ]


# States of windows.


@pytest.mark.parametrize(
    ("answers", "state", "status", "error"),
    [
        ([], "missing", None, None),
        ([metrics({"published_tracks": [track([TEN, 1])]})], "landed", 200, None),
        ([metrics({"published_tracks": [track([TEN, None])]})], "empty", 200, None),
        ([metrics({})], "empty", 200, None),
        ([failed(FIRST, 404, "HTTP 404")], "gone", 404, "HTTP 404"),
        ([failed(FIRST, 500, "HTTP 500")], "failed", 500, "HTTP 500"),
        ([failed(FIRST, None, "no answer in time")], "failed", None, "no answer in time"),
        (
            [metrics({"published_tracks": [track([TEN - 86_400, 1])]})],
            "suspect",
            200,
            "timestamps are outside the window or cannot be read",
        ),
        ([failed(FIRST, 404, "HTTP 404"), failed(FIRST, 500, "HTTP 500", fetched_at=at(13))], "gone", 404, "HTTP 500"),
        ([failed(FIRST, 500, "HTTP 500"), metrics({}, fetched_at=at(13))], "empty", 200, None),
    ],
)
def test_a_window_has_the_state_that_its_answers_leave_it_in(
    answers: list[Response], state: str, status: int | None, error: str | None, tmp_path: Path
) -> None:
    """An answer goes before a 404, a 404 before a failure; what went wrong last is told in any case."""
    (window,) = Day(tmp_path, *answers, windows={STAY: [FIRST]}).windows.to_pylist()
    assert (window["state"], window["http_status"], window["error"]) == (state, status, error)


def test_answers_for_windows_that_should_not_exist_are_no_rows(tmp_path: Path) -> None:
    """Their points are kept all the same."""
    day = Day(tmp_path, metrics({"published_tracks": [track([TEN + 1800, 5])]}, SECOND), windows={STAY: [FIRST]})
    assert day.windows.column("state").to_pylist() == ["missing"]
    assert len(day.points()) == 1


# Odd answers.


def test_fields_that_are_new_are_counted(tmp_path: Path) -> None:
    """By name, once an answer; the fields we know are read all the same."""
    new = {
        "published_tracks": [track([TEN, 1], jitter={"data_points": []}), track(track_id="b", jitter=1)],
        "client": {**CLIENT, "os": "linux"},
        "region": "eu",
        "é": 1e400,
    }
    day = Day(tmp_path, metrics(json.dumps(new).replace("Infinity", "1e400")), metrics({"region": None}, SECOND))
    assert day.provenance.unknown_fields == {"published_tracks[].jitter": 1, "client.os": 1, "region": 2, "é": 1}
    assert len(day.points()) == 1


@pytest.mark.parametrize(
    "element",
    [
        [TEN, 1, 2],
        [TEN],
        [],
        ["soon", 1],
        ["2026-11-01T10:00:00Z", 1],
        {"time": TEN, "value": 1},
        TEN,
        "x",
        [[TEN], 1],
        [TEN, "fast"],
        [TEN, [1]],
        [TEN, {"value": 1}],
        [TEN, 10**400],
        [10**400, 1],
        [TEN, "inf"],
        [TEN, "-Infinity"],
    ],
)
def test_points_of_another_shape_make_a_window_suspect(element: Any, tmp_path: Path) -> None:
    """Nothing is taken from that answer, everything from the others."""
    odd = metrics({"published_tracks": [track([TEN, 1], element)]}, windows := FIRST)
    day = Day(
        tmp_path,
        odd,
        metrics({"published_tracks": [track([TEN, 2])]}, stay=BOB),
        windows={STAY: [windows], BOB: [FIRST]},
    )
    assert day.windows.column("state").to_pylist() == ["suspect", "landed"]
    assert day.points() == [("bob-1", "mic", "bitrate", 0, 2)]


@pytest.mark.parametrize("series", [5, [[TEN, 1]], {"data_points": {}}, {"data_points": "none"}])
def test_a_series_of_another_shape_makes_a_window_suspect(series: Any, tmp_path: Path) -> None:
    """What should be a series and is none is not taken for one without points."""
    odd = metrics({"published_tracks": [{"track_id": "mic", "track_type": "audio", "bitrate": series}]})
    assert Day(tmp_path, odd, windows={STAY: [FIRST]}).windows.column("state").to_pylist() == ["suspect"]


def test_nulls_in_a_series_are_no_points(tmp_path: Path) -> None:
    """Neither a null in the place of a pair nor a pair of nulls is anything to worry about."""
    day = Day(tmp_path, metrics({"published_tracks": [track(None, [None, None], [TEN, None], [TEN + 10, 1])]}))
    assert [point[3:] for point in day.points()] == [(10, 1)]
    assert day.suspect == []


def test_tracks_without_ids_are_told_apart_from_named_ones(tmp_path: Path) -> None:
    """A missing id is NULL, not an empty text, and has its points."""
    day = Day(tmp_path, metrics({"published_tracks": [track([TEN, 1], track_id=None), track([TEN, 2], track_id="")]}))
    assert [(row["track_id"], row["points"]) for row in day.tracks.to_pylist()] == [("", 1), (None, 1)]


# What a table is made from.


CHANGE_EACH = """
import pathlib, sys
from pipeline import sql
from pipeline.landing import bodies
from pipeline.tables import provenance
root = pathlib.Path(sys.argv[1]) / "pipeline"
assert pathlib.Path(sql.__file__).is_relative_to(sys.argv[1])
seen = [provenance.fingerprint()]
def change(path, text):
    path.write_text(path.read_text() + text)
    sql.load.cache_clear()
    bodies.macros.cache_clear()
    provenance.rules.cache_clear()
    seen.append(provenance.fingerprint())
paths = sorted(path for room in ("landing", "planning", "tables") for path in (root / room / "sql").glob("*.sql"))
for path in paths:
    change(path, " + another rule")
assert len(set(seen)) == len(seen) > 10, seen
last = seen[-1]
for path in paths:
    change(path, "-- another comment" + chr(10))
assert set(seen[-len(paths):]) == {last}
"""


def test_a_fingerprint_tells_whether_the_rules_changed(tmp_path: Path) -> None:
    """Each statement that makes rows is part of it, so that tables follow; no number has to be remembered."""
    shutil.copytree(Path(flatten_module.__file__).parents[1], tmp_path / "pipeline")
    command = [sys.executable, "-c", CHANGE_EACH, str(tmp_path)]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)


def test_a_fingerprint_tells_whether_anything_changed() -> None:
    """Equal parts give equal ones, however a table is chunked; any difference shows."""
    table = pa.table({"a": [1, 2, 3]})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    mark = fingerprint(DAY, ["s1", "s2"], table)
    assert mark == fingerprint(date(2026, 11, 1), ["s1", "s2"], chunked)
    others = [
        fingerprint(date(2026, 11, 2), ["s1", "s2"], table),
        fingerprint(DAY, ["s1"], table),
        fingerprint(DAY, ["s1", "s2"], table.slice(1)),
        fingerprint(DAY, ["s1", "s2"], table.rename_columns(["b"])),
        fingerprint(DAY, ["s1", "s2"]),
    ]
    assert len({mark, *others}) == 6


def test_news_tell_what_changed(tmp_path: Path) -> None:
    """By day and call session, a version that differs where anything the source says does."""
    call = {"call_type": "default", "call_id": "a", "call_session_id": "s", "call_started_at": nanoseconds(at(10))}

    def versions(*pages: dict[str, Any]) -> list[tuple[date, str]]:
        updates = updated_sessions([json.dumps(page) for page in pages]).to_pylist()
        return [(row["session_date"], row["version"]) for row in updates]

    before = versions({"call_stats": [call]})
    assert [day for day, _ in before] == [DAY]
    assert versions({"call_stats": [call]}, {"call_stats": [call]}) == before
    assert versions({"call_stats": [{**call, "counts": {"sessions": 2}}]}) != before
    tomorrow = {**call, "call_started_at": nanoseconds(at(24))}
    assert [day for day, _ in versions({"call_stats": [tomorrow, call, {}]})] == [DAY, DAY + timedelta(days=1)]
    assert versions() == []
