"""The report of one call: what is in it, how lines are drawn, what a browser makes of it, and the command."""

from __future__ import annotations

import html
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FixSettings, FixStorage
from pipeline.quality.track_statistics import GAP_STEPS
from pipeline.schema import WINDOW_STATES
from pipeline.serving import report
from pipeline.serving.report import charts, content, page
from pipeline.serving.report.content import Content
from pipeline.serving.report.lines import COLUMNS, FULL, line
from pipeline.warehouse.published import open_published
from tests.support import examples
from tests.support.browser import CHROMIUM, Page
from tests.support.small_world import IDS, SmallWorld, both, seconds, steady

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "<img src=http://127.0.0.1:9/ onerror=window.pwned=2>",
    "<b>bold</b> <a href='http://127.0.0.1:9/'>x</a>",
    "&lt;b&gt; &amp; %{y} {{ 7 * 7 }} ${x}",
    "\"'><svg/onload=window.pwned=3>\u2028<!--",
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH")


@pytest.fixture
def world() -> SmallWorld:
    """A call of an hour: ann poor, with a gap and a stall; bob good, twice; cleo watching; one window failed."""
    world = SmallWorld()
    world.call(cq_score=63)
    world.stay(
        "ann", 0, 1200, client_name="web", client_version="1.8", network_type="wifi", city="Oslo", country="Norway"
    )
    world.stay("bob", 0, 600)
    world.stay("bob", 700, 1300, user_session_id="bob-2")
    world.stay("cleo", 60, 3000)
    low, none = steady(300, 500, framerate=4, height=180), steady(505, 540, framerate=0)
    world.track(both(steady(0, 295), low, none, steady(545, 700), steady(900, 1195)), track="cam")
    world.track(steady(0, 1195, bitrate=32_000, framerate=None), track="mic", kind="audio", codec="opus")
    world.track(steady(0, 595), user_id="bob", user_session_id="bob")
    world.track(steady(700, 1295), user_id="bob", user_session_id="bob-2")
    world.warning(310)
    world.warning(400)
    return world


def promise(world: SmallWorld, **columns: Any) -> None:
    """What is held of the call; complete unless something else is said."""
    counts = {f"windows_{state}": 0 for state in WINDOW_STATES}
    counts |= {
        "windows_due": 0,
        "stays_promised": 4,
        "stays_held": 4,
        "stays_forgotten": 0,
        "windows_expected": 5,
        "windows_landed": 5,
    }
    world.rows["ingest_completeness_by_call"].append(IDS | counts | {"is_complete": True, "points": 9} | columns)


def lose_a_window(world: SmallWorld) -> None:
    """Ann's second window has failed for good."""
    stay = {"user_id": "ann", "user_session_id": "ann", "since": seconds(700), "until": seconds(900)}
    world.rows["windows"].append(IDS | stay | {"state": "failed", "error": "502"})
    promise(world, is_complete=False, windows_due=1, windows_failed=1, windows_landed=4)


@pytest.fixture
def published(world: SmallWorld, tmp_path: Path) -> Callable[[], Path]:
    """The world's database, made when first asked for."""

    def make() -> Path:
        world.load(tmp_path).close()
        return tmp_path / "published.duckdb"

    return make


def read(path: Path, participant: str | None = None) -> Content:
    with open_published(path) as database:
        return content.read(database, content.find(database, "s1"), participant)


def text_of(made: report.Report) -> str:
    """The page without scripts, styles and tags."""
    bare = re.sub(r"(?s)<(script|style)\b.*?</\1>|<[^>]*>", " ", made.html.decode())
    return " ".join(html.unescape(bare).split())


def figures_of(made: report.Report) -> dict[str, Any]:
    (found,) = re.findall(r'(?s)<script type="application/json" id="figures">(.*?)</script>', made.html.decode())
    return json.loads(found)


# Which call.


def test_a_call_is_named_by_its_session_or_by_type_and_id(published: Callable[[], Path]) -> None:
    """Both name the one session that the call has."""
    with open_published(published()) as database:
        assert content.find(database, "s1") == content.find(database, "default:standup")


def test_a_call_with_several_sessions_asks_which(world: SmallWorld, published: Callable[[], Path]) -> None:
    """The newest are listed, in one sentence."""
    world.call("s2", started_at=seconds(7200))
    with (
        open_published(published()) as database,
        pytest.raises(
            FixSettings, match=r"names 2 call sessions; choose one: 's2' \('default:standup', .* UTC\), 's1'"
        ),
    ):
        content.find(database, "default:standup")


