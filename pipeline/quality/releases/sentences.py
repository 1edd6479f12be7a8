"""A comparison of two releases in a sentence, for Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["comparison_sentence"]


def comparison_sentence(row: Mapping[str, Any]) -> str:
    """Return a row of `release_comparison` as a sentence, without a full stop. The row has an interval."""
    release, baseline = f"{row['client_name']} {row['client_version']}", row["baseline_version"]
    low, high = 100 * row["difference_low"], 100 * row["difference_high"]
    poor = f"{100 * row['poor_share']:.1f} % of {row['publishers']:,} publishers poor"
    if row["verdict"] == "worse":
        compared = f"{100 * row['difference']:.1f} points ({low:.1f} to {high:.1f}) more than"
    elif row["verdict"] == "better":
        compared = f"{-100 * row['difference']:.1f} points ({-high:.1f} to {-low:.1f}) fewer than"
    else:
        compared = f"{100 * row['difference']:+.1f} points ({low:+.1f} to {high:+.1f}), so no difference seen, compared"
    return f"{release}: {poor}, {compared} with {baseline} on like networks and countries"
