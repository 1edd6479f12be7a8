"""The analysts' views say what their headers promise: small worlds worked out by hand, and rules that always hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FixSettings
from pipeline.quality.thresholds import THRESHOLDS_FILE, read_thresholds, replace_thresholds
from pipeline.quality.track_statistics import compute_track_statistics
from pipeline.quality.views import VIEWS, docs_of
from pipeline.sql import names
from pipeline.warehouse.pivot import pivot_to_samples
from tests.support import DAY, examples
from tests.support.small_world import IDS, World, both, seconds, steady

Query = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def world() -> World:
    """One call, in which ann stays for the first minute."""
    world = World()
    world.call()
    world.stay()
    return world


@pytest.fixture
def ask(world: World, tmp_path: Path) -> Iterator[Query]:
    """Rows of a query on the world, loaded when first asked."""
    opened: list[duckdb.DuckDBPyConnection] = []

    def query(sql: str) -> list[dict[str, Any]]:
        if not opened:
            opened.append(world.load(tmp_path))
        return rows(opened[0], sql)

    yield query
    for database in opened:
        database.close()


def rows(database: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    return database.execute(sql).to_arrow_table().to_pylist()


def only(found: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = found
    return row


# Time, and the lack of data.


def test_an_interval_runs_to_the_next_point_and_the_last_point_has_none(world: World, ask: Query) -> None:
    """Points at 0, 5 and 15 s count for 5, 10 and 0 s; the mean weighs 10 and 40 with 5 and 10: 450 / 15 = 30."""
    world.track({"bitrate": [(0, 10), (5, 40), (15, 1000)]})
    assert [row["interval_seconds"] for row in ask("FROM track_samples ORDER BY timestamp")] == [5, 10, 0]
    quality = only(ask("FROM track_quality"))
    assert (quality["active_seconds"], quality["step_seconds"], quality["bitrate_mean"]) == (15, 5, 30)


def test_a_step_of_more_than_three_medians_counts_as_one_step(world: World, ask: Query) -> None:
    """Steps 5, 5, 15, 16, 5: the median is 5; 15 is no gap, 16 is one that counts as 5 and lacks 11.

    Active: 5 + 5 + 15 + 5 + 5 = 35 of 60 s, and of the 46 s from first to last point.
    """
    world.track({"bitrate": [(instant, 1) for instant in (0, 5, 10, 25, 41, 46)]})
    assert [row["interval_seconds"] for row in ask("FROM track_samples ORDER BY timestamp")] == [5, 5, 15, 5, 5, 0]
    quality = only(ask("FROM track_quality"))
    assert (quality["active_seconds"], quality["gaps"], quality["longest_gap_seconds"]) == (35, 1, 11)
    assert quality["coverage"] == pytest.approx(35 / 60)
    assert quality["span_coverage"] == pytest.approx(35 / 46)


def test_percentiles_are_values_that_were_measured(world: World, ask: Query) -> None:
    """20 values 1 to 20 of 1 s each: 5 % of the time does not exceed 1, half of it 10, 95 % of it 19."""
    world.track({"bitrate": [(instant, instant + 1) for instant in range(20)] + [(20, 99)]})
    quality = only(ask("FROM track_quality"))
    assert [quality[f"bitrate_p{percent}"] for percent in (5, 50, 95)] == [1, 10, 19]


def test_percentiles_weigh_time_and_not_points(world: World, ask: Query) -> None:
    """1 for 10 s in ten points, 2 for 12 s in four points: most of the time it is 2."""
    world.track({"bitrate": [(instant, 1) for instant in range(10)] + [(10, 2), (13, 2), (16, 2), (19, 2), (22, 2)]})
    assert only(ask("FROM track_quality"))["bitrate_p50"] == 2


def test_metrics_with_instants_of_their_own_are_weighted_by_these(world: World, ask: Query) -> None:
    """Bitrate on the second, frame rate a tenth later: each has a step of 5 s and all of its time.

    Frame rate 10 for 30 s and 20 for 25 s: (300 + 500) / 55; nothing of it is taken for a gap.
    """
    framerates = [(instant + 0.1, 10 if instant < 30 else 20) for instant in range(0, 60, 5)]
    world.track({"bitrate": [(instant, 1) for instant in range(0, 60, 5)], "framerate": framerates})
    quality = only(ask("FROM track_quality"))
    assert (quality["gaps"], quality["framerate_seconds"]) == (0, 55)
    assert quality["active_seconds"] == pytest.approx(55.1)
    assert quality["framerate_mean"] == pytest.approx(800 / 55)
    assert len(ask("FROM track_samples")) == 24


def test_a_track_whose_codec_changes_is_one_track(world: World, ask: Query) -> None:
    """vp8 for 30 s, then h264; at 30 s one answer gave the bitrate and another the frame rate: one instant."""
    world.track({"bitrate": [(instant, 1) for instant in range(0, 31, 5)]}, codec="vp8")
    world.track(
        {
            "bitrate": [(instant, 3) for instant in range(35, 61, 5)],
            "framerate": [(instant, 30) for instant in range(30, 61, 5)],
        },
        codec="h264",
    )
    samples = ask("SELECT timestamp, bitrate, framerate, interval_seconds FROM track_samples ORDER BY timestamp")
    assert [row["timestamp"] for row in samples] == [seconds(instant) for instant in range(0, 61, 5)]
    assert [row["interval_seconds"] for row in samples] == [5] * 12 + [0]
    assert (samples[6]["bitrate"], samples[6]["framerate"]) == (1, 30)
    quality = only(ask("FROM track_quality"))
    assert (quality["codec"], quality["active_seconds"], quality["framerate_seconds"]) == ("h264", 60, 30)
    assert quality["bitrate_mean"] == pytest.approx((35 * 1 + 25 * 3) / 60)
    assert sum(row["active_seconds"] for row in ask("FROM track_minutes")) == 60


def test_minutes_share_an_interval_at_the_end_of_a_minute(world: World, ask: Query) -> None:
    """10 from 55 s to 65 s, 40 from there to 75 s: 5 s in the first minute, 5 + 10 s in the next, mean 30."""
    world.track({"bitrate": [(55, 10), (65, 40), (75, 0)]})
    first, second = ask("FROM track_minutes ORDER BY minute")
    assert (first["minute"], first["active_seconds"], first["bitrate_mean"]) == (seconds(0), 5, 10)
    assert (second["minute"], second["active_seconds"], second["bitrate_mean"]) == (seconds(60), 15, 30)
    assert (second["bitrate_min"], second["bitrate_max"]) == (0, 40)
    assert second["framerate_mean"] is None


def test_an_interval_over_several_minutes_counts_in_each(world: World, ask: Query) -> None:
    """Points at 30 s and 210 s: 30, 60, 60 and 30 s."""
    world.track({"bitrate": [(30, 1), (210, 1)]})
    found = ask("FROM track_minutes ORDER BY minute")
    assert [row["active_seconds"] for row in found] == [30, 60, 60, 30]


def test_an_interval_that_ends_with_its_minute_makes_no_other(world: World, ask: Query) -> None:
    """Points at 50 and 60 s: the second minute has a point, but no time and so no mean."""
    world.track({"bitrate": [(50, 1), (60, 2)]})
    assert [(row["active_seconds"], row["bitrate_mean"]) for row in ask("FROM track_minutes ORDER BY minute")] == [
        (10, 1),
        (0, None),
    ]


# Quality of a track.


def test_a_steady_camera_is_good(world: World, ask: Query) -> None:
    """30 frames a second for the whole stay."""
    world.track(steady(0, 60))
    quality = only(ask("FROM track_quality"))
    assert (quality["class"], quality["coverage"], quality["low_framerate_share"]) == ("good", 1, 0)
    assert (quality["poor_due_to"], quality["unclassified_due_to"]) == (None, None)


@pytest.mark.parametrize(
    ("kind", "framerate", "expected"),
    [
        ("video", 6.9, "poor"),
        ("video", 7, "good"),
        ("CAMERA", 6, "poor"),
        *(
            (kind, 6, "good")
            for kind in ("screensharing", "screen_share", "screenshare", "ScreenShare", "SCREEN-SHARE")
        ),
        ("screenshare", 1.9, "poor"),
        ("screenshare_audio", 1, "unclassified"),
        ("hologram", 1, "unclassified"),
        (None, 1, "unclassified"),
    ],
)
def test_each_kind_of_track_has_its_low_frame_rate(
    world: World, ask: Query, kind: str | None, framerate: float, expected: str
) -> None:
    """Under 7 for cameras, under 2 for screen share however it is spelled; other kinds have no rule."""
    world.track(steady(0, 60, framerate=framerate), kind=kind)
    assert only(ask("FROM track_quality"))["class"] == expected


def test_shares_of_low_frame_rates(world: World, ask: Query) -> None:
    """5 for 6 s, 10 for 12 s, 30 for 42 s: 0.1 under 7, 0.3 under 15; 0.1 is not more than 0.1."""
    framerates = [(instant, 5 if instant < 6 else 10 if instant < 18 else 30) for instant in range(61)]
    world.track({"bitrate": framerates, "framerate": framerates})
    quality = only(ask("FROM track_quality"))
    assert (quality["low_framerate_share"], quality["strict_framerate_share"]) == (0.1, 0.3)
    assert quality["class"] == "good"
    histogram = quality["framerate_histogram"]
    assert (histogram[5], histogram[10], histogram[30], len(histogram)) == (6, 12, 42, 31)


def test_a_share_that_is_not_known_is_not_the_whole(world: World, ask: Query) -> None:
    """A microphone has no frame rate, one point no time from first to last: their shares are NULL, never 1."""
    world.track(steady(0, 60, framerate=None), track="mic", kind="audio")
    world.track({"bitrate": [(5, 1)]}, track="cam")
    for quality in ask("FROM track_quality ORDER BY track_id"):
        assert (quality["low_framerate_share"], quality["strict_framerate_share"]) == (None, None)
        assert quality["span_coverage"] == (1 if quality["track_id"] == "mic" else None)
    assert only(ask("FROM participant_quality"))["worst_low_framerate_share"] is None


def test_edited_thresholds_take_effect_at_once(world: World, ask: Query) -> None:
    """A camera at 10 frames is good until low_framerate is 15; nothing else is made anew."""
    world.track(steady(0, 60, framerate=10))
    assert only(ask("FROM track_quality"))["class"] == "good"
    ask("UPDATE quality_thresholds SET low_framerate = 15 WHERE track_kind = 'camera'")
    quality = only(ask("FROM track_quality"))
    assert (quality["class"], quality["poor_due_to"], quality["low_framerate_share"]) == ("poor", "low framerate", 1)
    assert only(ask("FROM call_quality"))["peak_publishers_low"] == 1


@pytest.mark.parametrize(
    ("until", "stay", "reason"),
    [(29, 29, "too short"), (30, 60, None), (30, 61, "low coverage"), (0, 60, "too short")],
)
def test_too_little_data_gives_no_verdict(world: World, ask: Query, until: int, stay: int, reason: str | None) -> None:
    """Under 30 active seconds, or half of the stay: unclassified, however bad the data."""
    world.rows["participant_sessions"].clear()
    world.stay(until=stay)
    world.track(steady(0, until, 1, framerate=1))
    quality = only(ask("FROM track_quality"))
    assert quality["unclassified_due_to"] == reason
    assert quality["class"] == ("unclassified" if reason else "poor")


def test_a_camera_without_frame_rates_is_not_good(world: World, ask: Query) -> None:
    """Bitrate all the time, frame rates for 20 s: what is judged is not there."""
    world.track({"bitrate": [(n, 1) for n in range(61)], "framerate": [(n, 30) for n in range(21)]})
    assert only(ask("FROM track_quality"))["unclassified_due_to"] == "too short"


def test_a_track_without_points_is_unclassified_even_without_minimums(world: World, ask: Query) -> None:
    """No threshold makes missing data good."""
    world.track({})
    ask("UPDATE quality_thresholds SET min_active_seconds = 0, min_coverage = 0")
    quality = only(ask("FROM track_quality"))
    assert (quality["class"], quality["active_seconds"], quality["coverage"]) == ("unclassified", 0, 0)


def test_audio_is_judged_where_a_user_gives_a_rule(world: World, ask: Query) -> None:
    """Nothing that is compute_track_statistics of audio tells good from poor by itself."""
    world.track(steady(0, 60, bitrate=16_000, framerate=None), kind="audio")
    assert only(ask("FROM track_quality"))["unclassified_due_to"] == "no rule"
    ask("UPDATE quality_thresholds SET min_bitrate = 20000 WHERE track_kind = 'audio'")
    assert only(ask("FROM track_quality"))["poor_due_to"] == "low bitrate"


@pytest.mark.parametrize(
    ("framerates", "stalls", "stalled"),
    [
        ([30, 30, 0, 0, 30, 30], 1, 10),
        ([30, 0, 30, 0, 0, 0, 30], 2, 20),
        ([0, 0, 30, 30, 0, 0], 0, 0),
        ([30, None, None, None, 0, 0, 30, 30], 0, 0),
        ([30, 30, 0, 0, None, None, None, 30], 0, 0),
    ],
    ids=["between frames", "twice", "not yet, no more", "after a gap", "before a gap"],
)
def test_send_stalls_are_zeros_between_frames(
    world: World, ask: Query, framerates: list[int | None], stalls: int, stalled: int
) -> None:
    """Frame rate 0 counts from its first point to the next frames, 5 s a point; a gap on either side is no data."""
    points = [(place * 5, value) for place, value in enumerate(framerates) if value is not None]
    world.track({"bitrate": points, "framerate": points})
    quality = only(ask("FROM track_quality"))
    assert (quality["send_stalls"], quality["send_stall_seconds"]) == (stalls, stalled)


def test_stalls_make_a_camera_poor(world: World, ask: Query) -> None:
    """5 s of 60 without frames are more than 5 % of the time, and less than 10 %."""
    points = [(instant, 0 if instant == 30 else 30) for instant in range(0, 61, 5)]
    world.track({"bitrate": points, "framerate": points})
    assert only(ask("FROM track_quality"))["poor_due_to"] == "send stalls"


def resolutions(*sizes: tuple[int, int]) -> dict[str, list[tuple[float, float]]]:
    """Each size for 10 s, in two points; 20 frames and a million bits a second."""
    instants = range(0, len(sizes) * 10 + 1, 5)
    size = [sizes[min(instant // 10, len(sizes) - 1)] for instant in instants]
    return {
        "bitrate": [(instant, 1e6) for instant in instants],
        "framerate": [(instant, 20) for instant in instants],
        "resolution_width": [(instant, width) for instant, (width, _) in zip(instants, size, strict=True)],
        "resolution_height": [(instant, height) for instant, (_, height) in zip(instants, size, strict=True)],
    }


def test_an_orientation_swap_is_no_switch(world: World, ask: Query) -> None:
    """1280×720, turned, down to 640×360, up: one down, one up, in 40 s; heights by the shorter side."""
    world.track(resolutions((1280, 720), (720, 1280), (640, 360), (1280, 720)))
    quality = only(ask("FROM track_quality"))
    assert (quality["switches_up"], quality["switches_down"]) == (1, 1)
    assert quality["resolution_switches_per_minute"] == 3
    assert dict(quality["height_seconds"]) == {360: 10, 720: 30}
    assert (quality["height_p95"], quality["downscale_share"]) == (720, 0.25)


def test_downscaling_is_held_against_what_the_track_could_send(world: World, ask: Query) -> None:
    """A camera of 360 lines that always sends 360 is not downscaled."""
    world.track(resolutions((640, 360), (640, 360)))
    assert only(ask("FROM track_quality"))["downscale_share"] == 0


def test_bits_per_pixel_and_frame(world: World, ask: Query) -> None:
    """A million bits a second over 20 frames of 1000×500: 0.1 bits; a screen share has none."""
    world.track(resolutions((1000, 500)), track="cam")
    world.track(resolutions((1000, 500)), track="screen", kind="screenshare")
    camera, screen = ask("FROM track_quality ORDER BY track_id")
    assert camera["bits_per_pixel_frame"] == pytest.approx(0.1)
    assert screen["bits_per_pixel_frame"] is None


def test_warnings_are_per_hour_with_data(world: World, ask: Query) -> None:
    """2 warnings in 60 active seconds: 120 an hour."""
    world.track(steady(0, 60))
    world.warning(10)
    world.warning(20)
    quality = only(ask("FROM track_quality"))
    assert (quality["warnings"], quality["warnings_per_hour"]) == (2, 120)


def test_a_stay_that_goes_on_lasts_until_its_last_point(world: World, ask: Query) -> None:
    """Without left_at and duration: joined at 0, last point at 60 s, 40 s of data."""
    world.rows["participant_sessions"].clear()
    world.stay(until=None)
    world.track(steady(20, 60))
    quality = only(ask("FROM track_quality"))
    assert (quality["stay_seconds"], quality["coverage"]) == (60, pytest.approx(40 / 60))


# People, calls, segments, days.


def test_a_participant_is_as_good_as_the_worst_track(world: World, ask: Query) -> None:
    """A good camera, a poor screen share and a microphone that nobody judges."""
    world.track(steady(0, 60), track="cam")
    world.track(steady(0, 60, framerate=1), track="screen", kind="screenshare")
    world.track(steady(0, 60, framerate=None), track="mic", kind="audio")
    person = only(ask("FROM participant_quality"))
    assert (person["class"], person["tracks"], person["poor_tracks"]) == ("poor", 3, 1)
    assert (person["worst_track_id"], person["worst_track_kind"]) == ("screen", "screen_share")
    assert (person["poor_due_to"], person["worst_low_framerate_share"]) == ("low framerate", 1)


def test_join_to_first_media_waits_for_bits(world: World, ask: Query) -> None:
    """The camera is there at 2 s but sends at 7 s; the microphone sends at 4 s."""
    world.track({"bitrate": [(2, 0), (7, 1), (12, 1)]}, track="cam")
    world.track({"bitrate": [(4, 1), (9, 1)]}, track="mic", kind="audio")
    person = only(ask("FROM participant_quality"))
    assert (person["first_media_at"], person["join_to_first_media_seconds"]) == (seconds(4), 4)


def test_published_seconds_count_time_once(world: World, ask: Query) -> None:
    """Camera 0 to 30 s, microphone 20 to 45 s, camera again 50 to 60 s with a gap of 20 s (5 s of it a step).

    0 to 45 s and 50 to 60 s: 55 s.
    """
    world.track(both(steady(0, 30), steady(50, 60)), track="cam")
    world.track(steady(20, 45, framerate=None), track="mic", kind="audio")
    assert only(ask("FROM participant_quality"))["published_seconds"] == 55


def test_one_who_published_nothing_is_there_and_unclassified(world: World, ask: Query) -> None:
    """Listeners have a row too."""
    person = only(ask("FROM participant_quality"))
    assert (person["class"], person["tracks"], person["published_seconds"]) == ("unclassified", 0, 0)
    assert only(ask("FROM call_quality"))["publishers"] == 0


def test_a_call_counts_people_and_its_peak_of_low_publishers(world: World, ask: Query) -> None:
    """Ann low 0 to 60 s on two tracks, bob 40 to 60 s, cat never: peak 2 from 40 s on; dan is not judged.

    Poor: ann (all of the time) and bob (20 of 60 s); good: cat. Share 2 / 3, score 100 × 1 / 3.
    """
    world.track(steady(0, 60, framerate=5), track="cam")
    world.track(steady(0, 60, framerate=1), track="screen", kind="screenshare")
    for user, points in {
        "bob": both(steady(0, 39, 1), steady(40, 60, 1, framerate=5)),
        "cat": steady(0, 60),
        "dan": steady(0, 10),
    }.items():
        world.stay(user)
        world.track(points, user_id=user)
    world.rows["call_sessions"][0]["cq_score"] = 70
    call = only(ask("FROM call_quality"))
    assert (call["publishers"], call["poor_publishers"], call["good_publishers"]) == (4, 2, 1)
    assert (call["unclassified_publishers"], call["poor_share"]) == (1, pytest.approx(2 / 3))
    assert (call["peak_publishers_low"], call["peak_publishers_low_at"]) == (2, seconds(40))
    assert (call["quality_score"], call["cq_score"]) == (pytest.approx(100 / 3), 70)


def test_low_publishers_one_after_the_other_are_no_peak(world: World, ask: Query) -> None:
    """Ann is low until 30 s, bob from 30 s on: never two at once."""
    world.track(both(steady(0, 29, 1, framerate=5), steady(30, 60, 1)))
    world.stay("bob")
    world.track(both(steady(0, 29, 1), steady(30, 60, 1, framerate=5)), user_id="bob")
    assert only(ask("FROM call_quality"))["peak_publishers_low"] == 1


def test_rejoining_is_counted_and_a_second_device_is_not(world: World, ask: Query) -> None:
    """Ann is away from 60 to 70 s and from 80 to 110 s; bob's second stay overlaps his first."""
    world.stay("ann", 70, 80, user_session_id="ann-2")
    world.stay("ann", 110, 120, user_session_id="ann-3")
    world.stay("bob", 0, 60, user_session_id="bob-1")
    world.stay("bob", 30, 90, user_session_id="bob-2")
    call = only(ask("FROM call_quality"))
    assert (call["users"], call["user_sessions"], call["user_sessions_per_user"]) == (2, 5, 2.5)
    assert (call["rejoins"], call["rejoin_gap_seconds_p50"], call["rejoin_gap_seconds_max"]) == (2, 20, 30)


