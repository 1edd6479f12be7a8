"""Reading everything that the emulator serves gives the rows that it expects."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from pipeline.emulator import (
    CallSpec,
    ClientSpec,
    Emulator,
    Level,
    LocationSpec,
    ManualClock,
    Points,
    Signal,
    StaySpec,
    TrackSpec,
    WarningSpec,
    WireFormat,
    World,
    expected_rows,
    odd_world,
)
from tests.integration.emulator.emulator_reader import DAY, SMALL_STAY, Reader, at, instant, points, small_world

LATER = ManualClock(DAY + timedelta(days=4))


def read_all(reader: Reader, now: datetime) -> dict[str, list[Any]]:
    """Return every row that the emulator serves, as tuples to compare with the expected ones."""
    rows: dict[str, list[Any]] = {name: [] for name in ("calls", "stays", "points", "tracks", "warnings")}
    for call in reader.all_calls(limit=100):
        ids = (call["call_type"], call["call_id"], call["call_session_id"])
        started = instant(call["call_started_at"])
        ended = instant(call["call_ended_at"]) if "call_ended_at" in call else None
        counts = call["counts"]
        rows["calls"].append(
            (*ids, started, ended, instant(call["generated_at"]), counts["sessions"], counts["publishers"])
        )
        for stay in reader.all_attendance(ids, limit=100):
            joined, left = (instant(stay[key]) if key in stay else None for key in ("joined_at", "left_at"))
            names = (*ids, stay["user_id"], stay["user_session_id"])
            documents = list(reader.windows(names, joined or started, left or ended or now))
            client = documents[-1].get("client", {})
            place = client.get("location", {})
            facts = (joined, left, stay.get("duration_in_seconds"), documents[-1].get("is_publisher"))
            rows["stays"].append((*names, *facts, client.get("name"), client.get("network_type"), place.get("city")))
            found = {point for document in documents for point in points(document)}
            rows["points"] += [(*names, *point) for point in found]
            tracks = [track for document in documents for track in document["published_tracks"]]
            codecs = {(track["track_id"], track["track_type"]): track.get("codec") for track in tracks}
            for key, codec in codecs.items():
                times = [time for *ids_, _, time, _ in found if tuple(ids_) == key]
                rows["tracks"].append((*names, *key, codec, min(times, default=None), len(times)))
            given = {
                (
                    *names,
                    track["track_id"],
                    track["track_type"],
                    warning.get("time"),
                    warning["code"],
                    warning["warning"],
                )
                for track in tracks
                for warning in track.get("warnings", [])
            }
            rows["warnings"] += given
    return rows


def as_read(expected: dict[str, list[dict[str, Any]]]) -> dict[str, list[Any]]:
    """Return the expected rows in the shape of `read_all`."""
    names = ("call_type", "call_id", "call_session_id", "user_id", "user_session_id", "track_id", "track_type")

    def pick(row: dict[str, Any], ids: int, *columns: str) -> tuple[Any, ...]:
        return tuple(row[name] for name in (*names[:ids], *columns))

    stay_facts = ("joined_at", "left_at", "duration_seconds", "is_publisher", "client_name", "network_type", "city")
    call_facts = ("started_at", "ended_at", "generated_at", "sessions", "publishers")
    return {
        "calls": [pick(row, 3, *call_facts) for row in expected["call_sessions"]],
        "stays": [pick(row, 5, *stay_facts) for row in expected["participant_sessions"]],
        "points": [
            (*pick(row, 7, "metric"), row["timestamp"].timestamp(), row["value"]) for row in expected["metric_points"]
        ],
        "tracks": [
            (*pick(row, 7, "codec"), row["first_point_at"].timestamp() if row["points"] else None, row["points"])
            for row in expected["tracks"]
        ],
        "warnings": [
            (*pick(row, 7), int(row["time"].timestamp()) * 10**9 if row["time"] else None, row["code"], row["warning"])
            for row in expected["track_warnings"]
        ],
    }


def test_reading_all_of_the_odd_world_gives_the_expected_rows() -> None:
    """Every call, stay, track, point and warning can be read, and nothing else."""
    world = odd_world(DAY.date(), days=1, scale=0.05)
    clock = ManualClock(at(36))
    with Emulator(world, clock=clock) as emulator, Reader(emulator) as reader:
        read = read_all(reader, clock())
        wanted = as_read(emulator.expected_rows())
    for table in wanted:
        assert sorted(read[table], key=repr) == sorted(wanted[table], key=repr), table
    assert len(wanted["points"]) > 5_000


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


def test_expected_rows_truncate_times_as_the_unit_does() -> None:
    """An emulator that serves whole seconds cannot give milliseconds."""
    stay = StaySpec(
        "ann", "ann-1", at(10), at(11), tracks=(TrackSpec("mic", points=Points(bitrate=((at(10, 0, 1.25), 7),))),)
    )
    world = small_world(participants=(stay,))
    for unit, wanted in (("s", at(10, 0, 1)), ("ms", at(10, 0, 1.25))):
        with Emulator(world, clock=LATER, wire=WireFormat(unit=unit)) as emulator, Reader(emulator) as reader:
            assert [row["timestamp"] for row in emulator.expected_rows()["metric_points"]] == [wanted]
            sent = [point[3] for point in points(reader.window(SMALL_STAY, at(10), at(10, 30)).json())]
            assert sent == [wanted.timestamp() * (1000 if unit == "ms" else 1)]


def test_expected_points_are_within_the_stay() -> None:
    """A series has no points before joining or after leaving, however long it is drawn."""
    signal = Signal((Level(1000),), step_seconds=60, offset_seconds=0)
    stay = StaySpec("ann", "ann-1", at(10), at(10, 5), tracks=(TrackSpec("mic", points=signal, until=at(10, 59)),))
    times = [row["timestamp"] for row in expected_rows(small_world(participants=(stay,)), at(12))["metric_points"]]
    assert times == [at(10, minute) for minute in range(6)]