def test_an_unknown_call_is_answered_with_those_most_like_it(world: SmallWorld, published: Callable[[], Path]) -> None:
    """A typing error finds its neighbour first."""
    world.call("meeting-77", started_at=seconds(10))
    with open_published(published()) as database:
        with pytest.raises(FixSettings, match=r"no call session 'meeting-7'; there are 'meeting-77' "):
            content.find(database, "meeting-7")
        with pytest.raises(FixSettings, match=r"no call session 'zzz'; there are 'meeting-77' .*, 's1'"):
            content.find(database, "zzz")


def test_an_unknown_user_is_answered_with_who_was_there(published: Callable[[], Path]) -> None:
    """In the order of joining."""
    with pytest.raises(FixSettings, match=r"no user 'zoe' in call session 's1'; there were 'ann', 'bob', 'cleo'$"):
        read(published(), "zoe")


# What is in it.


def test_the_worst_come_first(published: Callable[[], Path]) -> None:
    """Poor, then good, then those who published nothing; a user's stays are numbered."""
    found = read(published())
    assert [(charts.name_of(stay), stay.quality["class"]) for stay in found.stays] == [
        ("ann", "poor"),
        ("bob (1 of 2)", "good"),
        ("bob (2 of 2)", "good"),
        ("cleo", "unclassified"),
    ]


def test_what_stands_out_is_said_first(published: Callable[[], Path]) -> None:
    """Who is poor and why, who came back, and what the source warned of."""
    assert page.findings(read(published())) == [
        "Poor for low framerate: ann.",
        "With more than one stay: bob (2).",
        "2 warnings from the source: 2 × X.",
    ]
    assert page.findings(read(published(), "cleo")) == ["Nothing stands out in the data that is here."]


def test_one_participant_is_all_that_the_page_shows(world: SmallWorld, published: Callable[[], Path]) -> None:
    """Tables and charts have no other user; the figures of the call stay."""
    promise(world)
    made = report.make(published(), "s1", "bob", NOW)
    assert set(figures_of(made)) == {"timeline", "stay-1", "stay-2"}
    shown = text_of(made)
    assert "Call report for one user: bob" in shown
    assert "cleo" not in shown


def test_a_complete_call_says_so(world: SmallWorld, published: Callable[[], Path]) -> None:
    """With nothing missing, no sentence tells of anything missing."""
    promise(world)
    made = report.make(published(), "s1", None, NOW)
    assert made.shortfalls == ()
    assert "✓ Complete" in text_of(made)
    assert "Incomplete" not in text_of(made)


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ({"windows_due": 2, "windows_missing": 2}, "2 windows have no final response (2 not requested yet)."),
        ({"windows_due": 1, "windows_failed": 1}, "1 window has no final response (1 failed after all retries)."),
        ({"windows_due": 3}, "3 windows have no final response."),
        ({"windows_suspect": 1}, "1 window has timestamps that cannot be right."),
        ({"stays_promised": 7}, "4 of 7 stays are stored."),
        ({}, "The participants have not been listed in full since the call's report."),
    ],
)
def test_what_is_missing_is_said(
    world: SmallWorld, published: Callable[[], Path], lacking: dict[str, int], said: str
) -> None:
    """The page does not look complete when it is not."""
    promise(world, is_complete=False, **lacking)
    made = report.make(published(), "s1", None, NOW)
    assert [line for line in made.shortfalls if line.startswith(said)]
    assert f"⚠ Incomplete: what follows is not the whole call. {said}" in text_of(made)


def test_a_call_of_which_nothing_is_recorded_is_not_complete(published: Callable[[], Path]) -> None:
    """A database without a row on the call's completeness does not vouch for it."""
    assert report.make(published(), "s1", None, NOW).shortfalls == (
        "The database does not say how complete the call is.",
    )


def test_a_live_call_is_not_complete(world: SmallWorld, published: Callable[[], Path]) -> None:
    """It says when it was last looked at, and who is still there."""
    world.rows["call_sessions"].clear()
    world.call(ended_at=None, is_live=True, generated_at=seconds(900))
    world.stay("dan", 30, None)
    promise(world, is_complete=False)
    made = report.make(published(), "s1", None, NOW)
    assert made.shortfalls == (
        "The call was still live when last fetched, at 2026-11-01 00:15 UTC; later data is not stored.",
    )
    assert "still there" in text_of(made)