def test_segments_show_n_and_wilson_intervals(world: World, ask: Query) -> None:
    """1 poor of 4 judged: share 0.25, 95 % interval 0.0456 to 0.6994 (z = 1.96); one more is not judged.

    Camera time: 60 s at 5, 180 s at 30, 10 s at 30 frames: 5 % of 250 s are 12.5 s, all at 5.
    """
    world.rows["participant_sessions"].clear()
    client = {"network_type": "wifi", "country": "Norway", "client_name": "chrome", "client_version": "1"}
    for number, points in enumerate([steady(0, 60, framerate=5), *[steady(0, 60)] * 3, steady(0, 10)]):
        world.stay(f"user-{number}", **client)
        world.track(points, user_id=f"user-{number}")
    segment = only(ask("FROM quality_by_segment"))
    assert {name: segment[name] for name in client} == client
    assert (segment["codec"], segment["tracks"], segment["n"], segment["poor"]) == ("vp8", 5, 4, 1)
    assert segment["poor_share"] == 0.25
    assert segment["poor_share_low"] == pytest.approx(0.0456, abs=1e-4)
    assert segment["poor_share_high"] == pytest.approx(0.6994, abs=1e-4)
    assert segment["framerate_p5"] == 5


def test_a_segment_without_a_judged_track_has_no_share(world: World, ask: Query) -> None:
    """An n of 0 is shown, and nothing is said of it; what is not known of a client is a segment too."""
    world.track(steady(0, 60, framerate=None), kind="audio", codec="opus")
    segment = only(ask("FROM quality_by_segment"))
    assert (segment["n"], segment["poor_share"], segment["poor_share_low"]) == (0, None, None)
    assert (segment["network_type"], segment["framerate_p5"], segment["active_seconds"]) == (None, None, 60)


