"""The rows that a world should become."""

from __future__ import annotations

from datetime import date, timedelta

from pipeline.emulator import (
    CallSpec,
    ClientSpec,
    Level,
    LocationSpec,
    Points,
    Signal,
    StaySpec,
    TrackSpec,
    WarningSpec,
    World,
    expected_rows,
)
from tests.support.emulator_reader import at, small_world


def test_expected_rows_of_a_small_world_match_those_by_hand() -> None:
    """Each value of a small world is in its row and column."""
    place = LocationSpec("Oslo", "Oslo", "Norway", "NO", "Europe", 59.9, 10.7, 5)
    video = Points(
        bitrate=((at(10, 1), 500), (at(10, 2), None)),
        framerate=((at(10, 1), 29.97),),
        resolution_width=((at(10, 1), 640),),
        resolution_height=((at(10, 1), 360),),
    )
    track = TrackSpec("cam", "video", "vp8", video, warnings=(WarningSpec(at(10, 3), "low", "Low"),))
    stay = StaySpec(
        "ann", "ann-1", at(10), at(10, 5), "webrtc", ("host",),
        client=ClientSpec("web", "1", "192.0.2.1", "wifi", place), tracks=(track,), latency_ms=20, jitter_ms=3,
    )  # fmt: skip
    other = StaySpec("bob", "bob-1", at(10, 1), at(10, 2))
    call = CallSpec("default", "one", "s1", at(10), at(10, 5), (stay, other), cq_score=90)
    expected = expected_rows(World((call,)), at(12))
    ids = {"session_date": date(2026, 3, 2), "call_type": "default", "call_id": "one", "call_session_id": "s1"}
    mine = ids | {"user_id": "ann", "user_session_id": "ann-1"}
    cam = mine | {"track_id": "cam", "track_type": "video"}
    assert expected["call_sessions"] == [
        ids
        | {"call_cid": "default:one", "started_at": at(10), "ended_at": at(10, 5), "generated_at": at(10, 7)}
        | {"is_live": False, "participants": 2, "sessions": 2, "publishers": 1, "live_sessions": 0}
        | {"peak_concurrent_users": 2, "peak_concurrent_sessions": 2, "sfus_used": 1}
        | {"call_event_count": None, "cq_score": 90, "average_jitter_ms": 3, "average_latency_ms": 20}
        | {"max_freezes_duration_ms": None, "avg_user_rating": None, "min_user_rating": None}
        | {"total_participant_duration_seconds": 360}
    ]
    assert expected["participant_sessions"][0] == (
        mine
        | {"joined_at": at(10), "left_at": at(10, 5), "duration_seconds": 300, "publisher_type": "webrtc"}
        | {"roles": ["host"], "is_publisher": True, "is_subscriber": True}
        | {"client_name": "web", "client_version": "1", "client_ip": "192.0.2.1", "network_type": "wifi"}
        | {"city": "Oslo", "subdivision": "Oslo", "country": "Norway", "country_iso_code": "NO", "continent": "Europe"}
        | {"latitude": 59.9, "longitude": 10.7, "accuracy_radius_meters": 5}
        | {"sdk": "web", "sdk_version": "1", "latency_ms": 20, "jitter_ms": 3, "current_sfu": "sfu-1"}
        | dict.fromkeys(("browser", "browser_version", "os", "webrtc_version", "distance_to_sfu_kilometers"))
        | {"freezes_duration_ms": None, "cq_score": None, "published_audio": False, "published_video": True}
        | {"published_screenshare": False, "published_screenshare_audio": False}
    )
    assert [row["user_id"] for row in expected["participant_sessions"]] == ["ann", "bob"]
    minute = cam | {"codec": "vp8", "timestamp": at(10, 1)}
    assert expected["metric_points"] == [
        minute | {"metric": "bitrate", "value": 500.0},
        minute | {"metric": "framerate", "value": 29.97},
        minute | {"metric": "resolution_width", "value": 640.0},
        minute | {"metric": "resolution_height", "value": 360.0},
    ]
    assert expected["tracks"] == [
        cam | {"codec": "vp8", "first_point_at": at(10, 1), "last_point_at": at(10, 1), "points": 4}
    ]
    assert expected["track_warnings"] == [cam | {"time": at(10, 3), "code": "low", "warning": "Low"}]


def test_expected_rows_leave_out_expired_ones_unless_included() -> None:
    """90 days after the end only the call is left, but an ingester that read in time has everything."""
    world, much_later = small_world(), at(11) + timedelta(days=90)
    assert expected_rows(world, much_later - timedelta(microseconds=1))["participant_sessions"]
    expected = expected_rows(world, much_later)
    assert [len(expected[table]) for table in ("call_sessions", "participant_sessions", "metric_points")] == [1, 0, 0]
    assert len(expected_rows(world, much_later, include_expired=True)["metric_points"]) == 4


def test_expected_points_are_within_the_stay() -> None:
    """A series has no points before joining or after leaving, however long it is drawn."""
    signal = Signal((Level(1000),), step_seconds=60, offset_seconds=0)
    stay = StaySpec("ann", "ann-1", at(10), at(10, 5), tracks=(TrackSpec("mic", points=signal, until=at(10, 59)),))
    times = [row["timestamp"] for row in expected_rows(small_world(participants=(stay,)), at(12))["metric_points"]]
    assert times == [at(10, minute) for minute in range(6)]