def test_what_the_source_no_longer_knows_is_told_all_the_same(world: SmallWorld, published: Callable[[], Path]) -> None:
    """Nothing is left to ask for, and still not all is here."""
    promise(world, windows_gone=1, stays_forgotten=2)
    shown = text_of(report.make(published(), "s1", None, NOW))
    assert "The source does not know 1 of 5 windows." in shown
    assert "2 stays of people who were erased on request are left out." in shown


def test_time_without_answer_is_marked(world: SmallWorld, published: Callable[[], Path]) -> None:
    """A failed window is a striped stretch on the timeline, a shaded one in the chart, and a row of a table."""
    lose_a_window(world)
    made = report.make(published(), "s1", None, NOW)
    figures = figures_of(made)
    (striped,) = [trace for trace in figures["timeline"]["data"] if trace["name"] == "no usable answer"]
    window = [round(seconds(at).timestamp() * 1000) for at in (700, 900)]
    assert striped["x"][:2] == window
    shaded = [(shape["x0"], shape["x1"]) for shape in figures["stay-1"]["layout"]["shapes"] if shape["type"] == "rect"]
    assert shaded == [tuple(window)]
    assert "00:11:40 00:15:00 failed: no usable response after all retries" in text_of(made)


def test_whatever_is_known_of_a_client_is_shown(world: SmallWorld, tmp_path: Path) -> None:
    """Columns that come later are shown where they have a value; addresses and coordinates are not."""
    world.rows["participant_sessions"][0] |= {"client_ip": "198.51.100.7", "latitude": 59.91}
    with world.load(tmp_path) as database:
        database.execute("ALTER TABLE participant_sessions ADD COLUMN shell VARCHAR")
        database.execute("ALTER TABLE participant_sessions ADD COLUMN shell_version VARCHAR")
        database.execute("ALTER TABLE participant_sessions ADD COLUMN uplink_ms BIGINT")
        database.execute("UPDATE participant_sessions SET shell = 'Electron', shell_version = '40', uplink_ms = 31")
    shown = text_of(report.make(tmp_path / "published.duckdb", "s1", "ann", NOW))
    assert "Client web 1.8 Network wifi Place Oslo, Norway Shell Electron 40 Uplink (ms) 31" in shown
    assert "198.51.100.7" not in shown
    assert "59.91" not in shown


def test_a_call_without_anybody_has_a_page(published: Callable[[], Path], world: SmallWorld) -> None:
    """No chart, no table, and a sentence."""
    for table in ("participant_sessions", "tracks", "metric_points", "track_warnings"):
        world.rows[table].clear()
    made = report.make(published(), "s1", None, NOW)
    assert "Nobody is known to have taken part." in text_of(made)


def test_instants_that_the_source_lacks_are_called_unknown(world: SmallWorld, published: Callable[[], Path]) -> None:
    """A stay without joining and leaving is drawn from its data, with another mark than an edge."""
    world.rows["participant_sessions"].clear()
    world.stay("ann", until=None)
    world.rows["participant_sessions"][0]["joined_at"] = None
    made = report.make(published(), "s1", "ann", NOW)
    names = [trace["name"] for trace in figures_of(made)["timeline"]["data"]]
    assert "start or end not known" in names
    assert "joined, left" not in names
    assert "Joined not known Left not known" in text_of(made)


def test_a_large_call_keeps_to_a_page_and_says_what_is_left_out(world: SmallWorld, published: Callable[[], Path]) -> None:
    """A hundred and forty people, each with a camera for half a minute."""
    for number in range(136):
        world.stay(f"user-{number}", 0, 40)
        world.track(steady(0, 40, 10), user_id=f"user-{number}", user_session_id=f"user-{number}")
    made = report.make(published(), "s1", None, NOW)
    figures = figures_of(made)
    assert len(figures) == 1 + content.CHARTED
    assert len(figures["timeline"]["layout"]["yaxis"]["ticktext"]) == content.SHOWN
    shown = text_of(made)
    assert "Charts and tracks: the first 12 of 140 stays, worst first. The option --participant USER" in shown
    assert "Timeline: the first 24 of 140 stays" in shown
    assert "Table of people: the first 100 of 140 stays" in shown
    assert made.html.count(b'<th scope="row"><bdi>') + made.html.count(b'<th scope="row"><a href="#s') >= content.LISTED