def test_a_day_shows_what_is_here_and_how_long_the_rest_can_be_had(world: World, ask: Query) -> None:
    """Three stays promised, one held; six windows, one of each state; the last call ended at 02:00."""
    world.rows["call_sessions"].clear()
    world.call("s1", sessions=2)
    world.call("s2", sessions=1, ended_at=seconds(7200))
    world.call("s3", ended_at=None, is_live=True)
    for call, promised, ended in (("s1", 2, seconds(3600)), ("s2", 1, seconds(7200)), ("s3", 0, None)):
        forgotten_at = None if ended is None else ended + timedelta(days=90)
        row = IDS | {"call_session_id": call, "stays_promised": promised, "forgotten_at": forgotten_at}
        world.rows["ingest_completeness_by_call"].append(row)
    for number, state in enumerate(("landed", "empty", "gone", "suspect", "failed", "missing")):
        window = {"user_id": "ann", "user_session_id": "ann", "since": seconds(number * 1800), "state": state}
        call = {key: world.rows["call_sessions"][0][key] for key in ("session_date", "call_type", "call_id")}
        fetched = {"fetched_at": None if state == "missing" else seconds(8000 + number)}
        world.rows["windows"].append(call | {"call_session_id": "s1"} | window | fetched)
    day = only(ask("FROM ingest_completeness"))
    assert (day["session_date"], day["calls"], day["live_calls"]) == (DAY, 3, 1)
    assert (day["stays_promised"], day["stays_held"], day["windows_expected"]) == (3, 1, 6)
    assert [day[f"windows_{state}"] for state in ("landed", "empty", "gone", "suspect", "failed", "missing")] == [1] * 6
    assert day["newest_fetch_at"] == seconds(8004)
    assert day["forgotten_at"] == seconds(7200) + timedelta(days=90)
    now = only(ask("SELECT now() AS now"))["now"]
    assert day["hours_since_newest_fetch"] == pytest.approx((now - seconds(8004)).total_seconds() / 3600, abs=0.1)
    assert day["days_until_forgotten"] == pytest.approx((day["forgotten_at"] - now).total_seconds() / 86400, abs=0.1)


