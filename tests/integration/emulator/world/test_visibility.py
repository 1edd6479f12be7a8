"""What the source shows of a world over time: live calls, reports, late data, expiry."""

from __future__ import annotations

from datetime import timedelta

from pipeline.emulator import Emulator, ManualClock, Points, StaySpec, TrackSpec
from tests.support.emulator_reader import (
    SMALL,
    SMALL_STAY,
    Reader,
    assert_refused,
    at,
    instant,
    points,
    small_world,
    text,
)


def test_live_call_follows_the_clock() -> None:
    """A call appears when it starts, grows while it is live, and is complete with its report."""
    clock = ManualClock(at(9, 59, 59))
    with Emulator(small_world(), clock=clock) as emulator, Reader(emulator) as reader:
        assert reader.all_calls() == []
        assert_refused(reader.attendance(SMALL), 404, 16)
        clock.now = at(10, 15, 30)
        (row,) = reader.all_calls({"is_active": True})
        assert "call_ended_at" not in row
        assert instant(row["generated_at"]) == at(10, 15)
        assert row["counts"]["live_sessions"] == 1
        (stay,) = reader.all_attendance(SMALL)
        assert "left_at" not in stay
        assert [value for *_, value in points(reader.window(SMALL_STAY, at(10), at(10, 30)).json())] == [1, 2]
        clock.now = at(11, 1)
        (row,) = reader.all_calls({"is_active": False})
        assert (instant(row["call_ended_at"]), instant(row["generated_at"])) == (at(11), at(11))
        clock.now = at(11, 2)
        (row,) = reader.all_calls({"updated_at": {"$gte": text(at(11, 2))}})
        assert instant(row["generated_at"]) == at(11, 2)
        (stay,) = reader.all_attendance(SMALL)
        assert (instant(stay["left_at"]), stay["duration_in_seconds"]) == (at(11), 3600)


def test_live_call_points_may_lag_behind() -> None:
    """A point newer than the lag is missing, and appears later."""
    clock = ManualClock(at(10, 20, 30))
    with Emulator(small_world(live_lag=timedelta(minutes=1)), clock=clock) as emulator, Reader(emulator) as reader:
        assert [value for *_, value in points(reader.window(SMALL_STAY, at(10), at(10, 30)).json())] == [1, 2]
        clock.advance(timedelta(seconds=30))
        assert [value for *_, value in points(reader.window(SMALL_STAY, at(10), at(10, 30)).json())] == [1, 2, 3]


def test_live_call_lists_a_track_once_it_has_visible_data() -> None:
    """The participant is a publisher already; the track follows with its first visible instant."""
    stay = StaySpec("ann", "ann-1", at(10), at(11), tracks=(TrackSpec("cam", since=at(10, 20)),))
    clock = ManualClock(at(10, 20, 30))
    world = small_world(participants=(stay,), live_lag=timedelta(minutes=1))
    with Emulator(world, clock=clock) as emulator, Reader(emulator) as reader:
        for listed in (0, 1):
            document = reader.window(SMALL_STAY, at(10), at(10, 30)).json()
            assert (document["is_publisher"], len(document["published_tracks"])) == (True, listed)
            assert len(emulator.expected_rows()["tracks"]) == listed
            clock.advance(timedelta(seconds=30))


def test_second_report_adds_late_data() -> None:
    """Participants, tracks and points scripted for it are hidden until then."""
    points_ = Points.every(600, at(10), bitrate=(1, 2, 3, 4))
    stays = (
        StaySpec(
            "ann", "ann-1", at(10), at(11), tracks=(TrackSpec("mic", "audio", "opus", points_, late_from=at(10, 20)),)
        ),
        StaySpec("bob", "bob-1", at(10), at(11), report=1),
        StaySpec("eve", "eve-1", at(10), at(11), tracks=(TrackSpec("cam", report=1),)),
    )
    reports = (timedelta(minutes=2), timedelta(hours=5))
    clock = ManualClock(at(15))
    with (
        Emulator(small_world(participants=stays, reports=reports), clock=clock) as emulator,
        Reader(emulator) as reader,
    ):
        seen = []
        for _ in range(2):
            (row,) = reader.all_calls()
            eve = reader.window((*SMALL, "eve", "eve-1"), at(10), at(10, 30)).json()
            values = [value for *_, value in points(reader.window(SMALL_STAY, at(10), at(10, 30)).json())]
            users = [stay["user_id"] for stay in reader.all_attendance(SMALL)]
            seen.append((instant(row["generated_at"]), users, values, eve["is_publisher"], row["counts"]["publishers"]))
            clock.advance(timedelta(hours=2))
    assert seen == [
        (at(11, 2), ["ann", "eve"], [1, 2], False, 1),
        (at(16), ["ann", "bob", "eve"], [1, 2, 3, 4], True, 2),
    ]


def test_attendance_expires_after_ninety_days_but_its_totals_stay() -> None:
    """An empty list then does not mean that there were no participants."""
    clock = ManualClock(at(11) + timedelta(days=90) - timedelta(seconds=1))
    with Emulator(small_world(), clock=clock) as emulator, Reader(emulator) as reader:
        assert len(reader.attendance(SMALL).json()["participants_sessions"]) == 1
        clock.advance(timedelta(seconds=1))
        page = reader.attendance(SMALL).json()
        assert (page["participants_sessions"], page["total_participant_sessions"]) == ([], 1)
        assert page["total_participant_duration"] == 3600
        assert reader.stats(SMALL).json()["participants"] == []
        assert len(reader.all_calls()) == 1