# Lines.


def test_no_line_crosses_a_gap(published: Callable[[], Path]) -> None:
    """Ann's camera has no data from 705 to 900 s: the line holds for one step, and breaks."""
    ann = read(published()).stays[0]
    camera = next(track for track in ann.tracks if track.label == "T1 camera")
    drawn = line(camera.samples.instants, camera.samples.values["framerate"], camera.quality["step_seconds"])
    at = {round(instant / 1000 - seconds(0).timestamp()): place for place, instant in enumerate(drawn.instants)}
    assert np.isnan(drawn.values[at[705]])
    assert [place for place, value in enumerate(drawn.values) if np.isnan(value)] == [at[705], len(drawn.values) - 1]


def test_lines_stand_for_the_time_that_the_views_count(published: Callable[[], Path]) -> None:
    """The length of each metric's line is the seconds that track_statistics counts of it."""
    path = published()
    with duckdb.connect(str(path), read_only=True) as database:
        counted = {
            row[:3]: row[3:]
            for row in database.execute(
                "SELECT user_session_id, track_id, track_type, bitrate_seconds, framerate_seconds, resolution_seconds "
                "FROM store.track_statistics AS statistics JOIN store.series USING (track_number)"
            ).fetchall()
        }
    found = 0
    for stay in read(path).stays:
        for track in stay.tracks:
            drawn = [
                line(track.samples.instants, track.samples.values[metric], track.quality["step_seconds"])
                for metric in ("bitrate", "framerate", "height")
            ]
            lengths = [np.diff(each.instants)[~np.isnan(each.values[:-1])].sum() / 1000 for each in drawn]
            ids = stay.facts["user_session_id"], track.quality["track_id"], track.quality["track_type"]
            assert lengths == pytest.approx(counted[ids], abs=0.001)
            found += 1
    assert found == len(counted) == 4


def test_a_point_without_neighbours_is_a_dot(world: SmallWorld) -> None:
    """Five points, the third far from all others: a line of two, a dot, a line of two."""
    instants = np.array([0, 5, 100, 200, 205]) * 1_000_000
    drawn = line(instants, np.array([1.0, 2, 3, 4, 5]), 5)
    assert drawn.values[drawn.alone].tolist() == [3]
    assert [value for value in drawn.values.tolist() if value == value] == [1, 2, 2, 3, 3, 4, 5, 5]


@pytest.mark.parametrize("step", [None, 5.0])
def test_a_metric_without_points_has_no_line(step: float | None) -> None:
    """No point, and only points without a value."""
    for values in (np.array([]), np.array([np.nan, np.nan])):
        drawn = line(np.arange(len(values)), values, step)
        assert (drawn.points, len(drawn.instants), len(drawn.alone)) == (0, 0, 0)


