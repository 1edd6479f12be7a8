"""Quarantine: broken and foreign files are renamed, and their content is fetched or rebuilt."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from pipeline.emulator import Emulator, ManualClock
from pipeline.flow import Flow
from tests.support.flows import AFTERWARDS, DAY, WORLD, assert_published


def overwrite_middle(path: Path) -> None:
    """Overwrite the middle of a file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = b"x" * 200
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        overwrite_middle,
        pytest.param(lambda path: path.write_bytes(b"PAR1 no more"), marks=pytest.mark.slow, id="text"),
        pytest.param(lambda path: path.write_bytes(b""), marks=pytest.mark.slow, id="empty"),
    ],
)
def test_broken_segment_is_quarantined_and_fetched_again(
    damage: Callable[[Path], None], flow_for: Callable[..., Flow], caplog: pytest.LogCaptureFixture
) -> None:
    """Its content counts as not landed, the file stays under another name, and one sentence says so."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        (segment,) = flow.landing.segments("participant_metrics", DAY)
        damage(segment)
        broken = segment.read_bytes()
        with caplog.at_level(logging.WARNING, logger="pipeline"):
            for _ in range(2):  # a body may turn out broken only when it is read, after planning
                flow.run(DAY)
                flow.build_tables(DAY, rebuild=True)
                flow.load([DAY])
        (quarantined,) = segment.parent.glob(f"{segment.name}.set-aside-*")
        assert f"quarantined as {quarantined.name}; its content will be fetched again" in caplog.text
        assert quarantined.read_bytes() == broken
        assert_published(flow, emulator.expected_rows())
        assert flow.completeness(DAY).is_complete


def test_broken_table_is_quarantined_and_rebuilt(flow_for: Callable[..., Flow]) -> None:
    """The next run writes the file again and keeps the broken one under another name."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        path = Path(flow.lake.path("tracks", DAY))
        path.write_bytes(b"nonsense")
        flow.run(DAY)
        (quarantined,) = path.parent.glob("tracks.parquet.set-aside-*")
        assert quarantined.read_bytes() == b"nonsense"
        assert_published(flow, emulator.expected_rows())


@pytest.mark.parametrize(
    ("which", "kind"),
    [
        ("published", "nonsense"),
        ("published", "foreign"),
        pytest.param("writer", "nonsense", marks=pytest.mark.slow),
        pytest.param("writer", "foreign", marks=pytest.mark.slow),
    ],
)
def test_database_that_is_broken_or_foreign_is_quarantined(
    which: str, kind: str, flow_for: Callable[..., Flow]
) -> None:
    """It is renamed, never deleted, and a complete one takes its place."""
    with Emulator(WORLD, clock=ManualClock(AFTERWARDS)) as emulator:
        flow = flow_for(emulator)
        flow.run(DAY)
        path = flow.settings.warehouse if which == "published" else flow.settings.data / ".work" / "warehouse.duckdb"
        path.unlink(missing_ok=True)
        if kind == "nonsense":
            path.write_bytes(b"nonsense" * 1000)
        else:
            with duckdb.connect(str(path)) as database:
                database.execute("CREATE TABLE of_someone_else AS SELECT 1 AS one")
        before = path.read_bytes()
        flow.load([DAY])
        (quarantined,) = path.parent.glob(f"{path.name}.set-aside-*")
        assert quarantined.read_bytes() == before
        assert_published(flow, emulator.expected_rows())
