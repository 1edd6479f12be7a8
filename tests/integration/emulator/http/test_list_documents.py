"""The documents of the endpoints that list something: call sessions, participants, statistics, ratings."""

from __future__ import annotations

import httpx
import pytest

from pipeline.emulator import CallSpec, ClientSpec, Emulator, Fault, RatingSpec, StaySpec, World
from tests.support.emulator_reader import LATER, SMALL, Reader, assert_refused, at, compact, many_calls, small_world


def test_call_stats_sort_breaks_ties_by_call_cid() -> None:
    """Calls with the same time are in the order of their ids, in the requested direction."""
    world = World(tuple(CallSpec("default", name, name, at(8), at(9)) for name in ("b", "c", "a")))
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:
        for direction, wanted in ((1, ["a", "b", "c"]), (-1, ["c", "b", "a"])):
            sort = [{"field": "generated_at", "direction": 1}, {"field": "call_cid", "direction": direction}]
            assert [row["call_id"] for row in reader.all_calls(sort=sort)] == wanted


def test_attendance_pages_and_filters_the_list_but_not_the_totals() -> None:
    """203 participants fill three pages; the totals are those of all of them, whatever the filter."""
    ids = ("default", "c0", "s000")
    with Emulator(many_calls(1, people=203), clock=LATER) as emulator, Reader(emulator) as reader:
        everyone = reader.all_attendance(ids, limit=100)
        assert len({row["user_session_id"] for row in everyone}) == len(everyone) == 203
        assert emulator.count("participant_sessions") == 3
        page = reader.attendance(ids, filter_conditions=compact({"user_id": {"$in": ["u001", "u002"]}})).json()
        assert_refused(reader.attendance(ids, filter_conditions='{"joined_at": 1}'), 400, 4)
        assert_refused(reader.attendance(ids, filter_conditions="{"), 400, 4)
    assert [row["user_id"] for row in page["participants_sessions"]] == ["u001", "u002"]
    assert (page["total_participant_sessions"], page["total_participant_duration"]) == (203, 203 * 60)


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


def test_user_feedback_is_filtered_and_paged() -> None:
    """By call, call session, user and rating; anything else is refused, and so is an order."""
    people = tuple(
        StaySpec(
            f"user-{number}",
            f"stay-{number}",
            joined_at=at(10),
            left_at=at(11),
            ratings=(RatingSpec(at(11, number), 1 + number, "so", (("role", "host"),)),),
        )
        for number in range(3)
    )
    world = World(
        tuple(CallSpec("default", "again", session, at(10), at(11), participants=people) for session in ("s1", "s2"))
    )
    with Emulator(world, clock=LATER) as emulator, Reader(emulator) as reader:

        def query(filter_: dict[str, object], **body: object) -> httpx.Response:
            return reader.client.post("/api/v2/video/call/feedback", json={"filter_conditions": filter_, **body})

        assert len(query({}).json()["user_feedback"]) == 6
        page = query({"call_cid": "default:again", "session_id": "s2"}, limit=2).json()
        assert [row["rating"] for row in page["user_feedback"]] == [1, 2]
        rest = query({"call_cid": "default:again", "session_id": "s2"}, limit=2, next=page["next"]).json()
        assert [(row["session_id"], row["user_id"]) for row in rest["user_feedback"]] == [("s2", "user-2")]
        assert "next" not in rest
        assert len(query({"rating": {"$lt": 2}}).json()["user_feedback"]) == 2
        assert len(query({"user_id": "user-1"}).json()["user_feedback"]) == 2
        assert_refused(query({"created_at": {"$gte": "2026-03-01T00:00:00Z"}}), 400, 4)
        assert_refused(query({}, sort=[{"field": "created_at", "direction": 1}]), 400, 4)


def test_official_sdk_reads_user_feedback() -> None:
    """Stream's own client gets every field of a rating."""
    sdk = pytest.importorskip("getstream")
    stay = StaySpec(
        "ann",
        "ann-1",
        joined_at=at(10),
        left_at=at(11),
        client=ClientSpec(name="web", version="1.8.0"),
        ratings=(RatingSpec(at(11), 2, "no sound", (("role", "host"),)),),
    )
    world = World((CallSpec("default", "a", "a-1", at(10), at(11), participants=(stay,)),))
    with Emulator(world, clock=LATER) as emulator:
        client = sdk.Stream(api_key=emulator.key, api_secret=emulator.secret, base_url=emulator.url)
        with client, client.video as video:
            filter_ = {"call_cid": "default:a", "session_id": "a-1"}
            (row,) = video.query_user_feedback(limit=100, filter_conditions=filter_).data.user_feedback
    assert (row.cid, row.session_id, row.user_id, row.rating) == ("default:a", "a-1", "ann", 2)
    assert (row.reason, row.sdk, row.sdk_version, row.custom) == ("no sound", "web", "1.8.0", {"role": "host"})
    assert row.platform.os.name == ""
