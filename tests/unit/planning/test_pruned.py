"""What is known of pruned days: it survives being written, and a file that cannot be read is named."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.errors import FixStorage
from pipeline.planning.completeness import DayCompleteness
from pipeline.planning.pruned import PrunedDay, PrunedDays, Removed
from pipeline.storage import LocalStore
from tests.support import DAY, at, judged_day

COMPLETE = judged_day(calls=3, promised=5, held=6, windows={"empty": 1, "landed": 9}, first_expiry=at(24 * 90))


@pytest.mark.parametrize("removed", ["raw", "all"])
def test_a_pruned_day_is_as_complete_as_it_was(tmp_path: Path, removed: Removed) -> None:
    """Whatever was counted comes back from its file, also if no call session had ended."""
    days = PrunedDays(LocalStore(tmp_path))
    assert days.days() == []
    for complete in (COMPLETE, DayCompleteness(DAY + timedelta(days=1), 0, 0, 0, 0, {}, 0, [], None, True)):
        pruned = PrunedDay.of(complete, removed, at(12, 30), "rules", {"tracks": 4})
        days.put(pruned)
        assert days.get(complete.day) == pruned
        found = pruned.completeness()
        assert found == DayCompleteness(**{**complete.__dict__, "pruned": removed})
        assert found.verdict == "complete"
        assert pruned.completeness(["tracks", "windows"]).verdict == "incomplete"
    assert days.days() == [DAY, DAY + timedelta(days=1)]
    assert days.has(DAY)
    assert not days.has(DAY + timedelta(days=2))
    assert days.get(DAY + timedelta(days=2)) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"day": "2026-11-01", "removed": "some"}'])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    """Guessing could remove what is left of the day, or let its tables shrink."""
    file = tmp_path / "pruned" / f"session_date={DAY}.json"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(FixStorage, match=r"session_date=2026-11-01\.json cannot be read; restore it from a backup"):
        PrunedDays(LocalStore(tmp_path)).get(DAY)