@given(st.integers(0, 2**32))
@examples(20)
def test_a_long_line_keeps_the_extremes_of_every_column(seed: int) -> None:
    """Each column keeps its least and greatest value, no stretch reaches into a gap, and the line has a bound."""
    random = np.random.default_rng(seed)
    count = FULL + int(random.integers(1, 3000))
    instants = np.cumsum(random.integers(1, 40, count)) * 1_000_000
    values = random.integers(0, 10, count).astype(float)
    drawn = line(instants, values, 10)
    assert drawn.kept <= 4 * COLUMNS
    shown = {}
    for instant, value in zip(drawn.instants.tolist(), drawn.values.tolist(), strict=True):
        if value == value:
            shown.setdefault(instant, set()).add(value)
    column = (instants - instants[0]) * COLUMNS // (instants[-1] - instants[0] + 1)
    for number in set(column.tolist()):
        mine = np.flatnonzero(column == number)
        held = [value for place in mine for value in shown.get(instants[place] // 1000, ())]
        assert (min(held), max(held)) == (values[mine].min(), values[mine].max())
    gaps = np.flatnonzero(np.diff(instants) > GAP_STEPS * 10_000_000)
    drawn_here = ~np.isnan(drawn.values[:-1]) & ~np.isnan(drawn.values[1:])
    since, until = drawn.instants[:-1][drawn_here], drawn.instants[1:][drawn_here]
    for begin, end in zip(instants[gaps] // 1000 + 10_000, instants[gaps + 1] // 1000, strict=True):
        assert not ((since < end) & (until > begin)).any()


# Figures and text.


def test_plotly_accepts_every_figure(world: SmallWorld, published: Callable[[], Path]) -> None:
    """Its own validation finds nothing unknown in any of them."""
    lose_a_window(world)
    figures = figures_of(report.make(published(), "s1", None, NOW))
    assert set(figures) == {"timeline", "stay-1", "stay-2", "stay-3"}
    for figure in figures.values():
        go.Figure(figure)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_in_charts_is_no_markup(text: str) -> None:
    """Neither a tag nor an entity is left of it, and it reads as it was."""
    shown = charts.plain(text)
    assert "<" not in shown
    assert html.unescape(shown) == text.replace("\u2028", " ")


def test_long_text_in_charts_is_cut() -> None:
    """At the length that is asked for, one line, without what turns text around."""
    assert charts.plain("a" * 30, 10) == "aaaaaaaaa…"
    assert charts.plain("a\nb\u202ec") == "a b c"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (page.duration(None), "–"),
        (page.duration(0.25), "0.2 s"),
        (page.duration(59.96), "1 min 00 s"),
        (page.duration(3725), "1 h 02 min"),
        (page.bits(0), "0"),
        (page.bits(950), "950"),
        (page.bits(32_000), "32.0 k"),
        (page.bits(1_234_567), "1.23 M"),
        (page.bits(250_000), "250 k"),
        (page.percent(0.0001), "< 0.1 %"),
        (page.percent(0.9999), "> 99.9 %"),
        (page.percent(0.123), "12.3 %"),
        (page.percent(0), "0 %"),
        (page.number(29.97), "30.0"),
        (page.clock(seconds(5), seconds(0)), "00:00:05"),
        (page.clock(seconds(90_000), seconds(0)), "2026-11-02 01:00:00"),
    ],
)
def test_how_values_read(shown: str, expected: str) -> None:
    """Two units at most, three digits, and no share that is rounded to all or nothing."""
    assert shown == expected


# In a browser.


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[report.Report], Page]]:
    """Opens a page in Chromium; closed when the test is over."""
    pages: list[Page] = []

    def open_page(made: report.Report) -> Page:
        file = tmp_path / "page.html"
        report.write(made, file)
        pages.append(Page(file, tmp_path / "profile"))
        return pages[-1]

    yield open_page
    for each in pages:
        each.__exit__()


DRAWN = """
Object.fromEntries([...document.querySelectorAll('.chart')].map(chart => [chart.id, {
  traces: chart.querySelectorAll('.scatterlayer .trace').length,
  lines: [...chart.querySelectorAll('.scatterlayer path.js-line')].map(path => path.getAttribute('d').length),
  width: chart.querySelector('svg.main-svg').getBoundingClientRect().width,
  label: chart.getAttribute('aria-label'),
  data: chart.data.map(trace => ({name: trace.name, axis: trace.yaxis, mode: trace.mode,
    x: Array.from(trace.x), y: Array.from(trace.y, value => Number.isFinite(value) ? value : null)})),
}]))
"""


@needs_browser
def test_a_browser_draws_the_database_without_a_request(
    world: SmallWorld, published: Callable[[], Path], opened: Callable[[report.Report], Page]
) -> None:
    """All traces are drawn, with just the points that SQL gives, and the tables agree; nothing is asked for."""
    lose_a_window(world)
    path = published()
    shown = opened(report.make(path, "s1", None, NOW))
    drawn = shown.ask(DRAWN)
    assert shown.ask("document.documentElement.dataset.drawn") == "all"
    assert set(drawn) == {"timeline", "stay-1", "stay-2", "stay-3"}
    for chart in drawn.values():
        assert chart["traces"] == len(chart["data"]) > 0
        assert chart["width"] == charts.WIDTH
        assert chart["label"]
    lines = [trace for trace in drawn["stay-1"]["data"] if trace["mode"] == "lines"]
    assert len(drawn["stay-1"]["lines"]) == sum(trace["y"].count(None) for trace in lines)
    with duckdb.connect(str(path), read_only=True) as database:
        for name, axis, track, metric in (
            ("T1 camera", "y", "cam", "bitrate"),
            ("T1 camera", "y2", "cam", "framerate"),
            ("T1 camera", "y3", "cam", "resolution_height"),
            ("T2 audio", "y4", "mic", "bitrate"),
        ):
            (trace,) = [trace for trace in lines if (trace["name"], trace["axis"]) == (name, axis)]
            expected = database.execute(
                'SELECT epoch_ms("timestamp"), value FROM metric_points '
                "WHERE user_id = 'ann' AND track_id = ? AND metric = ? ORDER BY ALL",
                [track, metric],
            ).fetchall()
            assert points(trace) == [tuple(point) for point in expected]
        low, stalls, stalled, poor = database.execute(
            "SELECT low_framerate_share, send_stalls, send_stall_seconds, poor_due_to FROM track_quality "
            "WHERE user_id = 'ann' AND track_id = 'cam'"
        ).fetchone()
    cells = shown.ask("[...document.querySelectorAll('.stay .wide tbody tr')[0].cells].map(cell => cell.innerText)")
    assert cells[1] == f"▼ poor {poor}"
    assert cells[8] == f"{100 * low:.1f} %"
    assert cells[9] == f"{stalls}\n{stalled:.0f} s"
    (warned,) = [trace for trace in drawn["stay-1"]["data"] if trace["name"] == "warning"]
    assert warned["x"] == [round(seconds(at).timestamp() * 1000) for at in (310, 400)]
    assert shown.requests == [(path.parent / "page.html").as_uri()]
    assert shown.complaints == []


