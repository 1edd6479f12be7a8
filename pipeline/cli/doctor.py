"""`call-metrics doctor`: what a backfill needs, checked one by one. Each finding is a sentence.

How a request is sent is in `extract`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.catalog import LakeCatalog
from pipeline.cli.outcome import KEEPS_VERSIONS, ExitCode, may_keep
from pipeline.cli.verbosity import say
from pipeline.endpoints import ENDPOINTS
from pipeline.errors import CallMetricsError, FixCredentials, FixSettings, RequestFailed
from pipeline.extract.client import StreamApi
from pipeline.settings import Settings
from pipeline.storage import OldVersions, open_store
from pipeline.tables.lake import Lake
from pipeline.warehouse.attach import NoLake, attach
from pipeline.warehouse.postgres import server_problems

__all__ = ["Finding", "examine", "print_findings"]


@dataclass(frozen=True)
class Finding:
    """What one check found. `code` is the exit code of the command if nothing is worse."""

    code: ExitCode
    text: str


def print_findings(settings: Settings) -> ExitCode:
    """Print each finding as soon as it is there; with `-q` only what is wrong. Returns the worst code."""
    worst = ExitCode.COMPLETE
    for finding in examine(settings):
        if finding.code == ExitCode.COMPLETE:
            say(f"ok    {finding.text}")
        else:
            print(f"FAIL  {finding.text}", flush=True)
        worst = max(worst, finding.code)
    return worst


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield a finding per check, the cheap checks first."""
    yield (data := _data_folder(settings))
    if data.code == ExitCode.COMPLETE and settings.remote is not None:
        yield from _versions(settings)
    if isinstance(settings.warehouse, LakeCatalog):
        yield from _lake(settings.warehouse)
    yield from _timestamps(settings)
    try:
        credentials = settings.credentials()
    except FixSettings as error:
        yield Finding(ExitCode.NOT_STARTED, f"credentials: {error}")
        return
    yield Finding(ExitCode.COMPLETE, f"credentials: key {credentials.key[:4]}…, secret set")
    yield from asyncio.run(_source(settings))


def _data_folder(settings: Settings) -> Finding:
    probe = settings.data / f".probe-{secrets.token_hex(4)}"
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Finding(
            ExitCode.INCOMPLETE,
            f"data: {settings.data} cannot be written ({error.strerror}); set CALL_METRICS_DATA to another folder",
        )
    if settings.remote is None:
        return Finding(ExitCode.COMPLETE, f"data: {settings.data} can be written")
    try:
        open_store(settings).prepare("")
    except CallMetricsError as error:
        return Finding(ExitCode.INCOMPLETE, f"data: {error}")
    return Finding(ExitCode.COMPLETE, f"data: {settings.remote} can be written, and has conditional puts")


def _versions(settings: Settings) -> Iterator[Finding]:
    """Yield a finding if the bucket keeps deleted objects: whether `forget` can delete their versions."""
    try:
        versions = open_store(settings).old_versions()
    except CallMetricsError as error:
        yield Finding(ExitCode.INCOMPLETE, f"data: {error}")
        return
    if versions is OldVersions.DELETABLE:
        yield Finding(
            ExitCode.COMPLETE, f"data: {settings.remote} keeps versions of its objects; `forget` deletes old ones"
        )
    elif versions is OldVersions.KEPT:
        yield Finding(ExitCode.INCOMPLETE, f"data: {settings.remote} {KEEPS_VERSIONS}")
    elif versions is OldVersions.UNKNOWN:
        yield Finding(ExitCode.COMPLETE, f"data: {may_keep(settings.remote or settings.location)}")


def _lake(catalog: LakeCatalog) -> Iterator[Finding]:
    """Yield what is wrong with a lake and its server, or that nothing is."""
    try:
        problems = server_problems(catalog) if catalog.postgres is not None else []
        with contextlib.suppress(NoLake), attach(catalog, read_only=True):
            pass
    except CallMetricsError as error:
        yield Finding(ExitCode.INCOMPLETE, f"lake: {error}")
        return
    for problem in problems:
        yield Finding(ExitCode.INCOMPLETE, f"lake: {problem}")
    if not problems:
        yield Finding(ExitCode.COMPLETE, f"lake: {catalog} can be used")


def _timestamps(settings: Settings) -> Iterator[Finding]:
    try:
        lake = Lake(open_store(settings).below("tables"))
        days = lake.days()
    except CallMetricsError as error:
        yield Finding(ExitCode.INCOMPLETE, f"tables: {error}")
        return
    units: set[str] = set()
    suspect = 0
    for day in days:
        try:
            rows = lake.read("windows", day, ["timestamp_unit", "state"])
        except CallMetricsError as error:
            yield Finding(ExitCode.INCOMPLETE, f"tables: {error}")
            continue
        units |= {unit for unit in rows.column("timestamp_unit").to_pylist() if unit}
        suspect += rows.column("state").to_pylist().count("suspect")
    if suspect:
        yield Finding(
            ExitCode.INCOMPLETE,
            f"timestamps: {suspect} windows have points outside their time; their raw responses are kept",
        )
    elif units:
        yield Finding(ExitCode.COMPLETE, f"timestamps: in {' and '.join(sorted(units))}, all in their windows")
    else:
        yield Finding(ExitCode.COMPLETE, "timestamps: no points have landed yet")


async def _source(settings: Settings) -> list[Finding]:
    findings = []
    try:
        async with StreamApi(settings.base_url, settings.credentials(), concurrency=1) as api:
            limits = await api.rate_limits()
            skew = api.skew.total_seconds()
    except FixCredentials as error:
        return [Finding(ExitCode.NOT_STARTED, f"credentials: {error}")]
    except FixSettings as error:
        return [Finding(ExitCode.NOT_STARTED, f"network: {error}")]
    except RequestFailed as error:
        return [Finding(ExitCode.INCOMPLETE, f"network: {settings.base_url} does not respond as it should: {error}")]
    findings.append(Finding(ExitCode.COMPLETE, f"network: {settings.base_url} responds and accepts the credentials"))
    if skew:
        ahead = "behind" if skew > 0 else "ahead of"
        findings.append(
            Finding(
                ExitCode.INCOMPLETE,
                f"clock: ours is {abs(skew):.0f} s {ahead} the source's; requests allow for it, but set the clock",
            )
        )
    else:
        findings.append(Finding(ExitCode.COMPLETE, "clock: agrees with the source's"))
    findings.append(
        Finding(ExitCode.COMPLETE, f"quotas: {_quotas(limits) or 'the source lists none for our endpoints'}")
    )
    return findings


def _quotas(limits: dict[str, Any]) -> str:
    server_side = limits.get("server_side")
    quotas = server_side if isinstance(server_side, dict) else {}
    parts = []
    for endpoint in ENDPOINTS.values():
        quota = quotas.get(endpoint.operation)
        if isinstance(quota, dict) and "limit" in quota:
            parts.append(f"{endpoint.title} {quota.get('remaining', '?')} of {quota['limit']} left")
    return ", ".join(parts)
