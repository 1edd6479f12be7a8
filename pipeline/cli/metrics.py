"""The metrics that `call-metrics status --format openmetrics` prints, for a collector.

No metric has a label per day, call or person: their number does not grow with the data. How they are written is in
`openmetrics`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from importlib.metadata import version

from pipeline.catalog import LakeCatalog
from pipeline.cli.dates import days_to_show
from pipeline.cli.openmetrics import Gauge, render
from pipeline.cli.outcome import ExitCode
from pipeline.errors import CallMetricsError
from pipeline.flow import Flow
from pipeline.landing.writer import STAMP
from pipeline.model import RETENTION
from pipeline.planning.completeness import DayCompleteness, day_ends
from pipeline.schema import WINDOW_STATES
from pipeline.settings import Settings
from pipeline.storage.disk_use import lake_bytes
from pipeline.warehouse.published import check, open_published, published_at, read_errors

__all__ = ["collect", "day_gauges", "print_metrics"]

log = logging.getLogger(__name__)

LEDGER = """
SELECT sum(requests) AS requests, min(start_by) AS start_by, sum(stays_lost_now) AS stays_lost_now
FROM ledger
WHERE session_date >= $start
"""


def print_metrics(settings: Settings, since: str | None, until: str | None) -> ExitCode:
    """Print the metrics of the days from `since` to `until`. Returns `INCOMPLETE` if something of them is missing.

    A part that cannot be read is left out, and the metric `part_readable` says so. Raises `FixSettings` if `since` and
    `until` are not dates in order.
    """
    with Flow(settings) as flow:
        days = days_to_show(flow.known_days(), since, until)
        gauges, is_complete = collect(flow, days, datetime.now(UTC), of_all=not (since or until))
    print(render(gauges, **({"app": settings.app} if settings.app else {})), end="")
    return ExitCode.COMPLETE if is_complete else ExitCode.INCOMPLETE


def collect(flow: Flow, days: Sequence[date], now: datetime, *, of_all: bool = True) -> tuple[list[Gauge], bool]:
    """Return the metrics of these days and of what is stored, and whether the days are known to be complete.

    Days that were never fetched count if they are among these, or in any case if `of_all`.
    """
    judged: list[DayCompleteness] = []

    def judge() -> Iterator[Gauge]:
        judged.extend(flow.known_completeness(day) for day in days)
        never = flow.days_never_landed(now)
        yield from day_gauges(judged, [day for day in never if of_all or day in days], now)

    parts: dict[str, Callable[[], Iterable[Gauge]]] = {
        "days": judge,
        "files": lambda: _files(flow),
        "database": lambda: _database(flow),
        "ledger": lambda: _ledger(flow),
        "runs": lambda: _runs(flow),
        "quotas": lambda: _quotas(flow),
    }
    gauges, readable = [], {}
    for part, read in parts.items():
        try:
            gauges += list(read())
            readable[part] = 1
        except (CallMetricsError, OSError) as error:
            log.warning("the metrics of %s are left out: %s", part, error)
            readable[part] = 0
    about = [
        Gauge("build_info", "Version of Call Metrics", {version("call-metrics"): 1}, "version"),
        Gauge("part_readable", "Whether the metrics of a part could be read (1) or are left out (0)", readable, "part"),
    ]
    return about + gauges, bool(readable["days"]) and not any(day.problems for day in judged)


def day_gauges(days: Sequence[DayCompleteness], never: Sequence[date], now: datetime) -> Iterator[Gauge]:
    """Yield what is known, stored and missing of days. `never` are days of which nothing ever landed."""
    verdicts = Counter(day.verdict for day in days)
    states = Counter[str]()
    for day in days:
        states.update(day.windows)
    yield Gauge(
        "days",
        "Days by what is known of them",
        {verdict.replace(" ", "_"): verdicts[verdict] for verdict in ("complete", "in progress", "incomplete")},
        "state",
    )
    yield Gauge.of("days_never_fetched", "Days that were never fetched and that the source still lists", len(never))
    yield Gauge.of("calls", "Call sessions", sum(day.calls for day in days))
    yield Gauge.of(
        "live_calls", "Call sessions that had not ended when last fetched", sum(day.live_calls for day in days)
    )
    yield Gauge.of("stays_promised", "Stays that the source counts", sum(day.promised for day in days))
    yield Gauge.of("stays_held", "Stays that are stored", sum(day.held for day in days))
    yield Gauge("windows", "Windows by state", {state: states[state] for state in WINDOW_STATES}, "state")
    yield Gauge.of("windows_due", "Windows without a final response, of ended calls", sum(day.due for day in days))
    if expiries := list(_expiries(days, never, now)):
        first = min(expiries)
        yield Gauge.of(
            "missing_forgotten_timestamp_seconds",
            "When the source begins to forget the first of what is missing; absent if nothing is",
            first,
        )
        yield Gauge.of(
            "missing_forgotten_seconds",
            "Seconds until then, when this was written; 0 once it has begun",
            max(0, int((first - now).total_seconds())),
        )


def _expiries(days: Sequence[DayCompleteness], never: Sequence[date], now: datetime) -> Iterator[datetime]:
    """Yield when each day with missing data begins to expire, if the source still has some of it."""
    for day in days:
        is_missing = any(problem.kind != "suspect" for problem in day.problems)
        if is_missing and now < day_ends(day.day) + RETENTION:
            yield day.expires_at
    for unfetched in set(never).difference(day.day for day in days):
        yield datetime.combine(unfetched, time.min, UTC) + RETENTION


def _files(flow: Flow) -> Iterator[Gauge]:
    """Yield when the newest response landed, and the bytes of raw responses, of tables, and of the lake's files."""
    raw = flow.store.below("raw").sizes()
    if (newest := _newest(raw)) is not None:
        yield Gauge.of("newest_response_timestamp_seconds", "When the newest response was stored", newest)
    yield Gauge("raw_bytes", "Bytes of raw responses", _by_folder(raw), "endpoint")
    yield Gauge("table_bytes", "Bytes of tables in Parquet", _by_folder(flow.store.below("tables").sizes()), "table")
    warehouse = flow.settings.warehouse
    if isinstance(warehouse, LakeCatalog):
        yield Gauge.of("lake_bytes", "Bytes of the files of the DuckLake", lake_bytes(flow.settings, warehouse))


