"""The view `track_quality`: how well a track was sent, and the verdict on it."""

from __future__ import annotations

import pytest

from tests.support.small_world import Query, SmallWorld, only, steady

# Statistics.


def test_percentiles_are_measured_values(world: SmallWorld, query: Query) -> None:
    """20 values 1 to 20 of 1 s each: 5 % of the time does not exceed 1, half of it 10, 95 % of it 19."""
    world.track({"bitrate": [(instant, instant + 1) for instant in range(20)] + [(20, 99)]})
    quality = only(query("FROM track_quality"))
    assert [quality[f"bitrate_p{percent}"] for percent in (5, 50, 95)] == [1, 10, 19]


def test_percentiles_weigh_time_not_points(world: SmallWorld, query: Query) -> None:
    """1 for 10 s in ten points, 2 for 12 s in four points: most of the time it is 2."""
    world.track({"bitrate": [(instant, 1) for instant in range(10)] + [(10, 2), (13, 2), (16, 2), (19, 2), (22, 2)]})
    assert only(query("FROM track_quality"))["bitrate_p50"] == 2


def test_metrics_are_weighted_by_their_own_instants(world: SmallWorld, query: Query) -> None:
    """Bitrate on the second, frame rate a tenth later: each has a step of 5 s and all of its time.

    Frame rate 10 for 30 s and 20 for 25 s: (300 + 500) / 55. There is no gap.
    """
    framerates = [(instant + 0.1, 10 if instant < 30 else 20) for instant in range(0, 60, 5)]
    world.track({"bitrate": [(instant, 1) for instant in range(0, 60, 5)], "framerate": framerates})
    quality = only(query("FROM track_quality"))
    assert (quality["gaps"], quality["framerate_seconds"]) == (0, 55)
    assert quality["active_seconds"] == pytest.approx(55.1)
    assert quality["framerate_mean"] == pytest.approx(800 / 55)
    assert len(query("FROM track_samples")) == 24


def test_low_framerate_shares(world: SmallWorld, query: Query) -> None:
    """5 for 6 s, 10 for 12 s, 30 for 42 s: 0.1 under 7, 0.3 under 15; 0.1 is not more than 0.1."""
    framerates = [(instant, 5 if instant < 6 else 10 if instant < 18 else 30) for instant in range(61)]
    world.track({"bitrate": framerates, "framerate": framerates})
    quality = only(query("FROM track_quality"))
    assert (quality["low_framerate_share"], quality["strict_framerate_share"]) == (0.1, 0.3)
    assert quality["class"] == "good"
    histogram = quality["framerate_histogram"]
    assert (histogram[5], histogram[10], histogram[30], len(histogram)) == (6, 12, 42, 31)


def test_unknown_share_is_null(world: SmallWorld, query: Query) -> None:
    """A microphone has no frame rate, and one point has no time from first to last: the shares are NULL, never 1."""
    world.track(steady(0, 60, framerate=None), track="mic", kind="audio")
    world.track({"bitrate": [(5, 1)]}, track="cam")
    for quality in query("FROM track_quality ORDER BY track_id"):
        assert (quality["low_framerate_share"], quality["strict_framerate_share"]) == (None, None)
        assert quality["span_coverage"] == (1 if quality["track_id"] == "mic" else None)
    assert only(query("FROM participant_quality"))["worst_low_framerate_share"] is None


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
    world: SmallWorld, query: Query, framerates: list[int | None], stalls: int, stalled: int
) -> None:
    """Frame rate 0 counts from its first point to the next frames, 5 s per point. A gap on either side is no data."""
    points = [(place * 5, value) for place, value in enumerate(framerates) if value is not None]
    world.track({"bitrate": points, "framerate": points})
    quality = only(query("FROM track_quality"))
    assert (quality["send_stalls"], quality["send_stall_seconds"]) == (stalls, stalled)


