"""Flattening: small responses written by hand become rows calculated by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.model import Response, Stay
from pipeline.schema import TABLES
from pipeline.tables import flatten as flatten_module
from tests.support import CALL, DAY, STAY, at
from tests.support.responses import (
    BOB,
    CLIENT,
    FIRST,
    SECOND,
    TEN,
    Day,
    attendance_page,
    call_stats_page,
    failed_response,
    metrics_response,
    nanoseconds,
    pairs,
    track,
)

# One day, written out.


def example_responses(instant: Any) -> list[Response]:
    """Return a call of 50 minutes in which ann sends audio and video, and bob listens. `instant` writes datetimes."""
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
    facts = {"is_publisher": True, "is_subscriber": True, "client": CLIENT}
    return [
        call_stats_page(stats),
        attendance_page(*stays, total=2),
        metrics_response({**facts, "published_tracks": [video, track(*pairs(32))]}, FIRST, fetched_at=at(12)),
        metrics_response(
            {**facts, "published_tracks": [track(*pairs(33, start=TEN + 1800))]}, SECOND, fetched_at=at(12, 1)
        ),
        metrics_response({"is_publisher": False, "is_subscriber": True}, FIRST, BOB, attempts=2, fetched_at=at(12, 2)),
    ]


KEY = (DAY, "default", "standup", "s1")
ANN_KEY = (*KEY, "ann", "ann-1")
EXAMPLE_WINDOWS = {STAY: [FIRST, SECOND], BOB: [FIRST]}
EXAMPLE_COUNTS = (2, 2, 1, 0, 2, 2, 1, 6000, 9, 91, 3, 40, 250, 4.5, 4)
EXAMPLE_PLACE = ("Zürich", "Zurich", "Switzerland", "CH", "Europe", 47.37, 8.54, 5000)
EXAMPLE_CLIENT = ("web", "1.8.0", "192.0.2.7", "wifi", *EXAMPLE_PLACE)


NO_STATS = [None] * 16
"""Columns from participant statistics, if there are none."""


EXAMPLE_ROWS = {
    "call_sessions": [
        (*KEY, "default:standup", at(10), at(10, 50), at(10, 52), False, *EXAMPLE_COUNTS),
    ],
    "participant_sessions": [
        (*ANN_KEY, at(10), at(10, 50), 3000, "webrtc", ["user", "host"], True, True, *EXAMPLE_CLIENT, *NO_STATS),
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
            *NO_STATS,
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
    return {name: [tuple(row.values()) for row in getattr(day, name).to_pylist()] for name in EXAMPLE_ROWS}


@pytest.mark.parametrize(
    "instant",
    [nanoseconds, lambda moment: moment.isoformat().replace("+00:00", "Z"), lambda moment: moment.isoformat()],
    ids=["nanoseconds", "rfc3339-z", "rfc3339-offset"],
)
def test_flatten_makes_every_row_of_the_worked_example(instant: Any, tmp_path: Path) -> None:
    """Every row of every table of a small day is right and in order, whichever way datetimes are written."""
    day = Day(tmp_path, *example_responses(instant), windows=EXAMPLE_WINDOWS)
    for name, expected in EXAMPLE_ROWS.items():
        assert rows(day)[name] == expected, name
        assert getattr(day, name).schema.equals(TABLES[name].schema), name
    assert day.provenance.unknown_fields == {}
    assert day.totals.to_pylist()[0]["promised"] == 2


def test_flatten_gives_the_same_rows_every_time(tmp_path: Path) -> None:
    """Flattening the same day again, or responses that came twice, gives the same rows."""
    responses = example_responses(nanoseconds)
    once = Day(tmp_path, *responses, windows=EXAMPLE_WINDOWS)
    again = Day(tmp_path, *responses, windows=EXAMPLE_WINDOWS)
    twice = Day(tmp_path, *responses, *responses, windows=EXAMPLE_WINDOWS)
    assert once.all() == again.all()
    assert once.all() == twice.all()


def test_flatten_gives_the_same_rows_for_any_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows and their order are the same stay by stay and all at once."""
    responses = [
        metrics_response(
            {"published_tracks": [track(*pairs(user, user + 1))]}, window, Stay(CALL, f"u{user}", "1"), fetched_at=when
        )
        for user in range(5)
        for window, when in ((FIRST, at(13)), (SECOND, at(12)), (FIRST, at(12)))
    ]
    whole = Day(tmp_path, *responses).all()
    monkeypatch.setattr(flatten_module, "BATCH_BYTES", 1)
    assert Day(tmp_path, *responses).all() == whole
    assert len(whole["metric_points"]) == 5 * 2


