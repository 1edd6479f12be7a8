"""Listings with values of any shape in the place of fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support import at, examples
from tests.support.responses import JUNK, Day, attendance_page, call_stats_page, nanoseconds


@given(junk=st.lists(st.tuples(st.sampled_from(["user_id", "roles", "joined_at", "duration_in_seconds", ""]), JUNK)))
@examples(15)
def test_listing_of_any_shape_does_not_affect_the_others(junk: list[tuple[str, Any]], tmp_path: Path) -> None:
    """Rows that cannot be read are left out or have NULLs, and the others are complete."""
    ann = {"user_id": "ann", "user_session_id": "ann-1", "joined_at": nanoseconds(at(10)), "roles": ["r"]}
    odd = [value if name == "" else {**ann, "user_session_id": "odd", name: value} for name, value in junk]
    call = {
        "call_type": "default",
        "call_id": "standup",
        "call_session_id": "s1",
        "call_started_at": nanoseconds(at(10)),
    }
    odd_calls = [{**call, "call_id": "odd", "counts": value, "generated_at": value} for _, value in junk]
    day = Day(
        tmp_path,
        attendance_page(*odd, ann, total=junk[0][1] if junk else 1),
        call_stats_page(*(value for _, value in junk), *odd_calls, call),
    )
    assert ("ann", "ann-1", at(10), ["r"]) in [
        (row["user_id"], row["user_session_id"], row["joined_at"], row["roles"]) for row in day.participants.to_pylist()
    ]
    assert "standup" in day.call_sessions.column("call_id").to_pylist()
