"""The run on one screen: enumerate, plan, land, flatten, write, load.

Every step takes a day (the UTC date on which call sessions started), does what is still to be done and returns what it
did. Steps hold the day's lock, so that one process works on a day at a time, and start from what is on disk, so that a
step that was cut off goes on where it stopped. The stages know nothing of each other; only this module joins them.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import pyarrow as pa

from pipeline.api import StreamApi
from pipeline.errors import FixSettings, FixStorage, RequestFailed, SetAside
from pipeline.exchange import ENDPOINTS, Answer, Endpoint, Request
from pipeline.fetch import EventLoop, Progress, each, fetch_listing, fetch_windows
from pipeline.flatten import Bodies, DayOfMetrics, Flattener, digest, fingerprint, is_outdated, pages
from pipeline.knowledge import Known, expected_windows, known_of, listings_of, requests_of
from pipeline.lake import Lake
from pipeline.landing import Landing
from pipeline.locks import locked
from pipeline.plan import CallFacts, attendance_is_due, statistics_are_due, unfinished
from pipeline.privacy import Forgotten, redactor
from pipeline.settings import Settings
from pipeline.specification import unknown_fields
from pipeline.survey import Survey, survey, survey_calls, verdicts
from pipeline.tables import TABLES
from pipeline.views import THRESHOLDS_FILE
from pipeline.warehouse import Loaded, Warehouse

__all__ = ["Flow", "Landed", "News", "Written"]

LISTED: tuple[Endpoint, ...] = ("participant_sessions", "participant_stats")
"""Endpoints that list people, call by call."""

SCOUTS = 3
"""Calls that participant statistics are asked for, one by one, before an app is taken to have none."""

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Landed:
    """What a landing step did: requests sent (429s and retries too), and sentences about those that failed."""

    requests: int
    failures: Sequence[str]


@dataclass(frozen=True)
class Written:
    """What writing a day's tables did: rows by table, the tables that changed, and fields that are new to us."""

    rows: dict[str, int]
    changed: frozenset[str]
    unknown_fields: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class News:
    """What the source has updated: when it was asked (UTC, its clock), and one row per call session concerned.

    Rows have `session_date`, `version` (a text that changes with whatever the source tells) and `generated_at`.
    """

    asked_at: datetime
    sessions: pa.Table


@dataclass(frozen=True)
class _Enumerated:
    """Of one day: rows of call_sessions, how many more were listed that belong to other days, rows and totals of Call
    Attendance, rows of participant statistics, and what they say.
    """

    sessions: pa.Table
    of_other_days: int
    attended: pa.Table
    promised: pa.Table
    statistics: pa.Table
    known: Known


