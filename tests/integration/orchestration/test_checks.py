"""The checks: what is missing of a day, in sentences, and whether yesterday is in the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from pipeline.emulator import Emulator, Fault, ManualClock, World
from pipeline.flow import Flow
from pipeline.orchestration.checks import completeness_results
from pipeline.orchestration.definitions import defs
from pipeline.settings import Settings
from tests.support.flows import run
from tests.support.orchestration import AFTERWARDS, DAY, WORLD


def test_checks_report_what_is_missing_in_sentences(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """A window without a response fails the check of its day and not the run; the check says when the day expires."""
    fault = Fault("unrecoverable", "participant_metrics", times=1)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        configured(emulator)
        job = defs().resolve_job_def("ingest")

        def evaluations() -> dict[str, Any]:
            result = job.execute_in_process(partition_key=f"{DAY}", instance=instance)
            assert result.success
            return {found.check_name: found for found in result.get_asset_check_evaluations()}

        first = evaluations()
        assert not first["every_window_has_landed"].passed
        assert first["every_window_has_landed"].description == (
            "2026-03-01: 1 window of 1 stay has no final response; the first of it expired at the source on 2026-05-30"
        )
        assert first["everyone_promised_is_held"].passed
        assert not first["nothing_is_about_to_be_forgotten"].passed
        assert {name: (found.passed, found.description) for name, found in evaluations().items()} == {
            "every_window_has_landed": (True, "2026-03-01: nothing is missing from 8 windows"),
            "everyone_promised_is_held": (True, "2026-03-01: stored: 4 stays in 2 calls; the source counts 4"),
            "nothing_is_about_to_be_forgotten": (True, "2026-03-01: nothing is missing"),
            "no_incident": (True, "2026-03-01: no incident was found"),
            "no_release_is_worse": (
                True,
                "no release has enough people for a comparison with the one before it",
            ),
        }


@pytest.mark.parametrize(
    ("now", "passed", "end"),
    [
        (datetime(2026, 3, 9, tzinfo=UTC), True, "2026-03-01: what is missing can be fetched until 2026-05-30"),
        (datetime(2026, 5, 25, tzinfo=UTC), False, "; the first of it expires at the source on 2026-05-30, in 5 days"),
        (datetime(2026, 6, 2, tzinfo=UTC), False, "; the first of it expired at the source on 2026-05-30"),
    ],
)
def test_expiry_check_fails_shortly_before_what_is_missing_expires(
    now: datetime, passed: bool, end: str, flow_for: Callable[..., Flow]
) -> None:
    """It passes while there is time, then says how much is left, then that it is too late."""
    fault = Fault("unrecoverable", "participant_metrics", times=1)
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS), faults=(fault,)) as emulator:
        flow = flow_for(emulator)
        run(flow, DAY)
        *_, expiry = completeness_results(flow.completeness(DAY), now)
    assert expiry.passed == passed
    assert expiry.description is not None
    assert expiry.description.endswith(end)


def test_morning_check_reports_whether_yesterday_is_loaded(
    configured: Callable[[Emulator], Settings], instance: dg.DagsterInstance
) -> None:
    """It fails after a backfill of an older day, passes with yesterday, even without calls, and runs no other step."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    with Emulator(World(())) as emulator:
        settings = configured(emulator)
        job = defs().resolve_job_def("morning_check")

        def morning() -> tuple[bool, str]:
            result = job.execute_in_process(instance=instance)
            assert result.success
            (found,) = result.get_asset_check_evaluations()
            assert not result.get_asset_materialization_events()
            return found.passed, found.description

        assert morning()[0] is False
        with Flow(settings) as flow:
            run(flow, yesterday - timedelta(days=1))
            passed, description = morning()
            assert not passed
            assert (
                f"{yesterday} is not in the database, the newest day in it is {yesterday - timedelta(days=1)}"
                in description
            )
            run(flow, yesterday)
        assert morning() == (True, f"{yesterday} is in the database")