def resolutions(*sizes: tuple[int, int]) -> dict[str, list[tuple[float, float]]]:
    """Return points with each size for 10 s, two points each, and 20 frames and a million bits a second."""
    instants = range(0, len(sizes) * 10 + 1, 5)
    size = [sizes[min(instant // 10, len(sizes) - 1)] for instant in instants]
    return {
        "bitrate": [(instant, 1e6) for instant in instants],
        "framerate": [(instant, 20) for instant in instants],
        "resolution_width": [(instant, width) for instant, (width, _) in zip(instants, size, strict=True)],
        "resolution_height": [(instant, height) for instant, (_, height) in zip(instants, size, strict=True)],
    }


def test_orientation_swap_is_not_a_switch(world: SmallWorld, query: Query) -> None:
    """1280×720, turned, down to 640×360, up: one down, one up, in 40 s. Height is the shorter side."""
    world.track(resolutions((1280, 720), (720, 1280), (640, 360), (1280, 720)))
    quality = only(query("FROM track_quality"))
    assert (quality["switches_up"], quality["switches_down"]) == (1, 1)
    assert quality["resolution_switches_per_minute"] == 3
    assert dict(quality["height_seconds"]) == {360: 10, 720: 30}
    assert (quality["height_p95"], quality["downscale_share"]) == (720, 0.25)


def test_downscaling_compares_with_what_the_track_could_send(world: SmallWorld, query: Query) -> None:
    """A camera of 360 lines that always sends 360 is not downscaled."""
    world.track(resolutions((640, 360), (640, 360)))
    assert only(query("FROM track_quality"))["downscale_share"] == 0


def test_bits_per_pixel_frame(world: SmallWorld, query: Query) -> None:
    """A million bits per second over 20 frames of 1000×500: 0.1 bits. A screen share has none."""
    world.track(resolutions((1000, 500)), track="cam")
    world.track(resolutions((1000, 500)), track="screen", kind="screenshare")
    camera, screen = query("FROM track_quality ORDER BY track_id")
    assert camera["bits_per_pixel_frame"] == pytest.approx(0.1)
    assert screen["bits_per_pixel_frame"] is None


def test_warnings_are_per_hour_with_data(world: SmallWorld, query: Query) -> None:
    """2 warnings in 60 active seconds: 120 an hour."""
    world.track(steady(0, 60))
    world.warning(10)
    world.warning(20)
    quality = only(query("FROM track_quality"))
    assert (quality["warnings"], quality["warnings_per_hour"]) == (2, 120)


def test_ongoing_stay_lasts_until_its_last_point(world: SmallWorld, query: Query) -> None:
    """Without left_at and duration: joined at 0, last point at 60 s, 40 s of data."""
    world.rows["participant_sessions"].clear()
    world.stay(until=None)
    world.track(steady(20, 60))
    quality = only(query("FROM track_quality"))
    assert (quality["stay_seconds"], quality["coverage"]) == (60, pytest.approx(40 / 60))


# Verdicts.


def test_steady_camera_is_good(world: SmallWorld, query: Query) -> None:
    """30 frames per second for the whole stay."""
    world.track(steady(0, 60))
    quality = only(query("FROM track_quality"))
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
def test_low_framerate_depends_on_the_kind_of_track(
    world: SmallWorld, query: Query, kind: str | None, framerate: float, expected: str
) -> None:
    """Under 7 for cameras, under 2 for screen share in any spelling. Other kinds have no rule."""
    world.track(steady(0, 60, framerate=framerate), kind=kind)
    assert only(query("FROM track_quality"))["class"] == expected


def test_edited_thresholds_take_effect_at_once(world: SmallWorld, query: Query) -> None:
    """A camera at 10 frames is good until low_framerate is 15. Nothing else is rebuilt."""
    world.track(steady(0, 60, framerate=10))
    assert only(query("FROM track_quality"))["class"] == "good"
    query("UPDATE quality_thresholds SET low_framerate = 15 WHERE track_kind = 'camera'")
    quality = only(query("FROM track_quality"))
    assert (quality["class"], quality["poor_due_to"], quality["low_framerate_share"]) == ("poor", "low framerate", 1)
    assert only(query("FROM call_quality"))["peak_publishers_low"] == 1


@pytest.mark.parametrize(
    ("until", "stay", "reason"),
    [(29, 29, "too short"), (30, 60, None), (30, 61, "low coverage"), (0, 60, "too short")],
)
def test_too_little_data_is_unclassified(
    world: SmallWorld, query: Query, until: int, stay: int, reason: str | None
) -> None:
    """Under 30 active seconds, or under half of the stay: unclassified, however bad the data."""
    world.rows["participant_sessions"].clear()
    world.stay(until=stay)
    world.track(steady(0, until, 1, framerate=1))
    quality = only(query("FROM track_quality"))
    assert quality["unclassified_due_to"] == reason
    assert quality["class"] == ("unclassified" if reason else "poor")


def test_camera_without_frame_rates_is_not_good(world: SmallWorld, query: Query) -> None:
    """Bitrate all the time, frame rates for 20 s only: there is too little data for the rule."""
    world.track({"bitrate": [(n, 1) for n in range(61)], "framerate": [(n, 30) for n in range(21)]})
    assert only(query("FROM track_quality"))["unclassified_due_to"] == "too short"


def test_track_without_points_is_unclassified_without_minimums_too(world: SmallWorld, query: Query) -> None:
    """No threshold makes missing data good."""
    world.track({})
    query("UPDATE quality_thresholds SET min_active_seconds = 0, min_coverage = 0")
    quality = only(query("FROM track_quality"))
    assert (quality["class"], quality["active_seconds"], quality["coverage"]) == ("unclassified", 0, 0)


def test_audio_is_judged_if_a_user_sets_a_rule(world: SmallWorld, query: Query) -> None:
    """No statistic of audio distinguishes good from poor by itself."""
    world.track(steady(0, 60, bitrate=16_000, framerate=None), kind="audio")
    assert only(query("FROM track_quality"))["unclassified_due_to"] == "no rule"
    query("UPDATE quality_thresholds SET min_bitrate = 20000 WHERE track_kind = 'audio'")
    assert only(query("FROM track_quality"))["poor_due_to"] == "low bitrate"


def test_send_stalls_make_a_camera_poor(world: SmallWorld, query: Query) -> None:
    """5 s of 60 without frames are more than 5 % of the time, and less than 10 %."""
    points = [(instant, 0 if instant == 30 else 30) for instant in range(0, 61, 5)]
    world.track({"bitrate": points, "framerate": points})
    assert only(query("FROM track_quality"))["poor_due_to"] == "send stalls"