# Thresholds that users edit.


def test_thresholds_are_written_with_defaults_and_then_read(world: World, tmp_path: Path) -> None:
    """The first load writes the file; what a user changes there is in the next database, though no day changed."""
    world.track(steady(0, 60, framerate=10))
    path = tmp_path / "data" / THRESHOLDS_FILE
    with world.load(tmp_path, path) as database:
        assert only(rows(database, "FROM track_quality"))["class"] == "good"
    path.write_text(path.read_text().replace("camera,7,", "camera,12,"))
    with world.load(tmp_path, path) as database:
        assert only(rows(database, "FROM track_quality"))["class"] == "poor"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("track_kind,low_framerate", "track_kind,framerate", "the first line has no column low_framerate"),
        ("min_coverage\n", "min_coverage,colour\n", "'colour' is not a threshold"),
        ("camera,7", "camera,seven", "line 2: low_framerate is 'seven'; it must be a number"),
        ("camera,7", "camera,7.5", "line 2: low_framerate is 7.5; it must be a whole number from 0 to 60"),
        ("camera,7,15,0.1", "camera,7,15,10", "it must be between 0 and 1"),
        ("camera,7,15,0.1,0.05,,30", "camera,7,15,0.1,0.05,,-1", "min_active_seconds is -1; it must be 0 or more"),
        ("camera,7,15,0.1,0.05,,30", "camera,7,15,0.1,0.05,,nan", "min_active_seconds is nan; it must be 0 or more"),
        ("\naudio,,", "\ncamera,,", "camera appears twice"),
        ("\naudio,,", "\nsmell,,", "'smell' is not a kind of track"),
        ("other,,,", "other,", "line 6 must have 8 fields, like the first line"),
        ("camera,7", "camera,7,7", "line 2 must have 8 fields, like the first line"),
    ],
)
def test_a_bad_file_of_thresholds_is_refused_in_one_sentence(tmp_path: Path, old: str, new: str, said: str) -> None:
    """The sentence names the file, the line and what to do."""
    path = tmp_path / THRESHOLDS_FILE
    read_thresholds(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FixSettings) as refused:
        read_thresholds(path)
    sentence = str(refused.value)
    assert said in sentence
    assert str(path) in sentence
    assert "\n" not in sentence