def points(trace: dict[str, Any]) -> list[tuple[int, float]]:
    """The points of a line, without the ends of the time that the last one before a gap counts for."""
    drawn = list(zip(trace["x"], trace["y"], strict=True))
    ends = {place for after, (_, value) in enumerate(drawn) if value is None for place in (after - 1, after)}
    return [point for place, point in enumerate(drawn) if place not in ends]


@needs_browser
def test_text_of_the_source_stays_text_in_a_browser(
    world: SmallWorld, published: Callable[[], Path], opened: Callable[[report.Report], Page]
) -> None:
    """No id and no warning becomes markup, in the page, its scripts or its charts, and nothing can be sent from it."""
    for place, text in enumerate(HOSTILE):
        ids = {"user_id": text, "user_session_id": text}
        world.stay(text, 0, 60, user_session_id=text, client_name=text, city=text)
        world.track(steady(0, 60, framerate=place), track=text, codec=text, **ids)
        warning = {"track_id": text, "track_type": "video", "time": seconds(9), "code": text, "warning": text}
        world.rows["track_warnings"].append(IDS | ids | warning)
    world.rows["call_sessions"].clear()
    world.call(call_cid=HOSTILE[0])
    shown = opened(report.make(published(), "s1", None, NOW))
    shown.ask(
        "document.querySelectorAll('.chart').forEach(chart => chart.data.forEach(({name, yaxis}, curveNumber) =>"
        " name === 'warning' && Plotly.Fx.hover(chart, [{curveNumber, pointNumber: 0}], 'x' + (yaxis || 'y'))))"
    )
    assert shown.ask("document.querySelector('h1').innerText") == HOSTILE[0]
    titles = shown.ask("[...document.querySelectorAll('.stay h2 > bdi')].map(title => title.textContent)")
    assert set(HOSTILE) <= set(titles)
    labels = shown.ask("[...document.querySelectorAll('#timeline .ytick text')].map(label => label.textContent)")
    for text in HOSTILE:
        assert any(label.removeprefix("▼ ") == f"{text[:19]}…".replace("\u2028", " ") for label in labels), labels
    hovered = shown.ask("[...document.querySelectorAll('.hoverlayer')].map(layer => layer.textContent).join()")
    assert "<b>bold</b> <a href='http://127.0.0.1:9/'>x</a>" in hovered
    assert "%{y} {{ 7 * 7 }} ${x}" in hovered
    assert shown.ask("typeof window.pwned") == "undefined"
    assert shown.ask("document.querySelectorAll('img, iframe, link, object, a:not([href^=\"#\"])').length") == 0
    assert shown.complaints == []
    assert shown.requests == [shown.ask("location.href")]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert shown.ask(f"fetch('{address}').then(() => 'sent', () => 'refused')") == "refused"
        attack = f"<img src={address} onerror=window.pwned=4><p onclick=window.pwned=5>"
        shown.ask(f"document.body.insertAdjacentHTML('beforeend', '{attack}'); document.body.lastChild.click()")
        assert shown.ask("new Promise(done => setTimeout(() => done(typeof window.pwned), 100))") == "undefined"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


# The command.


