"""Whether a release of a client made calls worse, in Dagster: a check that warns, with numbers.

The figures are those of the view `release_comparison`, from everything that is loaded. They are an extra: if they
cannot be read, the check says so, and the day is loaded all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from pipeline.flow import Flow
from pipeline.orchestration.names import AppNames
from pipeline.planning.problems import counted
from pipeline.quality.releases.sentences import comparison_sentence

__all__ = ["check_releases", "release_check", "release_result"]

MAX_RELEASES = 5
"""Releases that the check describes, the worst first."""


def release_check(names: AppNames) -> dg.AssetCheckSpec:
    """Return the check of the clients' releases. Its name cannot change: Dagster keeps its results by name."""
    return dg.AssetCheckSpec(
        "no_release_is_worse",
        asset=names.key("warehouse", "participant_sessions"),
        description="No version of a client in use has more poor publishers than the one before it, on like networks",
    )


def check_releases(flow: Flow, log: logging.Logger, names: AppNames | None = None) -> dg.AssetCheckResult:
    """Return the result of `release_check` for all that is loaded; a warning if it cannot be read. `log` says why."""
    try:
        return release_result(flow.releases(), names)
    except Exception as error:  # noqa: BLE001 - whatever it is, the day is loaded
        log.warning("the releases are not compared: %s", error)
        return _result(names, "the releases could not be compared; the log of this run says why", passed=False)


def release_result(releases: Sequence[Mapping[str, Any]], names: AppNames | None = None) -> dg.AssetCheckResult:
    """Return the result of `release_check`, from rows of `compared_releases`: a sentence for each worse release."""
    worse = [release for release in releases if release["verdict"] == "worse"]
    described = "; ".join(map(comparison_sentence, (worse or releases)[:MAX_RELEASES]))
    if not releases:
        described = "no release has enough people for a comparison with the one before it"
    elif not worse:
        described = f"{counted(len(releases), 'release')} compared, none is worse: {described}"
    return _result(names, described, passed=not worse, compared=len(releases), worse=len(worse))


def _result(names: AppNames | None, description: str, *, passed: bool, **counts: int) -> dg.AssetCheckResult:
    check = release_check(names or AppNames())
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=check.asset_key,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=counts,
    )
