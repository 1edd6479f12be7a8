"""Finds the call session and the user that somebody typed. If there is none, the message names what there is.

What a page shows of them is in `content`.
"""

from __future__ import annotations

from typing import Any

import duckdb

from pipeline.errors import FixSettings
from pipeline.serving.report.queries import choose, rows
from pipeline.serving.report.values import CallSession

__all__ = ["check_user", "find_session"]

MAX_NAMES = 10
"""Users or call sessions that a message names."""


def find_session(database: duckdb.DuckDBPyConnection, wanted: str) -> CallSession:
    """Return the call session with the id `wanted`, or the only session of the call `wanted` (`type:id`).

    Raises `FixSettings` if there is none, or more than one.
    """
    named = rows(database, "sessions", wanted=wanted)
    chosen = [row for row in named if row["call_session_id"] == wanted] or named
    if not chosen:
        nearest = rows(database, "nearest", wanted=wanted)
        known = f"there are {_listed(nearest)}" if nearest else "the database has no calls yet"
        raise FixSettings(f"no call session {wanted!r}; {known}")
    if len(chosen) > 1:
        more = f" and {len(chosen) - MAX_NAMES} earlier ones" if len(chosen) > MAX_NAMES else ""
        listed = _listed(chosen[:MAX_NAMES])
        raise FixSettings(f"{wanted!r} names {len(chosen)} call sessions; choose one: {listed}{more}")
    return CallSession(**{name: chosen[0][name] for name in CallSession.__annotations__})


def check_user(database: duckdb.DuckDBPyConnection, session: CallSession, user: str) -> None:
    """Raise `FixSettings` if the user did not take part in the call session."""
    choose(database, session)
    users = [row["user_id"] for row in rows(database, "users")]
    if user not in users:
        raise FixSettings(f"no user {user!r} in call session {session.call_session_id!r}; {_known(users)}")


def _listed(sessions: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{row['call_session_id']!r} ({row['call_cid']!r}"
        + (f", {row['started_at']:%Y-%m-%d %H:%M} UTC)" if row["started_at"] else ")")
        for row in sessions
    )


def _known(users: list[str]) -> str:
    if not users:
        return "it has no known users"
    more = f" and {len(users) - MAX_NAMES} more" if len(users) > MAX_NAMES else ""
    return f"its users are {', '.join(map(repr, users[:MAX_NAMES]))}{more}"
