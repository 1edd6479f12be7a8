"""What the page lists about a stay and its client."""

from __future__ import annotations

from pathlib import Path

from pipeline.serving import report
from tests.support.reports import NOW, text_of
from tests.support.small_world import SmallWorld


def test_page_shows_new_columns_but_no_private_ones(world: SmallWorld, tmp_path: Path) -> None:
    """Columns that are added later are shown if they have a value. Addresses and coordinates are not."""
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
