"""The run on one screen: enumerate, plan, land, flatten, write, load.

Every step takes a day (the UTC date on which call sessions started), does what is still to be done and returns what it
did. Steps hold the day's lock, so that one process works on a day at a time, and start from what is on disk, so that a
step that was cut off goes on where it stopped. The stages know nothing of each other; only this module joins them.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb
import pyarrow as pa

from pipeline.api import StreamApi
from pipeline.errors import FixSettings, FixStorage, RequestFailed, SetAside
from pipeline.exchange import PEOPLE, Answer, Call, Endpoint, Request
from pipeline.fetch import EventLoop, Progress, each, fetch_listing, fetch_windows
from pipeline.flatten import Flattener, is_outdated
from pipeline.knowledge import requests_of
from pipeline.lake import Lake
from pipeline.landing import Landing
from pipeline.listed import Listings
from pipeline.locks import locked
from pipeline.plan import CallFacts, Listing, attendance_is_due, statistics_are_due, unfinished
from pipeline.privacy import Forgotten, redactor
from pipeline.settings import Settings
from pipeline.survey import Survey, survey
from pipeline.tabulate import Written, tabulate
from pipeline.views import THRESHOLDS_FILE
from pipeline.warehouse import Loaded, Warehouse

__all__ = ["Flow", "Landed", "News", "Written"]

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
class News:
    """What the source has updated: when it was asked (UTC, its clock), and one row per call session concerned.

    Rows have `session_date`, `version` (a text that changes with whatever the source tells) and `generated_at`.
    """

    asked_at: datetime
    sessions: pa.Table


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
        self.listings = Listings(self.landing, settings.work / "tmp")
        self.lake = Lake(str(settings.tables))
        self.warehouse = Warehouse(
            settings.warehouse,
            settings.work / "warehouse.duckdb",
            owner=self._folder_id,
            thresholds=settings.data / THRESHOLDS_FILE,
        )
        self._locks = settings.work / "locks"
        self._report = report
        self._connect = connect or _connect
        self._upgrading = settings.work / "upgrading"
        self._is_upgraded = False
        self._loop: EventLoop | None = None
        self._api: StreamApi | None = None

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
            going_on = unfinished(self.listings.of_calls(day), api.now())
            async with self.landing.writer("call_stats", day) as writer:
                return await fetch_listing(api, writer.append, Request("call_stats", day), going_on)

        return self._holding(day, lambda: self._landed("call_stats", enumerate_calls))

    def land_attendance(self, day: date) -> Landed:
        """List who took part in every call session of the day, where that is not known for good."""

        async def attend(api: StreamApi) -> list[Answer]:
            known = self.listings.of(day).known
            landed = {call: attendance.listings for call, attendance in known.attendance.items()}
            now = api.now()
            due = [
                facts for call, facts in known.calls.items() if attendance_is_due(facts, known.attendance[call], now)
            ]
            return await self._list_people(api, "participant_sessions", day, due, landed)

        return self._holding(day, lambda: self._landed("participant_sessions", attend))

    def land_statistics(self, day: date) -> Landed:
        """List the participant statistics of every call session of the day that is settled.

        An app may have none (403, 404): the endpoint is left alone for the day after some refusals in a row. What else
        fails is said, and asked for with the next run; a day is complete without.
        """

        async def ask(api: StreamApi) -> list[Answer]:
            known = self.listings.of(day).known
            landed = {call: attendance.statistics for call, attendance in known.attendance.items()}
            due = [facts for call, facts in known.calls.items() if statistics_are_due(facts, known.attendance[call])]
            earlier = [listing for listings in landed.values() for listing in listings]
            scouts = SCOUTS - sum(listing.refused for listing in earlier)
            if any(listing.complete for listing in earlier):
                scouts = 0
            elif scouts <= 0:
                return []
            failures = await self._list_people(api, "participant_stats", day, due, landed, scouts=scouts)
            failed = [answer for answer in failures if not _is_refusal(answer)]
            if failed:
                log.warning(
                    "%s: the participant statistics of %d calls are not here; run the day again to ask for them (%s)",
                    day,
                    len(failed),
                    "no answer" if failed[0].status is None else f"HTTP {failed[0].status}",
                )
            return failed

        return self._holding(day, lambda: self._landed("participant_stats", ask))

    def land_metrics(self, day: date) -> Landed:
        """Plan the windows of every stay of the day, and fetch those that have no final answer yet."""

        async def measure(api: StreamApi) -> list[Answer]:
            stays = self.listings.of(day).known.stays
            asked = requests_of(self.landing.index("participant_metrics", day))
            async with self.landing.writer("participant_metrics", day) as writer:
                workers = self.settings.concurrency
                return await fetch_windows(api, writer.append, day, stays, asked, workers=workers, report=self._report)

        return self._holding(day, lambda: self._landed("participant_metrics", measure))

    def write_tables(self, day: date, *, anew: bool = False) -> Written:
        """Flatten what has landed of the day and write its tables; a file that would come out the same stays."""

        def write() -> Written:
            listed = self.listings.of(day)
            return tabulate(day, listed, self.landing, self.lake, temporary=self.settings.work / "tmp", anew=anew)

        return self._holding(day, write)

    def load(self, days: Sequence[date], *, anew: bool = False) -> Loaded:
        """Load the tables of these days where they changed, and publish the finished database.

        Tables that an earlier version made are made anew first, of all days of which the raw answers are here.
        """
        is_first = not self._is_upgraded
        if is_first:
            days = [*days, *self._upgrade()]
        with locked(self._locks / "warehouse.lock", "the database"):
            loaded = self.warehouse.load(self.lake, days, anew=anew)
        if is_first:
            self._upgrading.unlink(missing_ok=True)
            self._is_upgraded = True
        return loaded

    def _upgrade(self) -> list[date]:
        """Make the tables of an earlier version anew; returns the days that are to be loaded for it.

        All of them, where an upgrade before was cut off between its tables and its database.
        """
        self._upgrading.parent.mkdir(parents=True, exist_ok=True)
        landed = set(self.landing.days())
        days = [day for day in self.lake.days() if day in landed and self._is_outdated(day)]
        if days:
            log.info("the tables of %d days are of an earlier version of Call Metrics; they are made anew", len(days))
        for day in days:
            self._upgrading.touch()  # each time, for another process may be through with its upgrade meanwhile
            self.write_tables(day)
        return self.lake.days() if self._upgrading.exists() else []

    def _is_outdated(self, day: date) -> bool:
        return is_outdated(self.lake.fingerprint("windows", day))

    def forget(self, user_id: str) -> list[date]:
        """Remove a person from raw answers, tables and database, and keep them out from now on; returns the days.

        Of the person a salted hash of the user id is kept, so that later answers about them are left out. The writer's
        database is made anew, so that its file has no trace either. Raises `FixSettings` for an empty id.
        """
        if not user_id:
            raise FixSettings("--user is empty; give the id of the user to forget")
        with locked(self._locks / "forgotten.lock", "the list of the forgotten"):
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
        struck = sum(self.landing.rewrite(endpoint, day, forgotten.struck_from_pages) for endpoint in PEOPLE)
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

    @contextmanager
    def loaded(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All that is loaded, published yet or not, to read from; whoever has something to load waits meanwhile."""
        with locked(self._locks / "warehouse.lock", "the database"), self.warehouse.reading() as database:
            yield database

    def survey(self, day: date) -> Survey:
        """What is known of a day and what of it is missing, from what has landed and from its tables."""
        listed = _without_broken(lambda: self.listings.of(day))
        asked = requests_of(self.landing.index("participant_metrics", day))
        states = ["call_type", "call_id", "call_session_id", "state"]
        windows = self.lake.read("windows", day, states) if self.lake.has("windows", day) else None
        now = self._api.now() if self._api is not None else datetime.now(UTC)
        return survey(day, listed.known, self.listings.of_calls(day), asked, windows, now)

    def certificates(self, day: date) -> list[dict[str, Any]]:
        """What was promised and is held of each call session of a day: rows of `ingest_completeness_by_call`."""
        table = "ingest_completeness_by_call"
        return self.lake.read(table, day).to_pylist() if self.lake.has(table, day) else []

    # What the steps are made of.

    async def _list_people(
        self,
        api: StreamApi,
        endpoint: Endpoint,
        day: date,
        calls: list[CallFacts],
        landed: Mapping[Call, Sequence[Listing]],
        *,
        scouts: int = 0,
    ) -> list[Answer]:
        """List each call to the end, those that the source forgets first first; returns the answers with an error.

        `landed` has the listings so far. With `scouts`, so many go one by one, and no more unless one is answered.
        """
        now = api.now()
        calls = sorted(calls, key=lambda facts: facts.urgency)
        failures: list[Answer] = []
        done, total = 0, len(calls)
        async with self.landing.writer(endpoint, day) as writer:

            async def list_call(facts: CallFacts) -> None:
                nonlocal done
                going_on = unfinished(landed[facts.call], now, settled_at=facts.settled_at)
                failures.extend(
                    await fetch_listing(api, writer.append, Request(endpoint, day, call=facts.call), going_on)
                )
                done += 1
                self._report(Progress(day, "calls", done, total, None))

            for _ in range(min(scouts, len(calls))):
                await list_call(calls.pop())  # the newest: what is about to be forgotten says little of the others
                if len(failures) < done or not _is_refusal(failures[-1]):
                    break
            if not scouts or len(failures) < done:
                await each(calls, list_call, self.settings.concurrency)
        return failures

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


def _is_refusal(answer: Answer) -> bool:
    return answer.status is not None and 400 <= answer.status < 500


def _connect(settings: Settings) -> StreamApi:
    return StreamApi(
        settings.base_url,
        settings.credentials(),
        concurrency=settings.concurrency,
        quota_share=settings.quota_share,
    )
