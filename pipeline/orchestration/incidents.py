"""The incidents of a day in Dagster: a check that warns, and a list with the worst calls of each.

What an incident is, is decided in `quality.incidents`. The rows are those of the lake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from pipeline.orchestration.markdown import escaped
from pipeline.orchestration.names import AppNames
from pipeline.quality.incidents.sentences import incident_sentence

__all__ = ["incident_check", "incident_metadata", "incident_result"]

MAX_INCIDENTS = 10
"""Incidents that are listed, those with the most excess first."""

WORST_CALLS = 3
"""Calls of each that are listed."""

GONE = "its incidents are not known any more, because the day was pruned"

Row = Mapping[str, Any]


def incident_check(names: AppNames) -> dg.AssetCheckSpec:
    """Return the check of the table of incidents. Its name cannot change: Dagster keeps its results by name."""
    return dg.AssetCheckSpec(
        "no_incident",
        asset=names.key("lake", "incidents"),
        description="No media server, country, network or client had many people getting worse at the same time",
    )


def incident_result(
    day: date, incidents: Sequence[Row], names: AppNames | None = None, *, is_pruned: bool = False
) -> dg.AssetCheckResult:
    """Return the result of `incident_check`: a warning with a sentence per incident, or passed.

    If the day was removed (`is_pruned`), its incidents are not known, and the sentence says so.
    """
    check = incident_check(names or AppNames())
    found = "; ".join(map(incident_sentence, _greatest(incidents)))
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=check.asset_key,
        passed=not incidents,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{day}: {found or (GONE if is_pruned else 'no incident was found')}",
        metadata={"incidents": len(incidents)},
    )


def incident_metadata(incidents: Sequence[Row], calls: Sequence[Row]) -> dict[str, Any]:
    """Return metadata for the table of incidents: how many, and the worst calls of each."""
    parts = []
    for incident in _greatest(incidents):
        key = [incident[name] for name in ("started_at", "scope", "scope_value")]
        its = [call for call in calls if [call[name] for name in ("started_at", "scope", "scope_value")] == key]
        its.sort(key=lambda call: (-call["affected"], -call["affected_minutes"]))
        rows = [
            f"| {escaped(call['call_type'] + ':' + call['call_id'])} | {call['affected']} of {call['publishers']} | "
            f"{call['affected_minutes']} |"
            for call in its[:WORST_CALLS]
        ]
        table = "\n".join(["| worst calls | affected | minutes |", "|---|---|---|", *rows])
        parts.append(f"{escaped(incident_sentence(incident), limit=None)}.\n\n{table}")
    metadata: dict[str, Any] = {"incidents": len(incidents)}
    return metadata | ({"incidents_and_calls": dg.MetadataValue.md("\n\n".join(parts))} if parts else {})


def _greatest(incidents: Sequence[Row]) -> list[Row]:
    return sorted(incidents, key=lambda incident: -incident["excess"])[:MAX_INCIDENTS]
