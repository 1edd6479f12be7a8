"""What days of any size cost, derived from the days that `scale` measured. Pure: same measurements, same tables.

Assumptions and prices are here and nowhere else; each has its reason. A cost is a straight line: so much per run of a
day, so much per participant session, so much per data point. Three measured days determine it: two sizes, and the
larger one again with fewer points.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pipeline.extract.quota import Allowance, QuotaState
from pipeline.model import RETENTION
from pipeline.planning.due import TRAILING_DAYS
from pipeline.planning.windows import DETAILS_WINDOW, MAX_WINDOW

__all__ = ["ASSUMPTIONS", "PRICES", "TABLES", "Day", "Line", "Memory", "requests_a_minute", "windows_of_a_stay"]

Measured = Mapping[str, Any]
"""The content of `docs/scale-measured.json`."""

MINUTES_A_DAY = 24 * 60
SIZES = (10**3, 10**5, 10**7)
APPS = 1000
SESSIONS_OF_AN_APP = 1000

MEAN_STAY = 30.0
"""Minutes that a participant session lasts on average, exponentially distributed: many leave soon, a few stay long. A
guess about meetings; `SELECT avg(date_diff('second', joined_at, left_at)) FROM participant_sessions` gives yours."""

PUBLISHERS = 0.7
"""Share of participant sessions that publish something. The others need no metrics request. A guess about meetings; it
is far lower for webinars."""

PEOPLE = 10
"""Participant sessions of a call. A page of a list holds 100, so a call of up to 100 people costs one request each of
attendance and statistics."""

RATED = 0.1
"""Share of calls that someone rates. A guess; `SELECT avg((avg_user_rating > 0)::INTEGER) FROM call_sessions` gives
yours. Their ratings are listed when the report is made, and once more after two days."""

POINTS_A_MINUTE = 60
"""Data points of a minute of publishing: a camera with four metrics and a microphone with one, every 5 seconds. That is
what our benchmarks serve. Stream does not document its step: measure it, with `interval_seconds` of `track_samples`."""

QUOTA = 1000
"""Requests a minute for each endpoint. Stream's default for comparable endpoints of its chat API is 300 to 10,000
(getstream.io/chat/docs, "Rate limits by endpoint"); none is published for these endpoints. `call-metrics doctor` prints
yours."""

LATENCY = 0.2
"""Seconds that Stream takes for a response. A guess about a metrics request between continents."""

STORE_LATENCY = 0.03
"""Seconds of a request to S3 from the same region. A guess; what was measured is a server on loopback."""

CATALOG_LATENCY = 0.001
"""Seconds of a statement between a worker and PostgreSQL in the same region. A guess."""

ASSUMPTIONS: Sequence[tuple[str, str, str]] = (
    ("mean stay", f"{MEAN_STAY:.0f} minutes, exponentially distributed", "a guess about meetings"),
    ("publishers", f"{PUBLISHERS:.0%} of participant sessions", "a guess about meetings"),
    ("people of a call", f"{PEOPLE}", "as in our benchmarks"),
    ("rated calls", f"{RATED:.0%}", "a guess; each costs two requests for ratings"),
    (
        "data points",
        f"{POINTS_A_MINUTE} a minute of publishing",
        "camera and microphone every 5 seconds; measure yours",
    ),
    ("quota", f"{QUOTA:,} requests a minute and endpoint", "not published for these endpoints; see `doctor`"),
    ("latency of Stream", f"{LATENCY * 1000:.0f} ms", "a guess"),
    ("latency of S3, of PostgreSQL", f"{STORE_LATENCY * 1000:.0f} ms, {CATALOG_LATENCY * 1000:.0f} ms", "a guess"),
    ("runs of a day", f"{TRAILING_DAYS}", "the nightly schedule runs the last days; the first run fetches"),
)

PRICES: Mapping[str, tuple[float, str, str]] = {
    "PUT": (0.005 / 1000, "PUT, COPY, POST or LIST in S3 Standard", "c3x.dev/blog/s3-request-fees-explained, 2026"),
    "GET": (0.0004 / 1000, "GET or HEAD in S3 Standard", "c3x.dev/blog/s3-request-fees-explained, 2026"),
    "GB": (0.023, "GB and month in S3 Standard, first 50 TB", "deepeshsoni.com/archives/256"),
    "vCPU": (0.04048, "vCPU and hour of Fargate, Linux, x86", "wring.co/blog/aws-fargate-pricing-guide, March 2026"),
    "GB memory": (0.004445, "GB of memory and hour of Fargate", "wring.co/blog/aws-fargate-pricing-guide, March 2026"),
    "PostgreSQL": (0.065 * 24, "db.t4g.medium of RDS, a day", "infratally.com/articles/aws-rds-pricing-explained-2026"),
}
"""Dollars, with what they buy and who reports it: list prices of AWS in us-east-1. Replace them with your own."""

COMPACTED_ON_DISK = 8e6
"""Bytes of a compacted segment, about (`landing.compaction.COMPACTED_BYTES`). Each endpoint has one at
least, and up to eight small ones are left."""

VIRTUAL_MINUTES = 5
"""Minutes that the limiter is simulated for."""


class Line:
    """A cost as `fixed + per_session * sessions + per_point * points`, through three measured days.

    What is counted must not be negative: noise of the machine can make a small part so, and then it is zero.
    """

    def __init__(self, days: Sequence[Measured], cost: Callable[[Measured], float]) -> None:
        small, large, sparse = days
        self.per_point = max(0.0, (cost(large) - cost(sparse)) / (large["points"] - sparse["points"]))
        rest = [cost(day) - self.per_point * day["points"] for day in (small, large)]
        self.per_session = max(0.0, (rest[1] - rest[0]) / (large["sessions"] - small["sessions"]))
        self.fixed = max(0.0, rest[0] - self.per_session * small["sessions"])

    def at(self, sessions: float, points: float) -> float:
        return self.fixed + self.per_session * sessions + self.per_point * points


class Memory:
    """Most memory of a run, in MB: a straight line through the two largest days.

    Buffers fill up on small days, and then stay as large as they are. So a line through small days says far too much.
    Points and sessions are not told apart.
    """

    def __init__(self, measured: Measured) -> None:
        small, large = measured["days"][1], measured["check"]
        self.per_session = max(0.0, (large["memory"] - small["memory"]) / (large["sessions"] - small["sessions"]))
        self.fixed = large["memory"] - self.per_session * large["sessions"]

    def at(self, sessions: float) -> float:
        return self.fixed + self.per_session * sessions

    def sessions(self, most: float) -> float:
        """Return the sessions of a day that needs so much."""
        return (most - self.fixed) / self.per_session


class Day:
    """What a day of so many participant sessions costs, with all its runs."""

    def __init__(self, measured: Measured, sessions: float) -> None:
        self.sessions = sessions
        self.points = points = sessions * PUBLISHERS * MEAN_STAY * POINTS_A_MINUTE
        days = measured["days"]

        def at(cost: Callable[[Measured], float]) -> float:
            return Line(days, cost).at(sessions, points)

        def store(kind: str, run: str) -> float:
            return at(lambda day: day["store"][run].get(kind, 0))

        calls = math.ceil(sessions / PEOPLE)
        again = TRAILING_DAYS - 1
        self.requests = {
            "call_stats": TRAILING_DAYS * math.ceil(calls / 100),
            "participant_sessions": calls,
            "participant_stats": calls,
            "participant_metrics": math.ceil(sessions * PUBLISHERS * windows_of_a_stay(MEAN_STAY)),
            "user_feedback": 2 * math.ceil(calls * RATED),
        }
        self.extra_requests = {
            "participant_details": math.ceil(sessions * windows_of_a_stay(MEAN_STAY, DETAILS_WINDOW)),
            "participant_timeline": math.ceil(sessions),
        }
        self.quota_minutes = max(self.requests.values()) / QUOTA
        self.cpu = at(lambda day: day["cpu"]["fetch"] + day["cpu"]["compact"] + again * day["cpu"]["again"])
        self.cpu_of_first_run = at(lambda day: day["cpu"]["fetch"])
        self.memory = Memory(measured).at(sessions)
        self.raw_before = at(lambda day: day["segments"])
        self.raw, self.tables, self.lake = (at(lambda day, key=key: day[key]) for key in ("raw", "tables", "lake"))
        self.raw_objects = len(self.requests) + self.raw / COMPACTED_ON_DISK
        self.puts, self.gets = (
            sum(
                times * store(kind, run)
                for kind in kinds
                for run, times in {"fetch": 1, "compact": 1, "again": again}.items()
            )
            for kinds in (("PUT", "COPY", "LIST"), ("GET", "HEAD"))
        )
        self.hours = max(self.quota_minutes * 60, self.cpu_of_first_run) / 3600
        self.dollars = {
            "requests": self.puts * PRICES["PUT"][0] + self.gets * PRICES["GET"][0],
            "CPU": self.cpu / 3600 * PRICES["vCPU"][0],
            "memory": self.hours * max(1.0, self.memory / 1000) * PRICES["GB memory"][0],
            "a year of storage": self.stored / 1e9 * PRICES["GB"][0] * 12,
        }

    @property
    def stored(self) -> float:
        return self.raw + self.tables + self.lake


def windows_of_a_stay(mean_minutes: float, width: timedelta = MAX_WINDOW) -> float:
    """Return how many windows a stay of exponentially distributed length has on average.

    A stay has one more window for each whole width that it outlasts: the sum of exp(-width n / mean) from 0 on.
    """
    return 1 / (1 - math.exp(-width.total_seconds() / 60 / mean_minutes))


def requests_a_minute(quota: int, in_flight: int, latency: float = LATENCY) -> float:
    """Return the requests a minute that one process sends, by its own limiter in virtual time."""
    state, now, flying, sent, left = QuotaState(), 0.0, [], 0, quota  # type: ignore[var-annotated]
    window = 0
    while now < VIRTUAL_MINUTES * 60:
        wait = state.opens_in(now, len(flying)) if len(flying) < in_flight else math.inf
        if wait == 0:
            if now // 60 != window:
                window, left = int(now // 60), quota
            left -= 1
            sent += 1
            state.sent(now)
            heapq.heappush(flying, (now + latency, max(0, left), (window + 1) * 60.0))
            continue
        if flying and flying[0][0] <= now + wait:
            now, remaining, reset = heapq.heappop(flying)
            state.learn(Allowance(quota, remaining, reset), now)
            if not flying:
                state.idle()
        else:
            now += wait
    return sent / VIRTUAL_MINUTES


def publication_seconds(measured: Measured) -> float:
    """Return how long a day's publication holds the lake's turn with real distances to S3 and PostgreSQL."""
    turn = measured["publication"]
    return float(
        turn["seconds"] + turn["store_requests"] * STORE_LATENCY + turn["catalog_statements"] * CATALOG_LATENCY
    )


def _columns(measured: Measured) -> Iterator[tuple[str, Day, int]]:
    """Yield the name, the day of an app and the number of apps of each column of the derived tables."""
    for size in SIZES:
        yield f"10^{round(math.log10(size))} sessions", Day(measured, size), 1
    yield f"{APPS:,} apps of {SESSIONS_OF_AN_APP:,}", Day(measured, SESSIONS_OF_AN_APP), APPS


def unit_costs(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield the measured lines."""
    days = measured["days"]
    yield ("", "per run of a day", "per participant session", "per million data points")

    def row(what: str, unit: str, cost: Callable[[Measured], float], scale: float = 1.0) -> Sequence[str]:
        line = Line(days, lambda day: cost(day) / scale)
        values = (line.fixed, line.per_session, line.per_point * 1e6)
        return (f"{what}, {unit}", *(_short(value) for value in values))

    yield row("CPU of fetching, building and loading", "ms", lambda day: day["cpu"]["fetch"] * 1000)
    yield row("CPU of compacting", "ms", lambda day: day["cpu"]["compact"] * 1000)
    yield row("CPU of running it again", "ms", lambda day: day["cpu"]["again"] * 1000)
    memory = Memory(measured)
    yield ("most memory of a large day, MB", _short(memory.fixed), _short(memory.per_session), "in that of sessions")
    yield row("raw responses", "KB", lambda day: day["raw"], 1000)
    yield row("tables", "KB", lambda day: day["tables"], 1000)
    yield row("lake", "KB", lambda day: day["lake"], 1000)
    for run, name in {"fetch": "fetch", "compact": "compact", "again": "run again"}.items():
        for kinds in (("PUT", "COPY", "LIST"), ("GET", "HEAD")):
            yield row(
                f"{name}: {' and '.join((kinds[0], kinds[-1]))}",
                "requests",
                lambda day, run=run, kinds=kinds: sum(day["store"][run].get(kind, 0) for kind in kinds),
            )


