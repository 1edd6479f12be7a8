"""The page as a whole: its parts, its limits, and what a browser makes of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.serving import report
from pipeline.serving.report import content, figures
from tests.support.browser import CHROMIUM, Page
from tests.support.reports import HOSTILE, NOW, figures_of, lose_a_window, promise, text_of
from tests.support.small_world import IDS, SmallWorld, seconds, steady

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH")


def test_page_about_one_user_shows_no_other(world: SmallWorld, published: Callable[[], Path]) -> None:
    """Tables and charts have no other user. The figures of the call stay."""
    promise(world)
    made = report.make(published(), "s1", "bob", NOW)
    assert set(figures_of(made)) == {"timeline", "stay-1", "stay-2"}
    shown = text_of(made)
    assert "Call report for one user: bob" in shown
    assert "cleo" not in shown


def test_time_without_a_response_is_marked(world: SmallWorld, published: Callable[[], Path]) -> None:
    """A failed window is striped on the timeline, shaded in the chart, and a row of a table."""
    lose_a_window(world)
    made = report.make(published(), "s1", None, NOW)
    figures = figures_of(made)
    (striped,) = [trace for trace in figures["timeline"]["data"] if trace["name"] == "no usable response"]
    window = [round(seconds(at).timestamp() * 1000) for at in (700, 900)]
    assert striped["x"][:2] == window
    shaded = [(shape["x0"], shape["x1"]) for shape in figures["stay-1"]["layout"]["shapes"] if shape["type"] == "rect"]
    assert shaded == [tuple(window)]
    assert "00:11:40 00:15:00 failed: no usable response after all retries" in text_of(made)


def test_stay_without_a_response_is_not_called_silent(world: SmallWorld, published: Callable[[], Path]) -> None:
    """Cleo published nothing. Nothing is known about dan, because his only window failed."""
    world.stay("dan", 0, 600)
    ids = {"user_id": "dan", "user_session_id": "dan", "since": seconds(0), "until": seconds(600)}
    world.rows["windows"].append(IDS | ids | {"state": "failed"})
    cleo, dan = (text_of(report.make(published(), "s1", user, NOW)) for user in ("cleo", "dan"))
    assert "cleo ○ unclassified published nothing Published nothing: there is nothing to draw." in cleo
    assert "dan ○ unclassified no usable response No usable response: there is nothing to draw." in dan


def test_call_without_participants_has_a_page(published: Callable[[], Path], world: SmallWorld) -> None:
    """It has a sentence instead of charts and tables."""
    for table in ("participant_sessions", "tracks", "metric_points", "track_warnings"):
        world.rows[table].clear()
    made = report.make(published(), "s1", None, NOW)
    assert "No participants are known." in text_of(made)


def test_large_call_is_limited_and_says_what_is_left_out(world: SmallWorld, published: Callable[[], Path]) -> None:
    """A hundred and forty people, each with a camera for half a minute."""
    for number in range(136):
        world.stay(f"user-{number}", 0, 40)
        world.track(steady(0, 40, 10), user_id=f"user-{number}", user_session_id=f"user-{number}")
    made = report.make(published(), "s1", None, NOW)
    figures = figures_of(made)
    assert len(figures) == 1 + content.MAX_CHARTS
    assert len(figures["timeline"]["layout"]["yaxis"]["ticktext"]) == content.MAX_TIMELINE_ROWS
    shown = text_of(made)
    assert "Charts and tracks: the first 12 of 140 stays, worst first. The option --participant USER" in shown
    assert "Timeline: the first 24 of 140 stays" in shown
    assert "Table of people: the first 100 of 140 stays" in shown
    assert (
        made.html.count(b'<th scope="row"><bdi>') + made.html.count(b'<th scope="row"><a href="#s')
        >= content.MAX_TABLE_ROWS
    )


# In a browser.


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[report.Report], Page]]:
    """Return a function that opens a page in Chromium. Pages are closed after the test."""
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
def test_browser_draws_every_point_without_a_request(
    world: SmallWorld, published: Callable[[], Path], opened: Callable[[report.Report], Page]
) -> None:
    """All traces are drawn, with exactly the points that SQL returns, and the tables agree. Nothing is requested."""
    lose_a_window(world)
    path = published()
    shown = opened(report.make(path, "s1", None, NOW))
    drawn = shown.evaluate(DRAWN)
    assert shown.evaluate("document.documentElement.dataset.drawn") == "all"
    assert set(drawn) == {"timeline", "stay-1", "stay-2", "stay-3"}
    for chart in drawn.values():
        assert chart["traces"] == len(chart["data"]) > 0
        assert chart["width"] == figures.WIDTH
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
    cells = shown.evaluate(
        "[...document.querySelectorAll('.stay .wide tbody tr')[0].cells].map(cell => cell.innerText)"
    )
    assert cells[1] == f"▼ poor {poor}"
    assert cells[8] == f"{100 * low:.1f} %"
    assert cells[9] == f"{stalls}\n{stalled:.0f} s"
    (warned,) = [trace for trace in drawn["stay-1"]["data"] if trace["name"] == "warning"]
    assert warned["x"] == [round(seconds(at).timestamp() * 1000) for at in (310, 400)]
    assert shown.requests == [(path.parent / "page.html").as_uri()]
    assert shown.errors == []


def points(trace: dict[str, Any]) -> list[tuple[int, float]]:
    """Return the points of a line, without those that only mark how long the last point before a gap counts."""
    drawn = list(zip(trace["x"], trace["y"], strict=True))
    ends = {place for after, (_, value) in enumerate(drawn) if value is None for place in (after - 1, after)}
    return [point for place, point in enumerate(drawn) if place not in ends]


@needs_browser
def test_browser_shows_text_of_the_source_as_text(
    world: SmallWorld, published: Callable[[], Path], opened: Callable[[report.Report], Page]
) -> None:
    """No id and no warning becomes markup in the page, its scripts or its charts, and nothing can be sent from it."""
    for place, text in enumerate(HOSTILE):
        ids = {"user_id": text, "user_session_id": text}
        world.stay(text, 0, 60, user_session_id=text, client_name=text, city=text)
        world.track(steady(0, 60, framerate=place), track=text, codec=text, **ids)
        warning = {"track_id": text, "track_type": "video", "time": seconds(9), "code": text, "warning": text}
        world.rows["track_warnings"].append(IDS | ids | warning)
    world.rows["call_sessions"].clear()
    world.call(call_cid=HOSTILE[0])
    shown = opened(report.make(published(), "s1", None, NOW))
    shown.evaluate(
        "document.querySelectorAll('.chart').forEach(chart => chart.data.forEach(({name, yaxis}, curveNumber) =>"
        " name === 'warning' && Plotly.Fx.hover(chart, [{curveNumber, pointNumber: 0}], 'x' + (yaxis || 'y'))))"
    )
    assert shown.evaluate("document.querySelector('h1').innerText") == HOSTILE[0]
    titles = shown.evaluate("[...document.querySelectorAll('.stay h2 > bdi')].map(title => title.textContent)")
    assert set(HOSTILE) <= set(titles)
    labels = shown.evaluate("[...document.querySelectorAll('#timeline .ytick text')].map(label => label.textContent)")
    for text in HOSTILE:
        assert any(label.removeprefix("▼ ") == f"{text[:19]}…".replace("\u2028", " ") for label in labels), labels
    hovered = shown.evaluate("[...document.querySelectorAll('.hoverlayer')].map(layer => layer.textContent).join()")
    assert "<b>bold</b> <a href='http://127.0.0.1:9/'>x</a>" in hovered
    assert "%{y} {{ 7 * 7 }} ${x}" in hovered
    assert shown.evaluate("typeof window.pwned") == "undefined"
    assert shown.evaluate("document.querySelectorAll('img, iframe, link, object, a:not([href^=\"#\"])').length") == 0
    assert shown.errors == []
    assert shown.requests == [shown.evaluate("location.href")]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert shown.evaluate(f"fetch('{address}').then(() => 'sent', () => 'refused')") == "refused"
        attack = f"<img src={address} onerror=window.pwned=4><p onclick=window.pwned=5>"
        shown.evaluate(f"document.body.insertAdjacentHTML('beforeend', '{attack}'); document.body.lastChild.click()")
        assert shown.evaluate("new Promise(done => setTimeout(() => done(typeof window.pwned), 100))") == "undefined"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