class Flow:
    """One pipeline over one data folder; a context manager. The API is connected to when it is first needed.

    `connect` makes the client; `report` is told of progress. All steps raise `FixStorage`; those that ask the source
    raise `FixSettings`, `FixCredentials` and `Interrupted` too.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: Callable[[Settings], StreamApi] | None = None,
        report: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self._forgotten = settings.raw / "forgotten.json"
        self.landing = Landing(
            settings.raw, redactor=lambda: redactor(settings.client_ip, Forgotten.read(self._forgotten))
        )
        self.lake = Lake(str(settings.tables))
        self.warehouse = Warehouse(
            settings.warehouse,
            settings.work / "warehouse.duckdb",
            owner=self._folder_id,
            thresholds=settings.data / THRESHOLDS_FILE,
        )
        self._locks = settings.work / "locks"
        self._temporary = settings.work / "tmp"
        self._report = report
        self._connect = connect or _connect
        self._is_upgraded = False
        self._loop: EventLoop | None = None
        self._api: StreamApi | None = None
        self._read: tuple[tuple[date, list[tuple[str, int]]], _Enumerated] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            if self._api is not None:
                self._loop.run(self._api.__aexit__(None, None, None))
            self._loop.close()
            self._loop = self._api = None

    @property
    def requests_sent(self) -> dict[str, int]:
        """Requests sent so far by endpoint, retries and 429s among them."""
        return dict(self._api.sent) if self._api is not None else {}

    # The steps, in their order.

    def land_call_stats(self, day: date) -> Landed:
        """Enumerate: list every call session that started on the day."""

        async def enumerate_calls(api: StreamApi) -> list[Answer]:
            listings = list(listings_of(self.landing.index("call_stats", day)).get(None, {}).values())
            going_on = unfinished(listings, api.now())
            async with self.landing.writer("call_stats", day) as writer:
                return await fetch_listing(api, writer.append, Request("call_stats", day), going_on)

        return self._holding(day, lambda: self._landed("call_stats", enumerate_calls))

    def land_attendance(self, day: date) -> Landed:
        """List who took part in every call session of the day, where that is not known for good."""

        async def attend(api: StreamApi) -> list[Answer]:
            now = api.now()
            known = self._known(day).known
            due = [
                facts for call, facts in known.calls.items() if attendance_is_due(facts, known.attendance[call], now)
            ]
            failures: list[Answer] = []
            async with self.landing.writer("participant_sessions", day) as writer:

                async def attend_call(facts: CallFacts) -> None:
                    going_on = unfinished(known.attendance[facts.call].listings, now, settled_at=facts.settled_at)
                    request = Request("participant_sessions", day, call=facts.call)
                    failures.extend(await fetch_listing(api, writer.append, request, going_on))

                await self._each_call(day, sorted(due, key=lambda facts: facts.urgency), attend_call)
            return failures

        return self._holding(day, lambda: self._landed("participant_sessions", attend))

    def land_statistics(self, day: date) -> Landed:
        """List the participant statistics of every call session of the day that is settled.

        An app may have none (403, 404): the endpoint is left alone for the day after some refusals in a row.
        """

        async def ask(api: StreamApi) -> list[Answer]:
            known = self._known(day).known
            due = [facts for call, facts in known.calls.items() if statistics_are_due(facts, known.attendance[call])]
            due.sort(key=lambda facts: facts.urgency)
            earlier = [listing for attendance in known.attendance.values() for listing in attendance.statistics]
            failures: list[Answer] = []
            async with self.landing.writer("participant_stats", day) as writer:

                async def ask_for_call(facts: CallFacts) -> list[Answer]:
                    going_on = unfinished(
                        known.attendance[facts.call].statistics, api.now(), settled_at=facts.settled_at
                    )
                    request = Request("participant_stats", day, call=facts.call)
                    failed = await fetch_listing(api, writer.append, request, going_on)
                    failures.extend(failed)
                    return failed

                answers = any(listing.complete for listing in earlier)
                refusals = sum(listing.refused for listing in earlier)
                while due and not answers and refusals < SCOUTS:
                    answers = not await ask_for_call(due.pop(0))
                    refusals += 1
                if answers:
                    await self._each_call(day, due, ask_for_call)
            return [answer for answer in failures if answer.status is None or answer.status >= 500]

        return self._holding(day, lambda: self._landed("participant_stats", ask))

    def land_metrics(self, day: date) -> Landed:
        """Plan the windows of every stay of the day, and fetch those that have no final answer yet."""

        async def measure(api: StreamApi) -> list[Answer]:
            stays = self._known(day).known.stays
            asked = requests_of(self.landing.index("participant_metrics", day))
            async with self.landing.writer("participant_metrics", day) as writer:
                workers = self.settings.concurrency
                return await fetch_windows(api, writer.append, day, stays, asked, workers=workers, report=self._report)

        return self._holding(day, lambda: self._landed("participant_metrics", measure))

    def write_tables(self, day: date, *, anew: bool = False) -> Written:
        """Flatten what has landed of the day and write its tables; a file that would come out the same stays."""
        return self._holding(day, lambda: self._write_tables(day, anew=anew))

    def _write_tables(self, day: date, *, anew: bool) -> Written:
        found = DayOfMetrics()
        with Flattener(self._temporary) as flattener:
            listed = self._known(day)
            index, bodies = self._raw("participant_metrics", day)
            asked = requests_of(index)
            expected = expected_windows(listed.known.stays, asked)
            ended = listed.sessions.select(["call_type", "call_id", "call_session_id", "ended_at"])
            segments = [path.name for name in ENDPOINTS[1:] for path in self.landing.segments(name, day)]

            parts = (segments, listed.attended, listed.statistics, expected, ended)
            marks = dict.fromkeys(TABLES, fingerprint(day, *parts))
            marks["call_sessions"] = fingerprint(day, listed.sessions)
            changed = {name for name, mark in marks.items() if anew or self.lake.fingerprint(name, day) != mark}
            if "call_sessions" in changed:
                for body in pages(*self._raw("call_stats", day)).column("body").to_pylist():
                    found.unknown.update(unknown_fields("call_stats", body))
                self._write("call_sessions", day, marks, listed.sessions)
            if changed - {"call_sessions"}:
                changed |= marks.keys() - {"call_sessions"}
                for endpoint in LISTED:
                    listings = pages(*self._raw(endpoint, day))
                    digest(endpoint, listings, listings.column("body").to_pylist(), found)
                with ExitStack() as files:
                    names = ("tracks", "metric_points", "track_warnings")
                    writers = {name: files.enter_context(self.lake.writer(name, day, marks[name])) for name in names}
                    for chunk in flattener.metrics(day, index, bodies, found):
                        for name, writer in writers.items():
                            writer.write(getattr(chunk, name))
                attendees = flattener.participant_sessions(day, listed.attended, listed.statistics, found)
                windows = flattener.windows(day, expected, index, found)
                judged = verdicts(survey_calls(listed.known, asked, windows))
                complete = flattener.completeness(
                    day, listed.sessions, listed.promised, listed.attended, windows, judged, found
                )
                self._write("participant_sessions", day, marks, attendees)
                self._write("windows", day, marks, windows)
                self._write("ingest_completeness_by_call", day, marks, complete)
            rows = {name: self.lake.rows(name, day) for name in TABLES}
        if listed.of_other_days:
            log.warning(
                "%s: %d call sessions that were listed for it say that they started on another day; backfill that day "
                "to have them",
                day,
                listed.of_other_days,
            )
        if found.unknown:
            fields = ", ".join(f"{name} ({count})" for name, count in sorted(found.unknown.items()))
            log.warning("%s: answers have fields that are new to us and stay in the raw answers: %s", day, fields)
        return Written(rows, frozenset(changed), dict(found.unknown))

    def load(self, days: Sequence[date], *, anew: bool = False) -> Loaded:
        """Load the tables of these days where they changed, and publish the finished database.

        Tables that an earlier version made are made anew first, of all days of which the raw answers are here.
        """
        if not self._is_upgraded:
            days = [*days, *self._upgrade()]
        with locked(self._locks / "warehouse.lock", "the database"):
            return self.warehouse.load(self.lake, days, anew=anew)

    def _upgrade(self) -> list[date]:
        landed = set(self.landing.days())
        days = [day for day in self.lake.days() if day in landed and self._is_outdated(day)]
        if days:
            log.info("the tables of %d days are of an earlier version of Call Metrics; they are made anew", len(days))
        for day in days:
            self.write_tables(day)
        self._is_upgraded = True
        return days

    def _is_outdated(self, day: date) -> bool:
        return is_outdated(self.lake.fingerprint("windows", day))

    def forget(self, user_id: str) -> list[date]:
        """Remove a person from raw answers, tables and database, and keep them out from now on; returns the days.

        Of the person a salted hash of the user id is kept, so that later answers about them are left out. The writer's
        database is made anew, so that its file has no trace either. Raises `FixSettings` for an empty id.
        """
        if not user_id:
            raise FixSettings("--user is empty; give the id of the user to forget")
        forgotten = Forgotten.read(self._forgotten).adding(user_id)
        forgotten.write(self._forgotten)
        days = [day for day in self.landing.days() if self._holding(day, partial(self._strike, day, forgotten))]
        for day in self.landing.days():  # all, for a forgetting that was cut off left some of them behind
            self.write_tables(day, anew=day in days)
        with locked(self._locks / "warehouse.lock", "the database"):
            self.warehouse.begin_anew()
            self.warehouse.load(self.lake, self.lake.days(), anew=True)
        return days

    def _strike(self, day: date, forgotten: Forgotten) -> bool:
        self._read = None
        struck = sum(self.landing.rewrite(endpoint, day, forgotten.struck_from_pages) for endpoint in LISTED)
        return bool(struck + self.landing.rewrite("participant_metrics", day, forgotten.struck_from_answers))

    # Looking.

    def news(self, since: datetime | None, until: datetime | None = None) -> News:
        """The call sessions that the source has updated since an instant (default: a day ago), up to `until` (now)."""
        answers: list[Answer] = []

        async def keep(answer: Answer) -> None:
            answers.append(answer)

        async def ask(api: StreamApi) -> tuple[datetime, list[Answer]]:
            for _ in range(2):  # the first answer tells how the source's clock goes; then it is asked by that
                asked_at, skew = api.now(), api.skew
                updated = (since or asked_at - timedelta(days=1), until)
                request = Request("call_stats", asked_at.date(), updated=updated)
                answers.clear()
                failures = await fetch_listing(api, keep, request, None)
                if api.skew == skew:
                    break
            return asked_at, failures

        asked_at, failures = self._with_api(ask)
        if failures:
            raise RequestFailed(f"the source did not say what is new: {failures[0].error}", status=failures[0].status)
        with Flattener() as flattener:
            return News(asked_at, flattener.news([answer.body for answer in answers]))

    def survey(self, day: date) -> Survey:
        """What is known of a day and what of it is missing, from what has landed and from its tables."""
        enumerated = listings_of(self.landing.index("call_stats", day)).get(None, {}).values()
        asked = requests_of(self.landing.index("participant_metrics", day))
        states = ["call_type", "call_id", "call_session_id", "state"]
        windows = self.lake.read("windows", day, states) if self.lake.has("windows", day) else None
        now = self._api.now() if self._api is not None else datetime.now(UTC)
        return survey(day, _without_broken(lambda: self._known(day)).known, list(enumerated), asked, windows, now)

    def certificates(self, day: date) -> list[dict[str, Any]]:
        """What was promised and is held of each call session of a day: rows of `ingest_completeness_by_call`."""
        table = "ingest_completeness_by_call"
        return self.lake.read(table, day).to_pylist() if self.lake.has(table, day) else []

    # What the steps are made of.

    async def _each_call(
        self, day: date, calls: Sequence[CallFacts], ask: Callable[[CallFacts], Awaitable[object]]
    ) -> None:
        """`ask` for every call, as many at a time as the settings say, and report how far that is."""
        done = 0

        async def ask_and_count(facts: CallFacts) -> None:
            nonlocal done
            await ask(facts)
            done += 1
            self._report(Progress(day, "calls", done, len(calls), None))

        await each(calls, ask_and_count, self.settings.concurrency)

    def _folder_id(self) -> str:
        """What tells this data folder from others; it lies with the raw answers, which everything else is made from."""
        path = self.landing.root / "folder-id"
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{secrets.token_hex(16)}\n", encoding="ascii")
            return path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FixStorage(f"{path} cannot be used ({error}); mend it and run again") from None

    def _known(self, day: date) -> _Enumerated:
        """What the listings of a day say; read again only where a segment has come since."""
        paths = [path for name in ENDPOINTS[:3] for path in self.landing.segments(name, day)]
        segments = [(path.name, path.stat().st_mtime_ns) for path in paths]  # forgetting rewrites them in their place
        if self._read is None or self._read[0] != (day, segments):
            with Flattener() as flattener:
                sessions, of_other_days = flattener.call_sessions(day, *self._raw("call_stats", day))
                index, bodies = self._raw("participant_sessions", day)
                attended, promised = flattener.attendance(index, bodies)
                statistics_index, bodies = self._raw("participant_stats", day)
                statistics = flattener.participant_stats(statistics_index, bodies)
            known = known_of(sessions, attended, promised, index, statistics, statistics_index)
            self._read = (day, segments), _Enumerated(sessions, of_other_days, attended, promised, statistics, known)
        return self._read[1]

    def _raw(self, endpoint: Endpoint, day: date) -> tuple[pa.Table, Bodies]:
        return self.landing.index(endpoint, day), lambda places: self.landing.bodies(endpoint, day, places)

    def _write(self, table: str, day: date, marks: dict[str, str], rows: pa.Table) -> None:
        with self.lake.writer(table, day, marks[table]) as writer:
            writer.write(rows)

    def _holding(self, day: date, step: Callable[[], T]) -> T:
        """Take the step with the day's lock held; begin it again for each broken segment that it comes upon."""
        with locked(self._locks / f"session_date={day}.lock", f"{day}"):
            return _without_broken(step)

    def _landed(self, endpoint: Endpoint, step: Callable[[StreamApi], Awaitable[Iterable[Answer]]]) -> Landed:
        before = self.requests_sent.get(endpoint, 0)
        # Not the words of the source: they may name someone, and logs are kept elsewhere. `windows.error` has them.
        failures = [
            f"{answer.request}: {answer.error if answer.status is None else f'HTTP {answer.status}'}"
            for answer in self._with_api(step)
        ]
        return Landed(self.requests_sent.get(endpoint, 0) - before, failures)

    def _with_api(self, use: Callable[[StreamApi], Awaitable[T]]) -> T:
        async def connected() -> T:
            if self._api is None:
                self.settings.keep_apart_from_demo()
                self._api = await self._connect(self.settings).__aenter__()
            return await use(self._api)

        if self._loop is None:
            self._loop = EventLoop()
        return self._loop.run(connected())


def _without_broken(step: Callable[[], T]) -> T:
    while True:
        try:
            return step()
        except SetAside:
            continue  # it was said; there are only so many segments


def _connect(settings: Settings) -> StreamApi:
    return StreamApi(
        settings.base_url,
        settings.credentials(),
        concurrency=settings.concurrency,
        quota_share=settings.quota_share,
    )
