"""Reading everything that the emulator serves gives the rows that it expects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipeline.emulator import Emulator, ManualClock, Points, StaySpec, TrackSpec, WireFormat, odd_world
from tests.support.emulator_reader import DAY, LATER, SMALL_STAY, Reader, at, instant, points, small_world


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