def test_a_file_of_thresholds_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Such as one that a spreadsheet saved as its own format."""
    path = tmp_path / THRESHOLDS_FILE
    path.write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(FixSettings, match="UTF-8"):
        read_thresholds(path)


def test_a_file_of_thresholds_may_leave_kinds_out(world: World, ask: Query, tmp_path: Path) -> None:
    """A kind without a row has no rule."""
    world.track(steady(0, 60, framerate=1))
    with world.load(tmp_path) as database:
        assert replace_thresholds(database, [])
        assert only(rows(database, "FROM track_quality"))["unclassified_due_to"] == "no rule"


# All of them.


def test_every_view_and_column_is_documented(ask: Query) -> None:
    """In the database as in the header of the view's file, which names no column that is not there."""
    assert {f"views/{view}" for view in VIEWS} == set(names("pipeline.quality", "views"))
    comments = {row["view_name"]: row["comment"] for row in ask("FROM duckdb_views() WHERE NOT internal")}
    columns = ask("FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal")
    ids = {row["column_name"] for row in columns if row["table_name"] == "tracks"}
    for view in VIEWS:
        docs = docs_of(view)
        found = {row["column_name"]: row["comment"] for row in columns if row["table_name"] == view}
        assert comments[view] == docs.comment
        assert docs.comment.startswith("One row per ")
        assert all(found.values()), view
        assert found == {name: docs.columns[name] for name in found}
        assert not set(docs.columns) - set(found) - ids, view
    thresholds = [row["comment"] for row in columns if row["table_name"] == "quality_thresholds"]
    assert len(thresholds) == 8
    assert all(thresholds)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_works_on_an_empty_database(tmp_path: Path, view: str) -> None:
    """No row, and no error."""
    with World().load(tmp_path) as database:
        assert rows(database, f"FROM {view}") == []


