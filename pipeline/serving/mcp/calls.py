"""A call's report as values: what the HTML page of `call-metrics report` says, without its charts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pipeline.catalog import LakeCatalog
from pipeline.serving.mcp.results import CallReport, Person, json_row
from pipeline.serving.report import read_call
from pipeline.serving.report.facts import call_facts, stay_facts, warning_groups
from pipeline.serving.report.only_this_call import only_this_call
from pipeline.serving.report.sentences import findings, notes, problems
from pipeline.serving.report.values import StayContent

__all__ = ["MAX_PEOPLE", "call_report"]

MAX_PEOPLE = 50
"""Stays in a report; the worst come first."""

IDS = frozenset({"session_date", "call_type", "call_id", "call_session_id", "user_id", "user_session_id"})
"""Columns that the report gives once."""


def call_report(published: Path | LakeCatalog, session: str, user: str | None) -> CallReport:
    """Return what is known about a call session, or about one user in it.

    `session` is the id of the call session, or `type:id` of a call with only one session. Raises `FixStorage` if the
    database is missing or too old, `FixSettings` if it does not have the call session or the user.
    """
    call = read_call(published, session, user)
    return CallReport(
        **vars(call.session_ids),
        started_at=call.session["started_at"],
        ended_at=call.session["ended_at"],
        is_live=call.session["is_live"],
        problems=list(problems(call)),
        notes=list(notes(call)),
        findings=findings(call),
        only_this_call=only_this_call(call),
        facts=dict(call_facts(call.session)),
        quality=json_row(call.quality, without=IDS),
        people=[_person(stay) for stay in call.stays[:MAX_PEOPLE]],
        people_left_out=max(0, len(call.stays) - MAX_PEOPLE),
    )


def _person(stay: StayContent) -> Person:
    user_id, user_session_id = stay.key
    return Person(
        user_id=user_id,
        user_session_id=user_session_id,
        joined_at=stay.facts["joined_at"],
        left_at=stay.facts["left_at"],
        quality=json_row(stay.quality, without=IDS),
        facts=dict(stay_facts(stay)),
        tracks=[json_row(track.quality, without=IDS) for track in stay.tracks],
        warnings=[json_row(group) for group in warning_groups(stay)],
        lost_time=[json_row(asdict(part)) for part in stay.lost_time],
    )
