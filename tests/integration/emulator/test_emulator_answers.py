"""The documents of the endpoints, which are those of the specification."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from pipeline.emulator import (
    CallSpec,
    Emulator,
    Fault,
    ManualClock,
    Points,
    StaySpec,
    TrackSpec,
    WarningSpec,
    WireFormat,
    World,
    expected_rows,
    odd_world,
    uniform_world,
)
from pipeline.emulator.world.odd import ODD_IDS
from tests.integration.emulator.emulator_reader import (
    DAY,
    SMALL,
    SMALL_STAY,
    Reader,
    assert_refused,
    at,
    compact,
    instant,
    points,
    session_path,
    small_world,
    text,
)

LATER = ManualClock(DAY + timedelta(days=4))


def calls(count: int, people: int = 0) -> World:
    """Return calls a minute apart, each a minute long."""
    stays = tuple(StaySpec(f"u{n:03d}", f"us{n:03d}", at(8), at(8, 1)) for n in range(people))
    return World(
        tuple(CallSpec("default", f"c{n % 7}", f"s{n:03d}", at(8, n), at(8, n + 1), stays) for n in range(count))
    )


@pytest.mark.parametrize("field", ["session_started_at", "session_ended_at", "generated_at", "updated_at"])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("with_cid", [True, False])
def test_call_stats_pages_contain_every_call_once_in_order(field: str, direction: int, with_cid: bool) -> None:
    """205 calls fill three pages, forward and backward, without gaps or repetitions."""
    sort = [{"field": field, "direction": direction}, *([{"field": "call_cid", "direction": -1}] if with_cid else [])]
    with Emulator(calls(205), clock=LATER) as emulator, Reader(emulator) as reader:
        first = reader.calls(sort=sort, limit=100)
        assert first.status_code == 201
        pages = [first.json()]
        while "next" in pages[-1]:
            pages.append(reader.calls(sort=sort, limit=100, next=pages[-1]["next"]).json())
        back = reader.calls(sort=sort, limit=100, prev=pages[-1]["prev"]).json()
    assert [len(page["call_stats"]) for page in pages] == [100, 100, 5]
    assert "prev" not in pages[0]
    assert back["call_stats"] == pages[1]["call_stats"]
    order = [row["call_started_at"] for page in pages for row in page["call_stats"]]
    assert order == sorted(set(order), reverse=direction < 0)
    assert len(order) == 205


def test_call_stats_sort_breaks_ties_by_call_cid() -> None:
    """Calls with the same time are in the order of their ids, in the requested direction."""
    world = World(tuple(CallSpec("default", name, name, at(8), at(9)) for name in ("b", "c", "a")))
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:
        for direction, wanted in ((1, ["a", "b", "c"]), (-1, ["c", "b", "a"])):
            sort = [{"field": "generated_at", "direction": 1}, {"field": "call_cid", "direction": direction}]
            assert [row["call_id"] for row in reader.all_calls(sort=sort)] == wanted


@pytest.mark.parametrize(
    ("filter_", "wanted"),
    [
        ({"session_started_at": {"$gte": text(at(8, 2)), "$lt": text(at(8, 4))}}, ["s002", "s003"]),
        ({"session_started_at": {"$gt": text(at(8, 2)), "$lte": text(at(8, 4))}}, ["s003", "s004"]),
        ({"session_ended_at": {"$eq": "2026-03-02T09:03:00+01:00"}}, ["s002"]),
        ({"generated_at": {"$gte": text(at(8, 7))}}, ["s004", "s005"]),
        ({"updated_at": {"$lt": text(at(8, 4))}}, ["s000"]),
        ({"call_cid": "default:c3"}, ["s003"]),
        ({"call_session_id": {"$eq": "s005"}}, ["s005"]),
        ({"is_active": False, "call_cid": {"$eq": "default:c1"}}, ["s001"]),
        ({"is_active": {"$eq": True}}, []),
        ({"counts.cq_score": {"$gte": 1}}, []),
    ],
)
def test_call_stats_filters_select_calls(filter_: dict[str, Any], wanted: list[str]) -> None:
    """Every documented filter compares as its operator says, and all conditions must hold."""
    with Emulator(calls(6), clock=LATER) as emulator, Reader(emulator) as reader:
        rows = reader.all_calls(filter_, sort=[{"field": "session_started_at"}])
    assert [row["call_session_id"] for row in rows] == wanted


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 101},
        {"limit": -1},
        {"limit": "many"},
        {"next": "not-a-cursor"},
        {"next": "W10", "prev": "W10"},
        {"sort": [{"field": "call_cid"}]},
        {"sort": [{"field": "generated_at"}, {"field": "updated_at"}]},
        {"sort": [{"field": "generated_at", "direction": 2}]},
        {"sort": [{"field": "generated_at"}, {"field": "call_cid"}, {"field": "call_cid"}]},
        {"filter_conditions": {"color": "red"}},
        {"filter_conditions": {"call_cid": {"$gt": "a"}}},
        {"filter_conditions": {"call_cid": 5}},
        {"filter_conditions": {"is_active": "yes"}},
        {"filter_conditions": {"session_started_at": {"$gte": "2026-03-02"}}},
        {"filter_conditions": {"session_started_at": {"$gte": "2026-03-02T08:00:00"}}},
        {"filter_conditions": {"session_started_at": {"$gte": 1772438400}}},
        {"filter_conditions": ["call_cid"]},
    ],
)
def test_call_stats_refuses_wrong_parameters(body: dict[str, Any]) -> None:
    """A wrong limit, cursor, order or filter is a 400 with code 4."""
    with Emulator(calls(3), clock=LATER) as emulator, Reader(emulator) as reader:
        assert_refused(reader.client.post("/api/v2/video/call_stats", json=body), 400, 4)


def test_call_stats_refuses_a_cursor_of_another_order() -> None:
    """A cursor is valid for one order only."""
    with Emulator(calls(3), clock=LATER) as emulator, Reader(emulator) as reader:
        cursor = reader.calls(limit=1, sort=[{"field": "generated_at"}]).json()["next"]
        assert_refused(reader.calls(limit=1, sort=[{"field": "updated_at"}], next=cursor), 400, 4)


def test_call_stats_refuses_a_body_that_is_not_an_object() -> None:
    """Broken JSON is a client error and not a server error."""
    with Emulator(calls(1), clock=LATER) as emulator, Reader(emulator) as reader:
        assert_refused(reader.client.post("/api/v2/video/call_stats", content=b"{"), 400, 4)


def test_attendance_pages_and_filters_the_list_but_not_the_totals() -> None:
    """203 participants fill three pages; the totals are those of all of them, whatever the filter."""
    ids = ("default", "c0", "s000")
    with Emulator(calls(1, people=203), clock=LATER) as emulator, Reader(emulator) as reader:
        everyone = reader.all_attendance(ids, limit=100)
        assert len({row["user_session_id"] for row in everyone}) == len(everyone) == 203
        assert emulator.count("participant_sessions") == 3
        page = reader.attendance(ids, filter_conditions=compact({"user_id": {"$in": ["u001", "u002"]}})).json()
        assert_refused(reader.attendance(ids, filter_conditions='{"joined_at": 1}'), 400, 4)
        assert_refused(reader.attendance(ids, filter_conditions="{"), 400, 4)
    assert [row["user_id"] for row in page["participants_sessions"]] == ["u001", "u002"]
    assert (page["total_participant_sessions"], page["total_participant_duration"]) == (203, 203 * 60)


def test_paths_carry_ids_with_any_characters() -> None:
    """Slashes, question marks, quotes, dots and letters of any script reach the right participant."""
    world = odd_world(DAY.date(), days=1, scale=0)
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:
        for place, odd in enumerate(ODD_IDS):
            ids = ("def.ault_-1", odd, f"{odd}@0")
            (row,) = reader.attendance(ids).json()["participants_sessions"]
            assert (row["user_id"], row["user_session_id"]) == (odd, f"{odd}|{place}")
            document = reader.window((*ids, odd, row["user_session_id"]), at(14, place), at(14, place + 3)).json()
            assert list(points(document)) == [
                (odd, odd, "bitrate", at(14, place + minute).timestamp(), place + minute + 1) for minute in (0, 1)
            ]
        logged = [request.ids for request in emulator.requests if request.endpoint == "participant_metrics"]
    assert [ids["user_id"] for ids in logged] == list(ODD_IDS)


def test_paths_with_an_unencoded_slash_are_not_found() -> None:
    """A client that does not encode an id gets a 404, and so does a wrong method."""
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        assert_refused(reader.client.get("/api/v2/video/call/default/o/ne/session/s1/participant_sessions"), 404, 16)
        assert_refused(reader.client.post(f"{session_path(SMALL)}/participant_sessions"), 404, 16)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (at(10), at(10, 30, 0.000001)),
        (at(10), at(10)),
        (at(10, 1), at(10)),
        ("2026-03-02 10:00:00", text(at(10, 30))),
        ("1772445600", "1772447400"),
        (text(at(10)), "yesterday"),
    ],
)
def test_metrics_refuses_wide_empty_or_unreadable_windows(since: Any, until: Any) -> None:
    """A window of more than 30 minutes, without length or not in RFC 3339 is a 400 with code 4."""
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        assert_refused(reader.window(SMALL_STAY, since, until), 400, 4)


def test_metrics_accepts_a_window_of_exactly_thirty_minutes() -> None:
    """Thirty minutes is the widest window."""
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        document = reader.window(SMALL_STAY, at(10), at(10, 30)).json()
    assert [value for *_, value in points(document)] == [1, 2, 3, 4]


def test_metrics_without_bounds_return_the_last_minute() -> None:
    """A request without a window gets the minute before now."""
    with Emulator(small_world(), clock=ManualClock(at(10, 20, 30))) as emulator, Reader(emulator) as reader:
        assert [value for *_, value in points(reader.window(SMALL_STAY).json())] == [3]


def test_metrics_include_the_end_of_a_window_if_configured() -> None:
    """The documentation leaves it open, so both can be served; the start always belongs to the window."""
    for inclusive, wanted in ((True, [2, 3]), (False, [2])):
        with (
            Emulator(small_world(), clock=LATER, wire=WireFormat(until_inclusive=inclusive)) as emulator,
            Reader(emulator) as reader,
        ):
            document = reader.window(SMALL_STAY, at(10, 10), at(10, 20)).json()
            assert [value for *_, value in points(document)] == wanted


def test_unknown_ids_are_not_found() -> None:
    """An unknown call, session, user or user session is a 404 with code 16."""
    with Emulator(small_world(), clock=LATER) as emulator, Reader(emulator) as reader:
        for place in range(5):
            ids = tuple("nobody" if place == n else one for n, one in enumerate(SMALL_STAY))
            assert_refused(reader.window(ids, at(10), at(10, 30)), 404, 16)
        assert_refused(reader.attendance(("default", "one", "other")), 404, 16)


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


def test_metrics_list_a_track_only_in_windows_it_was_published_in() -> None:
    """A screen shared for ten minutes is not in the next window; audio has neither frame rate nor resolution."""
    tracks = (
        TrackSpec("screen", "screensharing", "vp9", Points(), since=at(10, 5), until=at(10, 15)),
        TrackSpec("mic", "audio", None, Points(bitrate=())),
    )
    stay = StaySpec("ann", "ann-1", at(10), at(11), tracks=tracks)
    with Emulator(small_world(participants=(stay,)), clock=LATER) as emulator, Reader(emulator) as reader:
        first, second = (
            reader.window(SMALL_STAY, at(10, 30 * n), at(10, 30 * n) + timedelta(minutes=30)).json()["published_tracks"]
            for n in range(2)
        )
    mic = {"track_id": "mic", "track_type": "audio", "codec": None, "bitrate": {"data_points": []}}
    assert first == [{"track_id": "screen", "track_type": "screensharing", "codec": "vp9"}, mic]
    assert second == [mic]


def test_stay_without_length_can_be_read() -> None:
    """A participant who joined and left at once is listed, and so is the point of that moment."""
    track = TrackSpec("mic", "audio", "opus", Points(bitrate=((at(10), 7),)))
    stay = StaySpec("ann", "ann-1", at(10), at(10), tracks=(track,))
    with Emulator(small_world(participants=(stay,)), clock=LATER) as emulator, Reader(emulator) as reader:
        (row,) = reader.all_attendance(SMALL)
        document = reader.window(SMALL_STAY, at(10), at(10, 0, 1)).json()
    assert row["duration_in_seconds"] == 0
    assert [value for *_, value in points(document)] == [7]


def test_metrics_contain_the_warnings_of_a_window_and_sticky_ones() -> None:
    """A warning on the edge of two windows is in both, and so is one that is sticky or has no time."""
    warnings = (
        WarningSpec(at(10, 30), "edge", "On the edge"),
        WarningSpec(at(10, 5), "early", "Early"),
        WarningSpec(at(10, 5), "sticky", "Sticky", sticky=True),
        WarningSpec(None, "timeless", "No time"),
    )
    stay = StaySpec("ann", "ann-1", at(10), at(11), tracks=(TrackSpec("mic", warnings=warnings),))
    with Emulator(small_world(participants=(stay,)), clock=LATER) as emulator, Reader(emulator) as reader:
        given = [
            [(one["code"], "time" in one) for one in document["published_tracks"][0]["warnings"]]
            for document in reader.windows(SMALL_STAY, at(10), at(11))
        ]
    assert given[0] == [("edge", True), ("early", True), ("sticky", True), ("timeless", False)]
    assert given[1] == [("edge", True), ("sticky", True), ("timeless", False)]


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [
        ("s", 1772445600),
        ("float_s", 1772445600.0),
        ("ms", 1772445600 * 10**3),
        ("us", 1772445600 * 10**6),
        ("ns", 1772445600 * 10**9),
    ],
)
def test_wire_format_sets_the_unit_of_points(unit: str, wanted: float) -> None:
    """The documentation names no unit, so any can be served."""
    with Emulator(small_world(), clock=LATER, wire=WireFormat(unit=unit)) as emulator, Reader(emulator) as reader:
        ((time, value),) = reader.window(SMALL_STAY, at(10), at(10, 5)).json()["published_tracks"][0]["bitrate"][
            "data_points"
        ]
    assert (time, type(time), value) == (wanted, type(wanted), 1)


def test_wire_format_sets_the_form_of_datetimes() -> None:
    """Both forms name the same instant; stray nanoseconds reveal clients that read floats."""
    with (
        Emulator(small_world(), clock=LATER, wire=WireFormat(stray_nanoseconds=789)) as emulator,
        Reader(emulator) as reader,
    ):
        assert reader.all_calls()[0]["call_started_at"] == 1772445600 * 10**9 + 789
        assert reader.window(SMALL_STAY, at(10), at(10, 5)).json()["joined_at"] == 1772445600 * 10**9 + 789
    with (
        Emulator(small_world(), clock=LATER, wire=WireFormat(datetimes="rfc3339")) as emulator,
        Reader(emulator) as reader,
    ):
        assert reader.all_calls()[0]["call_started_at"] == "2026-03-02T10:00:00.000000Z"


@pytest.mark.parametrize(
    "option", [{"unit": "minutes"}, {"datetimes": "text"}, {"retry_after": "soon"}, {"stray_nanoseconds": 1000}]
)
def test_wire_format_refuses_values_that_do_not_exist(option: dict[str, Any]) -> None:
    """A misspelled option does not silently test something else."""
    with pytest.raises(ValueError, match=next(iter(option))):
        WireFormat(**option)


def test_responses_are_compressed_for_clients_that_accept_it() -> None:
    """The content is the same; a client that does not accept gzip gets none."""
    world = uniform_world(DAY.date(), 1, 1)
    call, stay = world.calls[0], world.calls[0].participants[0]
    ids = (*call.ids, stay.user_id, stay.user_session_id)
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:
        packed = reader.window(ids, at(0), at(0, 30))
        reader.client.headers["Accept-Encoding"] = "identity"
        plain = reader.window(ids, at(0), at(0, 30))
    assert (packed.headers.get("content-encoding"), plain.headers.get("content-encoding")) == ("gzip", None)
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert packed.json() == plain.json()


def test_date_header_follows_the_emulators_clock() -> None:
    """A server with a wrong clock can be emulated."""
    with Emulator(small_world(), clock=ManualClock(at(12, 0, 1.5))) as emulator, Reader(emulator) as reader:
        assert parsedate_to_datetime(reader.calls().headers["date"]) == at(12, 0, 1)
        assert len(reader.calls().headers.get_list("date")) == 1


def test_participant_statistics_list_users_or_can_be_refused() -> None:
    """There is one row per user with all stays, or a refusal, as on accounts without statistics."""
    stays = tuple(StaySpec("ann", f"ann-{n}", at(10, n), at(10, n + 1), latency_ms=n + 5, name="Ann") for n in range(2))
    world = small_world(participants=(*stays, StaySpec("bob", "bob-1", at(10), at(11))))
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:
        page = reader.stats(SMALL, limit=1).json()
        (ann,) = page["participants"]
        assert [one["latency_ms"] for one in ann["sessions"]] == [5, 6]
        assert not any(ann["sessions"][0]["published_tracks"].values())
        assert [one["user_id"] for one in reader.stats(SMALL, limit=1, next=page["next"]).json()["participants"]] == [
            "bob"
        ]
    for kind, status, code in (("forbidden", 403, 17), ("not_found", 404, 16)):
        faults = (Fault(kind, "participant_stats"),)
        with Emulator(world, clock=LATER, faults=faults) as emulator, Reader(emulator) as reader:
            assert_refused(reader.stats(SMALL), status, code)
            assert reader.attendance(SMALL).status_code == 200


def test_unknown_and_missing_fields_are_sent_as_scripted() -> None:
    """Extra fields appear and omitted ones do not, on calls, stays and tracks."""
    track = TrackSpec("mic", extra=(("qp", 3),), omit=frozenset({"codec"}))
    stay = StaySpec(
        "ann", "ann-1", at(10), at(11), tracks=(track,), extra=(("x", 1),), omit=frozenset({"publisher_type"})
    )
    world = small_world(participants=(stay,), extra=(("y", None),), omit=frozenset({"call_started_at"}))
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:
        (call,) = reader.all_calls()
        document = reader.window(SMALL_STAY, at(10), at(10, 30)).json()
    assert "call_started_at" not in call
    assert call["y"] is None
    assert document["x"] == 1
    assert "publisher_type" not in document
    assert document["published_tracks"] == [{"track_id": "mic", "track_type": "video", "qp": 3}]
    assert expected_rows(world, at(12), tables=("call_sessions",))["call_sessions"][0]["started_at"] is None