def test_views_work_where_the_database_is_attached(world: World, ask: Query, tmp_path: Path) -> None:
    """BI tools attach the file under a name of their own."""
    world.track(steady(0, 60))
    world.load(tmp_path).close()
    with duckdb.connect() as database:
        database.execute(f"ATTACH '{tmp_path / 'published.duckdb'}' AS calls (READ_ONLY)")
        for view in VIEWS:
            assert len(rows(database, f"FROM calls.{view}")) > 0


def test_rows_come_in_their_time_however_many_there_are(tmp_path: Path) -> None:
    """DuckDB 1.5 hangs in fetching a long result of UNION ALL over joins (its issue 22215): no view ends with one."""
    texts = ", ".join(["''"] * 8)
    with World().load(tmp_path) as database:
        database.execute(f"INSERT INTO store.series SELECT range, '2026-11-01', {texts}, range, false FROM range(9)")
        database.execute(
            "INSERT INTO store.samples SELECT range % 9, to_timestamp(range), range, 1, 1, 1, 1 FROM range(1000000)"
        )
        for view, expected in {
            "track_samples": 1_000_000,
            "track_minutes": 150_003,
            "metric_points": 4_000_000,
        }.items():
            assert database.execute(f"SELECT session_date FROM {view}").to_arrow_table().num_rows == expected