def test_flatten_makes_empty_tables_of_an_empty_day(tmp_path: Path) -> None:
    """A day without responses has tables without rows, and its windows are missing."""
    day = Day(tmp_path)
    assert {name: len(some) for name, some in day.all().items()} == dict.fromkeys(day.all(), 0)
    assert Day(tmp_path, windows={STAY: [FIRST]}).windows.column("state").to_pylist() == ["missing"]


# Later responses.


def test_flatten_keeps_points_that_a_later_response_lacks(tmp_path: Path) -> None:
    """Later responses with fewer points, without tracks, or with an error remove nothing, and newer values win."""
    day = Day(
        tmp_path,
        metrics_response(
            {"is_publisher": True, "client": CLIENT, "published_tracks": [track(*pairs(1, 2, 3))]}, fetched_at=at(12)
        ),
        metrics_response({"is_publisher": True, "published_tracks": [track([TEN + 10, 9])]}, fetched_at=at(13)),
        metrics_response({"is_publisher": False, "published_tracks": []}, fetched_at=at(14)),
        failed_response(FIRST, 404, "HTTP 404", fetched_at=at(15)),
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


def test_track_has_the_latest_codec_that_a_response_names(tmp_path: Path) -> None:
    """A point keeps the codec of its own response, and a track without points has a row too."""
    day = Day(
        tmp_path,
        metrics_response({"published_tracks": [track([TEN, 1]), track(track_id="mute")]}, fetched_at=at(12)),
        metrics_response({"published_tracks": [track([TEN + 10, 2], codec="red")]}, fetched_at=at(13)),
        metrics_response({"published_tracks": [track(codec=None)]}, fetched_at=at(14)),
    )
    assert [(row["track_id"], row["codec"], row["points"]) for row in day.tracks.to_pylist()] == [
        ("mic", "red", 2),
        ("mute", "opus", 0),
    ]
    assert day.metric_points.column("codec").to_pylist() == ["opus", "red"]
    assert day.tracks.to_pylist()[1]["first_point_at"] is None


def test_track_warnings_are_unique(tmp_path: Path) -> None:
    """A warning that came in several windows has one row, and so has one without time and code."""
    busy = {"time": nanoseconds(at(10, 5)), "code": "cpu", "warning": "busy"}
    day = Day(
        tmp_path,
        metrics_response({"published_tracks": [track(warnings=[busy, busy, {"warning": "odd"}, None])]}),
        metrics_response({"published_tracks": [track(warnings=[busy, {**busy, "code": "gpu"}])]}, SECOND),
    )
    assert [(row["time"], row["code"], row["warning"]) for row in day.track_warnings.to_pylist()] == [
        (at(10, 5), "cpu", "busy"),
        (at(10, 5), "gpu", "busy"),
        (None, None, "odd"),
    ]


# Odd responses.


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
def test_flatten_flags_points_of_another_shape_as_suspect(element: Any, tmp_path: Path) -> None:
    """No point of such a response is taken, and all points of the others are."""
    odd = metrics_response({"published_tracks": [track([TEN, 1], element)]}, FIRST)
    day = Day(
        tmp_path,
        odd,
        metrics_response({"published_tracks": [track([TEN, 2])]}, stay=BOB),
        windows={STAY: [FIRST], BOB: [FIRST]},
    )
    assert day.windows.column("state").to_pylist() == ["suspect", "landed"]
    assert day.points() == [("bob-1", "mic", "bitrate", 0, 2)]


@pytest.mark.parametrize("series", [5, [[TEN, 1]], {"data_points": {}}, {"data_points": "none"}])
def test_flatten_flags_a_series_of_another_shape_as_suspect(series: Any, tmp_path: Path) -> None:
    """A value that should be a series is not mistaken for a series without points."""
    odd = metrics_response({"published_tracks": [{"track_id": "mic", "track_type": "audio", "bitrate": series}]})
    assert Day(tmp_path, odd, windows={STAY: [FIRST]}).windows.column("state").to_pylist() == ["suspect"]


def test_flatten_ignores_nulls_in_a_series(tmp_path: Path) -> None:
    """A null in place of a pair, or a pair of nulls, is not a point and does not make the response suspect."""
    day = Day(tmp_path, metrics_response({"published_tracks": [track(None, [None, None], [TEN, None], [TEN + 10, 1])]}))
    assert [point[3:] for point in day.points()] == [(10, 1)]
    assert day.suspect == []


def test_track_without_an_id_differs_from_one_with_an_empty_id(tmp_path: Path) -> None:
    """A missing id is NULL rather than an empty text, and its points are kept."""
    day = Day(
        tmp_path, metrics_response({"published_tracks": [track([TEN, 1], track_id=None), track([TEN, 2], track_id="")]})
    )
    assert [(row["track_id"], row["points"]) for row in day.tracks.to_pylist()] == [("", 1), (None, 1)]
