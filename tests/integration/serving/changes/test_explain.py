"""`call-metrics explain` on both kinds of warehouse: sentence, table, JSON, picture, and what cannot be explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from pipeline.catalog import LakeCatalog
from pipeline.serving.changes import Span, explain
from pipeline.settings import Settings
from pipeline.warehouse.choice import choose_turns
from pipeline.warehouse.ducklake import DuckLake
from pipeline.warehouse.load import Warehouse
from tests.support.explained import AFTER, BEFORE, Worse

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(warehouse_setting: str, tmp_path: Path) -> Settings:
    """Return settings with an empty warehouse of one kind."""
    return Settings.model_validate(
        {"CALL_METRICS_DATA": f"{tmp_path / 'data'}", "CALL_METRICS_WAREHOUSE": warehouse_setting}
    )


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Iterator[Run]:
    """Return a function that runs `call-metrics` on the warehouse."""
    names = {"CALL_METRICS_DATA": settings.location, "CALL_METRICS_WAREHOUSE": f"{settings.warehouse}"}
    environment = {"PATH": os.environ["PATH"], "HOME": f"{tmp_path}", "COLUMNS": "200", **names}
    if "PGPASSWORD" in os.environ:  # set by the fixture of a lake in PostgreSQL
        environment["PGPASSWORD"] = os.environ["PGPASSWORD"]

    def ran(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    return ran


def load(settings: Settings, source: Worse) -> None:
    """Load the source into the warehouse of the settings."""
    if isinstance(settings.warehouse, LakeCatalog):
        turns = choose_turns(settings.warehouse, settings.location, settings.work / "locks")
        lake = DuckLake(settings.warehouse, turns=turns)
        lake.load(source, source.days())
        lake.close()
    else:
        Warehouse(settings.warehouse, settings.data / "writer.duckdb").load(source, source.days())


def test_planted_version_is_explained(settings: Settings, run: Run, tmp_path: Path) -> None:
    """The command names it in a sentence, a table, JSON and a picture; the macro returns the same."""
    load(settings, Worse())
    spans = ("--from", f"{AFTER}", "--to", f"{AFTER}")
    code, out, err = run("explain", *spans)
    assert (code, err) == (0, "")
    sentence = out.splitlines()[0]
    # 6 of 60 are poor before. Of the 20 with version 2.0, 2 were; now all are.
    assert sentence.startswith(f"40.0 % of publishers' stays were poor in {AFTER}, 30.0 points (")
    assert f"more than in {BEFORE}; most of it, +30.0 points (" in sentence
    assert sentence.endswith("comes from version web 2.0 (rate).")
    assert "Judged stays: 60 before, 60 after. Left out as unclassified: 0 before, 0 after." in out
    assert out.splitlines()[3].split()[:5] == ["1", "version", "web", "2.0", "rate"]

    picture = tmp_path / "why.html"
    code, out, _ = run("explain", *spans, "--against", f"{BEFORE}..{BEFORE}", "--json", "--picture", f"{picture}")
    found = json.loads(out)
    assert code == 0
    assert found["sentence"] == sentence
    assert found["problem"] is None
    assert (found["since"], found["against_until"]) == (f"{AFTER}", f"{BEFORE}")
    top = found["parts"][0]
    assert (top["dimension"], top["value"], top["client_name"]) == ("client_version", "2.0", "web")
    assert sum(part["contribution"] for part in found["parts"]) == pytest.approx(found["change"], abs=1e-12)
    assert {part["value"] for part in found["parts"] if part["dimension"] == "network_type"} == {"wifi", "unknown"}
    page = picture.read_text()
    assert sentence.replace("'", "&#39;") in page
    assert '"type":"waterfall"' in page
    assert "http-equiv" in page

    ends = ", ".join(f"DATE '{day}'" for day in (AFTER, AFTER, BEFORE, BEFORE))
    code, out, err = run("sql", f"SELECT * FROM explain_change({ends})", "--format", "json")
    assert code == 0, err
    rows = json.loads(out)
    assert [row["rank"] for row in rows] == [part["rank"] for part in found["parts"]]
    assert [row["contribution"] for row in rows] == pytest.approx(
        [part["contribution"] for part in found["parts"]], abs=1e-9
    )


def test_too_little_data_has_no_ranking(settings: Settings, run: Run, tmp_path: Path) -> None:
    """With 20 stays a day, or none, the command says so, ranks nothing and exits with 1."""
    load(settings, Worse(people=20))
    code, out, err = run("explain", "--from", f"{AFTER}", "--to", f"{AFTER}", "--picture", "why.html")
    assert code == 1
    assert err == (
        "call-metrics: too few judged stays for a ranking (20 before, 20 after; it needs 30 each); add days\n"
    )
    assert "rank" not in out
    assert "% of publishers' stays were poor" in out
    assert "too few judged stays" in (tmp_path / "why.html").read_text()
    code, out, err = run("explain", "--from", "2026-10-02", "--to", "2026-10-03", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["parts"] == []
    assert found["problem"].startswith("no judged publisher's stay in 2026-10-02 to 2026-10-03, in 2026-09-30 to ")
    assert found["unpublished_days"] == ["2026-09-30", "2026-10-01", "2026-10-02", "2026-10-03"]
    assert err == f"call-metrics: {found['problem']}\n"


@pytest.mark.parametrize("settings", ["file"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "2026-11-02"), "call-metrics explain: missing --to; see `call-metrics explain --help`"),
        (("--from", "2026-11-02", "--to", "now"), "call-metrics: --to is 'now'; write a date as YYYY-MM-DD"),
        (("--from", "2026-11-02", "--to", "2026-11-01"), "call-metrics: --to 2026-11-01 is before --from 2026-11-02"),
        (
            ("--from", "2026-11-02", "--to", "2026-11-02", "--against", "2026-11-01"),
            "call-metrics: --against is '2026-11-01'; write two dates with two dots, such as ",
        ),
        (
            ("--from", "2026-11-02", "--to", "2026-11-02", "--against", "2026-11-01..2026-11-02"),
            "call-metrics: 2026-11-02 and 2026-11-01 to 2026-11-02 have days in common",
        ),
        (("--from", "0001-01-01", "--to", "0001-01-01"), "call-metrics: there are not 1 days before 0001-01-01; set"),
        (("--from", "2026-11-02", "--to", "2026-11-02", "--picture", "."), "call-metrics: . is not a file; name one"),
        (
            ("--from", "2026-11-02", "--to", "2026-11-02", "--picture", "no/where.html"),
            "call-metrics: no/where.html cannot be written (No such file or directory)",
        ),
    ],
)
def test_bad_arguments_are_refused(settings: Settings, run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    """In one sentence, with exit code 2."""
    load(settings, Worse(people=1))
    code, out, err = run("explain", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1


@pytest.mark.parametrize("settings", ["file"], indirect=True)
def test_text_of_the_source_is_harmless(settings: Settings, run: Run, tmp_path: Path) -> None:
    """A value cannot bring control characters to a terminal, or HTML to the page."""
    source = Worse()
    for row in source.rows["participant_sessions"]:
        if row.get("client_version") == "2.0":
            row["client_version"] = "\x1b[31m<script>alert(1)</script>[bold]"
    load(settings, source)
    code, out, _ = run("explain", "--from", f"{AFTER}", "--to", f"{AFTER}", "--picture", "why.html")
    assert code == 0
    assert "\x1b" not in out
    assert "<script>alert(1)</script>[bold]" in out
    page = (tmp_path / "why.html").read_text()
    assert "<script>alert" not in page


def test_macro_works_if_the_database_is_attached(tmp_path: Path) -> None:
    """BI tools attach the file under a name of their own, and USE it to call the macro."""
    source = Worse()
    Warehouse(tmp_path / "published.duckdb", tmp_path / "writer.duckdb").load(source, source.days())
    with duckdb.connect() as database:
        database.execute(f"ATTACH '{tmp_path / 'published.duckdb'}' AS calls (READ_ONLY); USE calls")
        query = "SELECT dimension, value FROM explain_change($after, $after, $before, $before) WHERE rank = 1"
        assert database.execute(query, {"after": AFTER, "before": BEFORE}).fetchall() == [("client_version", "2.0")]


def test_spans_without_a_common_day_can_be_in_any_order(settings: Settings) -> None:
    """The span to compare with may be later. The change is then the other way round."""
    load(settings, Worse())
    there = explain(settings.warehouse, Span(AFTER, AFTER), Span(BEFORE, BEFORE))
    back = explain(settings.warehouse, Span(BEFORE, BEFORE), Span(AFTER, AFTER))
    assert there.totals["change"] == pytest.approx(-back.totals["change"])
    assert there.parts[0].contribution == pytest.approx(-back.parts[0].contribution, abs=1e-3)
    assert there.parts[0].value == back.parts[0].value == "2.0"