# Rules that always hold.

VALUES = st.one_of(st.none(), st.floats(0, 90).map(lambda value: round(value, 2)))


@st.composite
def tracks(draw: st.DrawFn) -> list[dict[str, list[tuple[float, float]]]]:
    """Some tracks of an hour at most: instants as they come, each with some of the metrics."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        steps = draw(st.lists(st.sampled_from([1, 2, 5, 5, 5, 15, 16, 60, 300]), min_size=1, max_size=12))
        instants = np.cumsum(steps).tolist()
        found.append(
            {
                metric: [(instant, value) for instant in instants if (value := draw(VALUES)) is not None]
                for metric in ("bitrate", "framerate", "resolution_width", "resolution_height")
            }
        )
    return found


def statistics_of(given_tracks: list[dict[str, list[tuple[float, float]]]]) -> list[dict[str, Any]]:
    world = World()
    for number, points in enumerate(given_tracks):
        world.track(points, track=f"track-{number}")
    (chunk,) = world.chunks("metric_points", DAY, dictionaries=[*world.rows["metric_points"][0]])
    known = compute_track_statistics(*pivot_to_samples(chunk, 0))
    assert known.statistics.num_rows == sum(any(points.values()) for points in given_tracks)
    return known.statistics.to_pylist()


@examples(100)
@given(tracks())
def test_statistics_keep_their_bounds(given_tracks: list[dict[str, list[tuple[float, float]]]]) -> None:
    """Time never exceeds the span of the points; means and percentiles lie between least and greatest value."""
    given_tracks = [points for points in given_tracks if any(points.values())]
    if not given_tracks:
        return
    for points, known in zip(given_tracks, statistics_of(given_tracks), strict=True):
        instants = sorted({instant for series in points.values() for instant, _ in series})
        assert 0 <= known["active_seconds"] <= instants[-1] - instants[0]
        for metric in ("bitrate", "framerate"):
            values = [value for _, value in points[metric]]
            assert known[f"{metric}_seconds"] <= instants[-1] - instants[0]
            if known[f"{metric}_seconds"] > 0:
                percentiles = [known[f"{metric}_p{percent}"] for percent in (5, 50, 95)]
                assert percentiles == sorted(percentiles)
                assert set(percentiles) <= set(values)
                assert min(values) - 1e-9 <= known[f"{metric}_mean"] <= max(values) + 1e-9
            else:
                assert known[f"{metric}_mean"] is None
        assert sum(known["framerate_histogram"]) == pytest.approx(known["framerate_seconds"])
        assert sum(seconds for _, seconds in known["height_seconds"]) == pytest.approx(known["resolution_seconds"])
        assert 0 <= known["downscaled_seconds"] <= known["resolution_seconds"]
        assert known["send_stall_seconds"] <= known["framerate_seconds"]


@examples(100)
@given(tracks())
def test_statistics_are_those_of_plain_counting(given_tracks: list[dict[str, list[tuple[float, float]]]]) -> None:
    """The same definitions in slow, plain Python give the same numbers."""
    given_tracks = [points for points in given_tracks if any(points.values())]
    if not given_tracks:
        return
    for points, known in zip(given_tracks, statistics_of(given_tracks), strict=True):
        instants = sorted({instant for series in points.values() for instant, _ in series})
        of_bitrate = [instant for instant, _ in points["bitrate"]]
        step = lower_median_step(of_bitrate) or lower_median_step(instants)
        assert known["step_seconds"] == step
        held = dict(zip(instants, intervals(instants, step), strict=True))
        assert known["active_seconds"] == sum(held.values())
        assert known["gaps"] == sum(b - a > 3 * (step or 0) for a, b in pairwise(instants))
        framerates = points["framerate"]
        time = intervals([instant for instant, _ in framerates], step)
        assert known["framerate_seconds"] == sum(time)
        under_seven = sum(t for t, (_, value) in zip(time, framerates, strict=True) if value < 7)
        assert sum(known["framerate_histogram"][:7]) == pytest.approx(under_seven)
        ordered = sorted((value, t) for t, (_, value) in zip(time, framerates, strict=True))
        for percent in (5, 50, 95):
            assert known[f"framerate_p{percent}"] == weighted_percentile(ordered, percent)


def lower_median_step(instants: list[float]) -> float | None:
    steps = sorted(b - a for a, b in pairwise(instants))
    return steps[(len(steps) - 1) // 2] if steps else None


def intervals(instants: list[float], step: float | None) -> list[float]:
    found = [b - a if b - a <= 3 * (step or 0) else step or 0 for a, b in pairwise(instants)]
    return [*found, 0][: len(instants)]


def weighted_percentile(ordered: list[tuple[float, float]], percent: int) -> float | None:
    total, running = sum(weight for _, weight in ordered), 0.0
    for value, weight in ordered:
        running += weight
        if total > 0 and running * 100 >= total * percent:
            return value
    return None


def test_views_keep_their_bounds(tmp_path: Path) -> None:
    """On 300 odd tracks: shares lie in 0 to 1, time within the stay, Wilson's interval around its share, n is shown,
    and nothing without enough data is judged.
    """
    random = np.random.default_rng(7)
    world = World()
    world.call()
    for number in range(300):
        user = f"user-{number}"
        since = int(random.integers(0, 100))
        instants = since + np.cumsum(random.choice([5, 5, 5, 5, 5, 30], int(random.integers(1, 30)))).astype(int)
        points = {
            metric: [(int(at), float(random.choice(values))) for at in instants if random.random() < 0.95]
            for metric, values in {
                "bitrate": (0, 1e5, 2e6),
                "framerate": (0, 5, 10, 30, 30, 30),
                "resolution_width": (640, 1280, 720),
                "resolution_height": (360, 720, 1280),
            }.items()
        }
        world.stay(user, since, int(instants[-1]) + 1, network_type=str(random.choice(["wifi", "cellular"])))
        world.track(points, user_id=user, kind=str(random.choice(["video", "screenshare"])))
    with world.load(tmp_path) as database:
        for track in rows(database, "FROM track_quality"):
            shares = [track[name] for name in track if name.endswith(("_share", "coverage"))]
            assert all(share is None or 0 <= share <= 1 for share in shares)
            assert track["active_seconds"] <= track["stay_seconds"]
            if track["class"] != "unclassified":
                assert min(track["active_seconds"], track["framerate_seconds"]) >= 30
                assert track["coverage"] >= 0.5
            assert (track["class"] == "poor") == (track["poor_due_to"] is not None)
        for person in rows(database, "FROM participant_quality"):
            assert 0 <= person["published_seconds"] <= (person["left_at"] - person["joined_at"]).total_seconds()
        for segment in rows(database, "FROM quality_by_segment"):
            assert segment["n"] > 0
            assert 0 <= segment["poor_share_low"] <= segment["poor_share"] <= segment["poor_share_high"] <= 1
        minutes = only(
            rows(database, "SELECT sum(active_seconds) AS active, max(active_seconds) AS most FROM track_minutes")
        )
        samples = only(rows(database, "SELECT sum(interval_seconds) AS active, count(*) AS n FROM track_samples"))
        active = only(rows(database, "SELECT sum(active_seconds) AS active FROM track_quality"))["active"]
        assert math.isclose(minutes["active"], samples["active"])
        assert math.isclose(samples["active"], active)
        assert minutes["most"] <= 60
        for metric in ("bitrate", "framerate", "resolution_width", "resolution_height"):
            outside = f"NOT {metric}_mean BETWEEN {metric}_min - 1e-6 AND {metric}_max + 1e-6"
            assert rows(database, f"FROM track_minutes WHERE {outside}") == []
