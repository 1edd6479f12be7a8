"""How good the calls of a day were, as Dagster shows it."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable
from datetime import timedelta
from xml.etree import ElementTree

import dagster as dg
import pytest

from pipeline.emulator import Emulator, ManualClock, World, demo_world, uniform_world
from pipeline.flow import Flow
from pipeline.orchestration.day_quality import describe_quality, quality_metadata
from pipeline.orchestration.definitions import defs
from pipeline.quality.day import DayQuality
from pipeline.settings import Settings
from pipeline.warehouse.published import open_published
from tests.support.flows import run
from tests.support.orchestration import AFTERWARDS, DAY

CALL_ROW = {"call_type": "t", "call_id": "c", "publishers": 1, "poor": 1, "good": 0, "framerate_p5": None}


def test_day_quality_agrees_with_the_views(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """Numbers to plot, the same as in the views, the worst calls by name, and a picture, in little space."""
    world = demo_world(DAY, days=1)
    with Emulator(world, clock=ManualClock(AFTERWARDS)) as emulator:
        settings = configured(emulator)
        job = defs().resolve_job_def("ingest")
        assert job.execute_in_process(partition_key=f"{DAY}", instance=instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey(["warehouse", "call_sessions"]))
    assert event is not None
    assert event.asset_materialization is not None
    shown = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    with open_published(settings.warehouse) as database:
        sums = "sum(publishers), sum(good_publishers), sum(poor_publishers), sum(unclassified_publishers)"
        viewed = database.execute(f"SELECT {sums} FROM call_quality").fetchone()
        worst = database.execute(
            "SELECT call_id FROM call_quality ORDER BY poor_publishers DESC, quality_score LIMIT 1"
        ).fetchone()
        rates = "SELECT min(framerate_p5) FROM track_quality WHERE track_kind = 'camera'"
        assert database.execute(rates).fetchone() <= (shown["framerate_p5_of_worst_hour"] + 1,)
    names = ("publishers", "publishers_good", "publishers_poor", "publishers_unclassified")
    assert tuple(shown[name] for name in names) == viewed
    assert shown["publishers_poor"] > 0
    assert shown["publishers_poor_share"] == shown["publishers_poor"] / (
        shown["publishers_poor"] + shown["publishers_good"]
    )
    assert f"{shown['publishers']} publishers in " in shown["quality"]
    assert worst is not None
    assert worst[0].replace("-", "\\-") in shown["quality"]
    assert len(shown["quality"]) < 1000, "longer, and Dagster hides it behind a link"
    picture = base64.b64decode(re.search(r"base64,([^)]+)\)", shown["quality_picture"])[1])
    shapes = ElementTree.fromstring(picture)
    assert {shape.tag.rpartition("}")[2] for shape in shapes} == {"rect", "text"}
    assert f"{shown['publishers_poor']} poor" in [shape.text for shape in shapes]


@pytest.mark.slow
def test_day_quality_includes_days_that_are_not_published_yet(flow_for: Callable[..., Flow]) -> None:
    """In a backfill of many days, which publishes seldom, every day has its own numbers."""
    days = [DAY, DAY + timedelta(days=1)]
    with Emulator(
        uniform_world(days[0], calls=1) + uniform_world(days[1], calls=2), clock=ManualClock(AFTERWARDS)
    ) as emulator:
        flow = flow_for(emulator)
        with flow.warehouse.publishing_seldom(3600):
            for day in days:
                run(flow, day)
                shown = quality_metadata(flow, day, logging.getLogger("pipeline"))
                assert shown["publishers"] == (10 if day == days[0] else 20)


def test_day_quality_of_a_day_without_calls_has_no_picture(
    flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """It says that there were no publishers; without a database there is nothing, and one warning."""
    log = logging.getLogger("pipeline")
    with Emulator(World(()), clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        assert quality_metadata(flow, DAY, log) == {}
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        run(flow, DAY)
        shown = quality_metadata(flow, DAY, log)
    assert shown.pop("quality").value == "0 publishers in 0 calls: 0 good, 0 poor, 0 unclassified."
    assert set(shown.values()) == {0}


def test_day_quality_escapes_the_names_of_calls() -> None:
    """An id that looks like Markdown or HTML is shown as it is, on one line."""
    odd = "a|b\n**c** <img src=x> [d](e) `f`"
    metadata = describe_quality(DayQuality([CALL_ROW | {"call_id": odd}], {}))
    row = metadata["quality"].value.splitlines()[-1]
    assert row == r"| t\:a\|b \*\*c\*\* \<img src\=x\> \[d\]\(e\) \`f\` | 1 of 1 | – |"
