"""An incident in a sentence, for Dagster and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.quality.incidents.publishers import EVERYTHING

__all__ = ["incident_sentence"]


def incident_sentence(incident: Mapping[str, Any]) -> str:
    """Return a row of `incidents` as a sentence, without a full stop. Times are UTC."""
    where = EVERYTHING if incident["scope"] == EVERYTHING else f"{incident['scope']} {incident['scope_value']}"
    calls = incident["calls"]
    return (
        f"{where}, {incident['started_at']:%Y-%m-%d %H:%M} to {incident['ended_at']:%H:%M} UTC: {incident['affected']} "
        f"of {incident['publishers']} publishers got worse, {incident['expected']:.1f} expected, in {calls} "
        f"{'call' if calls == 1 else 'calls'}"
    )