def _newest(raw: Iterable[str]) -> datetime | None:
    """Return when the newest segment was written, by its name: names sort by time. None if there is none."""
    for stamp in sorted({key.rpartition("/")[2].partition("-")[0] for key in raw}, reverse=True):
        with suppress(ValueError):  # a file that is no segment
            return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    return None


def _by_folder(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes below each folder at the top."""
    total = Counter[str]()
    for key, size in sizes.items():
        folder, slash, _ = key.partition("/")
        if slash:
            total[folder] += size
    return dict(sorted(total.items()))


def _database(flow: Flow) -> Iterator[Gauge]:
    """Yield when the database was published, and its bytes if it is a file."""
    published = flow.settings.warehouse
    check(published)
    yield Gauge.of("published_timestamp_seconds", "When the database was published last", published_at(published))
    if not isinstance(published, LakeCatalog):
        yield Gauge.of("database_bytes", "Bytes of the published database", published.stat().st_size)


def _ledger(flow: Flow) -> Iterator[Gauge]:
    """Yield what can still be had from the source, and by when a backfill must start; as `status --ledger`."""
    published = flow.settings.warehouse
    with read_errors(published), open_published(published) as database:
        (row,) = database.execute(LEDGER, {"start": flow.settings.start}).to_arrow_table().to_pylist()
    yield Gauge.of("requests_due", "Requests that a backfill of all that is missing takes", int(row["requests"] or 0))
    yield Gauge.of(
        "stays_lost", "Stays for which a backfill that starts now comes too late", int(row["stays_lost_now"] or 0)
    )
    if row["start_by"] is not None:
        yield Gauge.of(
            "backfill_start_by_timestamp_seconds", "When a backfill must start to lose nothing", row["start_by"]
        )


def _runs(flow: Flow) -> Iterator[Gauge]:
    """Yield when the latest run of a day ended, by how it ended. Only runs that Dagster recorded count."""
    from pipeline.orchestration.last_runs import last_runs  # Dagster takes a second to load

    ended = last_runs(flow.settings)
    yield Gauge(
        "run_finished_timestamp_seconds", "When the latest run of a day ended, by how it ended", ended, "status"
    )


def _quotas(flow: Flow) -> Iterator[Gauge]:
    """Yield the quotas that the latest run saw. Runs note them only where alerts are on."""
    note = flow.quotas_seen()
    if note is None:
        return
    known = {endpoint: quota for endpoint, quota in note.quotas.items() if quota.limit is not None}
    yield Gauge.of("quota_seen_timestamp_seconds", "When the quotas were seen", note.seen_at)
    yield Gauge(
        "quota_limit",
        "Requests that the quota allows in one of its windows",
        {endpoint: quota.limit or 0 for endpoint, quota in known.items()},
        "endpoint",
    )
    yield Gauge(
        "quota_remaining",
        "Requests that were left",
        {endpoint: quota.remaining or 0 for endpoint, quota in known.items()},
        "endpoint",
    )
    refused = {endpoint: int(quota.refused_since is not None) for endpoint, quota in note.quotas.items()}
    yield Gauge("quota_refused", "Whether the latest response was a refusal (429)", refused, "endpoint")