def measured_days(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield what was measured, a column per day."""
    days = measured["days"]
    yield ("", *(f"{day['sessions']:,} sessions, a point every {day['step']} s" for day in days))
    yield ("data points", *(f"{day['points']:,}" for day in days))
    for endpoint in days[0]["requests"]:
        yield (f"requests: {endpoint}", *(f"{day['requests'][endpoint]:,}" for day in days))
    yield ("CPU per metrics request", *(f"{_cpu_of_fetching(day) * 1000:.1f} ms" for day in days))
    yield ("CPU of building and loading, per point", *(f"{_cpu_of_points(day) * 1e6:.2f} µs" for day in days))
    for name, key in {"before compaction": "segments", "after it": "compacted"}.items():
        yield (f"raw objects {name}", *(f"{day[key]:,}" for day in days))
    for key in ("raw", "tables", "lake"):
        yield (f"{key}: bytes per point", *(f"{day[key] / day['points']:.2f}" for day in days))
    yield ("most memory", *(f"{day['memory']:,.0f} MB" for day in days))


def check(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield what a day that is not among those of the lines cost, beside what the lines say."""
    day = measured["check"]
    yield (f"{day['sessions']:,} sessions, {day['points'] / 1e6:.1f} million points", "derived", "measured")
    costs: Mapping[str, Callable[[Measured], float]] = {
        "CPU seconds of fetching, building and loading": lambda day: day["cpu"]["fetch"],
        "CPU seconds of compacting": lambda day: day["cpu"]["compact"],
        "raw responses, MB": lambda day: day["raw"] / 1e6,
        "tables, MB": lambda day: day["tables"] / 1e6,
        "lake, MB": lambda day: day["lake"] / 1e6,
        "raw objects before compaction": lambda day: day["segments"],
        "GET and HEAD of the first run": lambda day: day["store"]["fetch"]["GET"] + day["store"]["fetch"]["HEAD"],
    }
    for what, cost in costs.items():
        derived = Line(measured["days"], cost).at(day["sessions"], day["points"])
        yield (what, f"{_short(derived)}", f"{_short(cost(day))}")


def _cpu_of_fetching(day: Measured) -> float:
    return float(day["steps"]["participant_metrics"] / day["requests"]["participant_metrics"])


def _cpu_of_points(day: Measured) -> float:
    return float((day["steps"]["build_tables"] + day["steps"]["load"]) / day["points"])


def a_day(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield what a day costs at each size."""
    columns = list(_columns(measured))
    catalog = measured["catalog"]
    yield ("a day", *(name for name, _, _ in columns))

    def row(what: str, value: Callable[[Day], float], *, unit: str = "", scale: float = 1) -> Sequence[str]:
        return (what, *(f"{_short(value(day) * apps / scale)}{unit}" for _, day, apps in columns))

    for endpoint in columns[0][1].requests:
        yield row(f"requests to Stream: {endpoint}", lambda day, endpoint=endpoint: day.requests[endpoint])
    for endpoint in columns[0][1].extra_requests:
        yield row(
            f"with `CALL_METRICS_DETAILS=all` also: {endpoint}",
            lambda day, endpoint=endpoint: day.extra_requests[endpoint],
        )
    yield ("minutes of the busiest quota, per app", *(_short(day.quota_minutes) for _, day, _ in columns))
    yield row("data points, millions", lambda day: day.points, scale=1e6)
    yield row("CPU hours", lambda day: day.cpu, scale=3600)
    yield ("memory of a worker, GB", *(_short(day.memory / 1000) for _, day, _ in columns))
    yield row("raw objects before compaction", lambda day: day.raw_before)
    yield row("raw objects after it, at least", lambda day: day.raw_objects)
    yield row("PUT, COPY and LIST", lambda day: day.puts)
    yield row("GET and HEAD", lambda day: day.gets)
    yield row("raw responses, GB", lambda day: day.raw, scale=1e9)
    yield row("tables, GB", lambda day: day.tables, scale=1e9)
    yield row("lake, GB", lambda day: day.lake, scale=1e9)
    yield row("rows of the catalog", lambda _: catalog["rows"])
    yield row("catalog, KB", lambda _: catalog["bytes"], scale=1000)
    seconds = publication_seconds(measured)
    yield ("publishing it once, one after the other, minutes", *(_short(seconds * n / 60) for *_, n in columns))


def money(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield dollars of a day at each size."""
    columns = list(_columns(measured))
    yield ("dollars for a day", *(name for name, _, _ in columns))
    for what in columns[0][1].dollars:
        yield (what, *(_money(day.dollars[what] * apps) for _, day, apps in columns))
    server = PRICES["PostgreSQL"][0]
    yield ("PostgreSQL", *(_money(server) for _ in columns))
    yield ("all", *(_money(server + sum(day.dollars.values()) * apps) for _, day, apps in columns))


def limits(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield what gives out, and at which size, the first one first."""
    yield ("limit", "of", "participant sessions a day that reach it")
    metrics = PUBLISHERS * windows_of_a_stay(MEAN_STAY)
    rates = {in_flight: requests_a_minute(10**6, in_flight) for in_flight in (16, 256)}
    cpu = Line(measured["days"], lambda day: day["cpu"]["fetch"])
    memory = Memory(measured)
    points = PUBLISHERS * MEAN_STAY * POINTS_A_MINUTE

    rows = [
        (QUOTA * MINUTES_A_DAY / metrics, f"a quota of {QUOTA:,} requests a minute", "an app"),
        (memory.sessions(2000), "a worker with 2 GB of memory", "a run of a day"),
        (memory.sessions(16_000), "a worker with 16 GB of memory", "a run of a day"),
        (
            (86_400 - cpu.fixed) / (cpu.per_session + cpu.per_point * points),
            "one core: 24 hours of CPU",
            "a run of a day",
        ),
    ]
    for in_flight, rate in rates.items():
        what = f"{in_flight} requests in flight: {_short(rate)} a minute whatever the quota"
        rows.append((rate * MINUTES_A_DAY / metrics, what, "a run of a day"))
    for most, what, where in sorted(rows):
        yield (what, where, _short(most))


def publications(measured: Measured) -> Iterator[Sequence[str]]:
    """Yield how much a lake-wide turn lets through."""
    turn, far = measured["publication"], publication_seconds(measured)
    near = turn["seconds"]
    yield ("", "loopback, measured", "with the latencies assumed")
    yield ("requests to S3 within the turn", f"{turn['store_requests']}", f"{turn['store_requests']}")
    yield ("statements to PostgreSQL within the turn", f"{turn['catalog_statements']}", f"{turn['catalog_statements']}")
    yield ("seconds that a publication holds the turn", f"{near:.2f}", f"{far:.2f}")
    yield ("publications an hour", *(_short(3600 / seconds) for seconds in (near, far)))
    yield ("apps that publish a day each between 02:15 and 06:15", *(_short(4 * 3600 / s) for s in (near, far)))


def windows(_: Measured) -> Iterator[Sequence[str]]:
    """Yield metrics requests per participant session by mean stay and share of publishers."""
    shares = (1.0, 0.7, 0.3, 0.05)
    yield ("mean stay", *(f"{share:.0%} publish" for share in shares))
    for minutes in (5, 15, 30, 60, 120):
        yield (f"{minutes} minutes", *(f"{share * windows_of_a_stay(minutes):.2f}" for share in shares))


def quota(_: Measured) -> Iterator[Sequence[str]]:
    """Yield the sessions that a quota is good for."""
    metrics = PUBLISHERS * windows_of_a_stay(MEAN_STAY)
    yield (
        "quota a minute",
        "sent by one process, 16 in flight",
        "256 in flight",
        "sessions a day, 256 in flight",
        f"{RETENTION.days} days of 10,000 sessions",
    )
    for limit in (300, 1000, 3000, 10_000, 60_000):
        slow, fast = (requests_a_minute(limit, in_flight) for in_flight in (16, 256))
        most = fast * MINUTES_A_DAY / metrics
        backlog = RETENTION.days * 10**4 / most
        yield (f"{limit:,}", _short(slow), _short(fast), _short(most), f"{_short(24 * backlog)} hours")


def assumptions(_: Measured) -> Iterator[Sequence[str]]:
    """Yield the assumptions."""
    yield ("assumption", "value", "why")
    yield from ASSUMPTIONS


def prices(_: Measured) -> Iterator[Sequence[str]]:
    """Yield the prices."""
    yield ("dollars", "for", "as reported by")
    for dollars, what, source in PRICES.values():
        yield (f"{dollars:.7f}".rstrip("0"), what, source)


TABLES: Mapping[str, Callable[[Measured], Iterator[Sequence[str]]]] = {
    "assumptions": assumptions,
    "windows": windows,
    "measured": measured_days,
    "units": unit_costs,
    "check": check,
    "day": a_day,
    "prices": prices,
    "money": money,
    "limits": limits,
    "quota": quota,
    "publications": publications,
}
"""The tables of the page, by the name of their marker; the first row is the heading."""


def _short(value: float) -> str:
    """Return a number with two significant digits."""
    if value == 0:
        return "0"
    digits = 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    return f"{rounded:,.{max(0, digits)}f}"


def _money(value: float) -> str:
    return _short(value) if value >= 0.001 else "under 0.001"
