"""Points become samples and come back as the same points, for any chunks and any alignment of metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import METRICS, TABLES, TRACK_KEY
from pipeline.warehouse.pivot import SERIES_KEY, chunk_by_track, pivot_to_samples
from tests.support import DAY, at, examples

SCHEMA = TABLES["metric_points"].schema
STEP = 15
IDS = ("default", "standup", "s1", "ann", "ann-1")

Point = tuple[str | None, str | None, str | None, str, int, float]
"""Track id, type, codec, metric, seconds since ten o'clock, value."""


def table(points: list[Point]) -> pa.Table:
    """Return rows of `metric_points`, in the order of the file."""
    rows = [(*IDS, *point) for point in points]
    names = [*TRACK_KEY, "codec", "metric", "timestamp", "value"]
    columns = dict(zip(names, zip(*rows, strict=True) if rows else ([] for _ in names), strict=True))
    columns["timestamp"] = [at(10, 0, second) for second in columns["timestamp"]]
    columns["session_date"] = [DAY] * len(rows)
    plain = pa.table({field.name: pa.array(columns[field.name], field.type) for field in SCHEMA})
    return as_read(plain)


def as_read(plain: pa.Table) -> pa.Table:
    """Turn text columns into dictionaries, as the lake reads them."""
    for place, field in enumerate(plain.schema):
        if pa.types.is_string(field.type):
            plain = plain.set_column(place, field.name, plain.column(field.name).dictionary_encode())
    return plain


def cut(points: pa.Table, places: list[int]) -> Iterator[pa.Table]:
    """Yield the rows in chunks that begin at these places, each with dictionaries of its own."""
    for begin, end in pairwise(sorted({0, points.num_rows, *(min(place, points.num_rows) for place in places)})):
        chunk = points.slice(begin, end - begin)
        yield as_read(pa.table({name: chunk.column(name).cast(SCHEMA.field(name).type) for name in SCHEMA.names}))


def plain(rows: pa.Table) -> list[dict[str, Any]]:
    return pa.table({name: rows.column(name).cast(SCHEMA.field(name).type) for name in SCHEMA.names}).to_pylist()