def command(folder: Path, *arguments: str) -> tuple[int, bytes, str]:
    environment = {"PATH": os.environ["PATH"], "CALL_METRICS_WAREHOUSE": str(folder / "published.duckdb")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "report", *arguments], capture_output=True, cwd=folder, env=environment
    )
    return done.returncode, done.stdout, done.stderr.decode()


def test_a_complete_call_is_written_beside_the_reader(
    world: SmallWorld, published: Callable[[], Path], tmp_path: Path
) -> None:
    """Exit code 0, path and size; nothing else is left in the folder; -o - is the page itself."""
    promise(world)
    published()
    before = {file.name for file in tmp_path.iterdir()}
    code, out, err = command(tmp_path, "s1")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"report-s1\.html \(\d\.\d MB\)\n", out.decode())
    assert {file.name for file in tmp_path.iterdir()} - before == {"report-s1.html"}
    code, out, err = command(tmp_path, "s1", "-o", "-")
    assert (code, err) == (0, "")
    assert out.startswith(b"<!DOCTYPE html>")


def test_an_incomplete_call_is_written_with_exit_code_1(
    world: SmallWorld, published: Callable[[], Path], tmp_path: Path
) -> None:
    """And a sentence that says what is missing."""
    lose_a_window(world)
    published()
    code, out, err = command(tmp_path, "s1", "-o", "x.html")
    assert (code, out[:7]) == (1, b"x.html ")
    assert err == (
        "call-metrics: the page is written, but the call's data is incomplete: 1 window has no final response "
        "(1 failed after all retries).\n"
    )
    assert (tmp_path / "x.html").stat().st_size > 4e6


def test_a_call_that_is_not_there_ends_with_exit_code_2(published: Callable[[], Path], tmp_path: Path) -> None:
    """One sentence, and no file."""
    published()
    said = "call-metrics: no call session 's9'; there are 's1' ('default:standup', 2026-11-01 00:00 UTC)\n"
    assert command(tmp_path, "s9") == (2, b"", said)
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/null", "/dev/null is no file; name one with -o, or -o - for standard output"),
        ("no/x.html", "no/x.html cannot be written (No such file or directory); choose another file with -o"),
    ],
)
def test_a_place_that_takes_no_file_is_refused(path: str, said: str) -> None:
    """A device is not replaced by a page."""
    with pytest.raises((FixSettings, FixStorage), match=f"^{re.escape(said)}$"):
        report.write(report.Report(b"new", "x.html", ()), Path(path))


def test_a_database_of_before_is_refused(published: Callable[[], Path]) -> None:
    """One sentence that says how to make it anew."""
    path = published()
    with duckdb.connect(str(path)) as database:
        database.execute("DROP TABLE ingest_completeness_by_call")
    with pytest.raises(FixStorage, match=r"cannot tell of calls .*`call-metrics rebuild` makes it anew"):
        report.make(path, "s1", None, NOW)


def test_a_page_replaces_the_one_before_or_nothing(tmp_path: Path) -> None:
    """A folder in the way is refused, and leaves nothing behind."""
    made = report.Report(b"new", "x.html", ())
    (tmp_path / "x.html").write_bytes(b"old")
    report.write(made, tmp_path / "x.html")
    assert (tmp_path / "x.html").read_bytes() == b"new"
    (tmp_path / "folder").mkdir()
    with pytest.raises(FixSettings, match="is no file"):
        report.write(made, tmp_path / "folder")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "x.html"]


@pytest.mark.parametrize(
    ("session", "expected"),
    [("../../x", "report-.._.._x.html"), ("会议室 🎥", "report-会议室_.html"), ("a" * 300, f"report-{'a' * 60}.html")],
)
def test_file_names_are_safe(world: SmallWorld, published: Callable[[], Path], session: str, expected: str) -> None:
    """No separator, no space, no more than a file system takes."""
    world.call(session)
    assert report.make(published(), session, None, NOW).file_name == expected


def test_other_commands_do_not_wait_for_the_charts() -> None:
    """The command line imports neither Plotly nor Jinja before a report is asked for."""
    code = "import sys, pipeline.cli.main; print([name for name in ('plotly', 'jinja2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_query_says_its_grain() -> None:
    """Each file begins with what a row of it is."""
    for file in (Path(content.__file__).parent / "queries").glob("*.sql"):
        assert file.read_text().startswith("-- Grain: one row"), file
