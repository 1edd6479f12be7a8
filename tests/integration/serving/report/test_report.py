"""Making and writing a report, and the command that does it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from pipeline.errors import FixSettings, FixStorage
from pipeline.serving import report
from tests.support.reports import NOW, lose_a_window, promise
from tests.support.small_world import SmallWorld


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/dev/null", "/dev/null is not a file; name one with -o, or use -o - for standard output"),
        ("no/x.html", "no/x.html cannot be written (No such file or directory); choose another file with -o"),
    ],
)
def test_write_refuses_what_is_not_a_file(path: str, message: str) -> None:
    """A device is not replaced by a page."""
    with pytest.raises((FixSettings, FixStorage), match=f"^{re.escape(message)}$"):
        report.write(report.Report(b"new", "x.html", ()), Path(path))


def test_make_refuses_an_outdated_database(published: Callable[[], Path]) -> None:
    """One sentence says how to rebuild it."""
    path = published()
    with duckdb.connect(str(path)) as database:
        database.execute("DROP TABLE ingest_completeness_by_call")
    with pytest.raises(FixStorage, match=r"cannot be used for reports .*`call-metrics rebuild` rebuilds it"):
        report.make(path, "s1", None, NOW)


def test_write_replaces_the_page_whole(tmp_path: Path) -> None:
    """A folder in the way is refused, and nothing is left behind."""
    made = report.Report(b"new", "x.html", ())
    (tmp_path / "x.html").write_bytes(b"old")
    report.write(made, tmp_path / "x.html")
    assert (tmp_path / "x.html").read_bytes() == b"new"
    (tmp_path / "folder").mkdir()
    with pytest.raises(FixSettings, match="is not a file"):
        report.write(made, tmp_path / "folder")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "x.html"]


@pytest.mark.parametrize(
    ("session", "expected"),
    [("../../x", "report-.._.._x.html"), ("会议室 🎥", "report-会议室_.html"), ("a" * 300, f"report-{'a' * 60}.html")],
)
def test_file_name_is_safe(world: SmallWorld, published: Callable[[], Path], session: str, expected: str) -> None:
    """It has no separator and no space, and is no longer than a file system allows."""
    world.call(session)
    assert report.make(published(), session, None, NOW).file_name == expected


# The command.


def command(folder: Path, *arguments: str) -> tuple[int, bytes, str]:
    environment = {"PATH": os.environ["PATH"], "CALL_METRICS_WAREHOUSE": str(folder / "published.duckdb")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "report", *arguments], capture_output=True, cwd=folder, env=environment
    )
    return done.returncode, done.stdout, done.stderr.decode()


def test_command_writes_a_complete_call(world: SmallWorld, published: Callable[[], Path], tmp_path: Path) -> None:
    """Exit code 0, path and size. Nothing else is left in the folder. `-o -` prints the page itself."""
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


def test_command_writes_an_incomplete_call_with_exit_code_1(
    world: SmallWorld, published: Callable[[], Path], tmp_path: Path
) -> None:
    """A sentence says what is missing."""
    lose_a_window(world)
    published()
    code, out, err = command(tmp_path, "s1", "-o", "x.html")
    assert (code, out[:7]) == (1, b"x.html ")
    assert err == (
        "call-metrics: the page is written, but the call's data is incomplete: 1 window has no final response "
        "(1 failed after all retries).\n"
    )
    assert (tmp_path / "x.html").stat().st_size > 4e6


def test_command_refuses_an_unknown_call_with_exit_code_2(published: Callable[[], Path], tmp_path: Path) -> None:
    """It prints one sentence and writes no file."""
    published()
    message = "call-metrics: no call session 's9'; there are 's1' ('default:standup', 2026-11-01 00:00 UTC)\n"
    assert command(tmp_path, "s9") == (2, b"", message)
    assert not list(tmp_path.glob("*.html"))


def test_other_commands_do_not_import_the_charts() -> None:
    """The command line imports neither Plotly nor Jinja before a report is made."""
    code = "import sys, pipeline.cli.main; print([name for name in ('plotly', 'jinja2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