def sampled(chunks: list[pa.Table]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the series and samples of chunks of whole tracks, numbered through."""
    series, samples, first = [], [], 0
    for chunk in chunks:
        described, measured = pivot_to_samples(chunk, first)
        first += described.num_rows
        series += described.to_pylist()
        samples += measured.to_pylist()
    return series, samples


def points_of(series: list[dict[str, Any]], samples: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Turn samples into points again."""
    by_id = {one["series_id"]: tuple(one[name] for name in SERIES_KEY) for one in series}
    return [
        (*by_id[sample["series_id"]], metric, sample["timestamp"], sample[metric])
        for sample in samples
        for metric in METRICS
        if sample[metric] is not None
    ]


@st.composite
def days(draw: st.DrawFn) -> list[Point]:
    """Draw the points of a few tracks in the order of the table, with any alignment of metrics and changes of codec."""
    points: dict[tuple[str | None, str | None, str, int], tuple[str | None, float]] = {}
    names = st.sampled_from(["a", "b", None])
    for _ in range(draw(st.integers(0, 4))):
        track, kind = draw(names), draw(st.sampled_from(["audio", "video", None]))
        instants = draw(st.lists(st.integers(0, 12), max_size=8, unique=True))
        for metric in draw(st.lists(st.sampled_from(METRICS), unique=True)):
            mine = instants if draw(st.booleans()) else draw(st.lists(st.integers(0, 12), max_size=8, unique=True))
            for place, second in enumerate(sorted(mine)):
                codec = draw(st.sampled_from(["vp8", "vp8", "vp8", "h264", None]))
                points[track, kind, metric, second * STEP] = (codec, float(place))
    return [
        (track, kind, codec, metric, second, value)
        for (track, kind, metric, second), (codec, value) in sorted(
            points.items(),
            key=lambda item: (
                (item[0][0] is None, item[0][0] or ""),
                (item[0][1] is None, item[0][1] or ""),
                METRICS.index(item[0][2]),
                item[0][3],
            ),
        )
    ]


def test_example_of_the_module() -> None:
    """The docstring of `pivot` is right."""
    points = table(
        [
            ("cam", "video", "vp8", "bitrate", 0, 800_000),
            ("cam", "video", "vp8", "bitrate", 5, 900_000),
            ("cam", "video", "h264", "bitrate", 10, 700_000),
            ("cam", "video", "vp8", "framerate", 0, 30),
            ("cam", "video", "h264", "framerate", 10, 25),
        ]
    )
    series, samples = pivot_to_samples(points, 7)
    assert series.select(["series_id", "track_id", "codec"]).to_pylist() == [
        {"series_id": 7, "track_id": "cam", "codec": "vp8"},
        {"series_id": 8, "track_id": "cam", "codec": "h264"},
    ]
    assert [tuple(row.values()) for row in samples.to_pylist()] == [
        (7, at(10, 0, 0), 800_000, 30, None, None),
        (7, at(10, 0, 5), 900_000, None, None, None),
        (8, at(10, 0, 10), 700_000, 25, None, None),
    ]


@given(days(), st.lists(st.integers(0, 60), max_size=6))
@examples(100)
def test_points_survive_the_pivot(points: list[Point], places: list[int]) -> None:
    """Cut anywhere, joined to whole tracks, turned into samples and back: no point is lost, changed or added."""
    given_points = table(points)
    whole = list(chunk_by_track(cut(given_points, places)))
    series, samples = sampled(whole)
    back = points_of(series, samples)
    expected = [
        (*(row[name] for name in SERIES_KEY), row["metric"], row["timestamp"], row["value"])
        for row in plain(given_points)
    ]
    assert sorted(back, key=repr) == sorted(expected, key=repr)


@given(days(), st.lists(st.integers(0, 60), max_size=6))
@examples(100)
def test_chunks_contain_whole_tracks_in_order(points: list[Point], places: list[int]) -> None:
    """Every row once, in order, and no track in two chunks."""
    given_points = table(points)
    whole = list(chunk_by_track(cut(given_points, places)))
    assert [row for chunk in whole for row in plain(chunk)] == plain(given_points)
    tracks = [{(row["track_id"], row["track_type"]) for row in plain(chunk)} for chunk in whole]
    assert all(one for one in tracks)
    assert sum(map(len, tracks)) == len(set().union(*tracks))


@given(days(), st.lists(st.integers(0, 60), max_size=6))
@examples(100)
def test_samples_are_sorted_and_unique_per_instant(points: list[Point], places: list[int]) -> None:
    """Series are numbered without gaps and are all different. A series has no instant twice."""
    series, samples = sampled(list(chunk_by_track(cut(table(points), places))))
    assert [one["series_id"] for one in series] == list(range(len(series)))
    keys = [(sample["series_id"], sample["timestamp"]) for sample in samples]
    assert keys == sorted(set(keys))
    assert len({tuple(one[name] for name in SERIES_KEY) for one in series}) == len(series)
    assert all(any(sample[metric] is not None for metric in METRICS) for sample in samples)


def video(codec: str = "vp8", **metrics: dict[int, float]) -> list[Point]:
    """Return a video track: by metric, the value at each second."""
    return [
        ("v", "video", codec, metric, second, value)
        for metric in METRICS
        for second, value in sorted(metrics.get(metric, {}).items())
    ]


def values(points: list[Point]) -> dict[str, list[tuple[Any, ...]]]:
    """Return by codec the samples: second, then a value for each metric."""
    series, samples = sampled(list(chunk_by_track([table(points)])))
    codecs = {one["series_id"]: one["codec"] for one in series}
    out = defaultdict(list)
    for sample in samples:
        second = int((sample["timestamp"] - at(10)).total_seconds())
        out[codecs[sample["series_id"]]].append((second, *(sample[metric] for metric in METRICS)))
    return dict(out)


def test_metrics_of_equal_instants_are_side_by_side() -> None:
    """The usual case: one row per instant, one column per metric."""
    points = video(
        bitrate={0: 10, 5: 11},
        framerate={0: 30, 5: 29},
        resolution_height={0: 720, 5: 720},
        resolution_width={0: 1280, 5: 1280},
    )
    assert values(points) == {"vp8": [(0, 10, 30, 720, 1280), (5, 11, 29, 720, 1280)]}


def test_metrics_of_different_instants_are_null_in_between() -> None:
    """A metric without a point at an instant is null."""
    points = video(bitrate={0: 10, 5: 11, 15: 12}, framerate={5: 30, 10: 29})
    assert values(points) == {
        "vp8": [
            (0, 10, None, None, None),
            (5, 11, 30, None, None),
            (10, None, 29, None, None),
            (15, 12, None, None, None),
        ]
    }


def test_metrics_with_as_many_points_at_other_instants_are_not_aligned() -> None:
    """An equal number of points does not mean equal instants."""
    points = video(bitrate={0: 10, 10: 11}, framerate={5: 30, 10: 29})
    assert values(points) == {"vp8": [(0, 10, None, None, None), (5, None, 30, None, None), (10, 11, 29, None, None)]}


def test_codec_that_comes_back_is_one_series() -> None:
    """A track that changes to another codec and back has two series, not three."""
    points: list[Point] = [
        ("v", "video", codec, "bitrate", second, float(second))
        for second, codec in ((0, "vp8"), (5, "h264"), (10, "vp8"))
    ]
    nothing = (None, None, None)
    assert values(points) == {"vp8": [(0, 0, *nothing), (10, 10, *nothing)], "h264": [(5, 5, *nothing)]}


def test_no_points_give_no_chunks() -> None:
    """Neither no chunks nor chunks without rows yield a chunk."""
    assert list(chunk_by_track([])) == []
    assert list(chunk_by_track([table([]), table([])])) == []
