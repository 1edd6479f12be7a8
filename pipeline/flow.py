"""The run on one screen: `Flow.run` takes a day from the API to the published database, step by step.

A day is the UTC date on which call sessions started. Every step does what is still to be done, starts from what is on
disk, and returns what it did, so a step that was interrupted resumes where it stopped. The command line and Dagster run
the same steps. `extract`, `tables` and `warehouse` do not know each other; they are joined here.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import PurePath
from types import TracebackType
from typing import Any, Self

from pipeline.endpoints import DAILY_ENDPOINTS, ENDPOINT_NAMES, EXTRA_ENDPOINTS, PEOPLE, EndpointName
from pipeline.errors import CallMetricsError, FixSettings
from pipeline.extract.client import StreamApi
from pipeline.extract.crawl import Progress
from pipeline.extract.quota_file import QuotaFile, QuotaNote
from pipeline.extract.session import ApiSession
from pipeline.extract.steps import Extract, Landed
from pipeline.files import quarantined
from pipeline.landing.compaction import compact_day, is_scattered
from pipeline.landing.days import DayLocks, without_broken_segments
from pipeline.landing.erasure import ErasedUsers
from pipeline.landing.landing import Landing
from pipeline.landing.redaction import redactor
from pipeline.limits import allow_open_files
from pipeline.model import RETENTION, Call
from pipeline.planning.completeness import DayCompleteness, day_ends, is_certified, judge_day
from pipeline.planning.inventory import Inventories
from pipeline.planning.judged import JudgedDays
from pipeline.planning.pruned import PrunedDay, PrunedDays, Removed
from pipeline.quality.day import DayQuality, day_quality, poor_calls
from pipeline.quality.ratings.train import FACT, train
from pipeline.quality.releases.compared import compared_releases
from pipeline.quality.thresholds import THRESHOLDS_FILE
from pipeline.schema import CALL_KEY, TABLES
from pipeline.settings import Settings
from pipeline.storage import StoredFile, open_shared_store, open_store
from pipeline.tables.build import UNKNOWN_FIELDS_IN, TablesBuilt, build_tables
from pipeline.tables.lake import Lake
from pipeline.tables.provenance import fingerprint, rules
from pipeline.tables.pruned import lost_tables, strike_day
from pipeline.tables.upgrade import Upgrade
from pipeline.turns import StillMine
from pipeline.warehouse.choice import choose_turns, choose_warehouse
from pipeline.warehouse.day import Loaded
from pipeline.warehouse.ducklake import Cleaned, DuckLake

__all__ = ["Flow"]

log = logging.getLogger(__name__)


class Flow:
    """One pipeline over one data folder; a context manager. It connects to the API when a step first needs it.

    Args:
        settings: where everything is.
        connect: makes the client of the API; tests pass their own.
        report: called with the progress of fetching.

    All steps raise `FixStorage`. Those that fetch from the source also raise `FixSettings`, `FixCredentials` and
    `Interrupted`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: Callable[[Settings], StreamApi] | None = None,
        report: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        allow_open_files()
        self.settings = settings
        self.store = open_store(settings)
        shared = open_shared_store(settings) if settings.app else self.store
        raw = self.store.below("raw")
        self._erased_file = StoredFile(raw, "forgotten.json")
        self._temporary = settings.work / "tmp"
        self._rating_model: str | None = None
        self._model_is_due = False
        self._trains_seldom = False
        self._turns = choose_turns(settings.warehouse, settings.location, settings.work / "locks")
        self._locks = DayLocks(self._turns)
        self._quota_file = QuotaFile(StoredFile(self.store, ".work/quotas.json"))
        self._session = ApiSession(settings, connect, self._quota_file if settings.alerts else None)
        self.landing = Landing(raw, redactor=lambda: redactor(settings.client_ip, ErasedUsers.read(self._erased_file)))
        self._inventories = Inventories(self.landing, self._temporary)
        self.lake = Lake(self.store.below("tables"))
        self.pruned = PrunedDays(self.store.below("tables"))
        self._judged = JudgedDays(settings.work / "judged")
        self._upgrade = Upgrade(self.store, self.landing, self.lake, self.pruned, self._locks)
        self.extract = Extract(
            self.landing,
            self._inventories,
            self._locks,
            self._session,
            workers=settings.concurrency,
            report=report,
            is_closed=self.pruned.has,
        )
        self.warehouse = choose_warehouse(
            settings.warehouse,
            settings.work / "warehouse.duckdb",
            turns=self._turns,
            owner=self.landing.id,
            thresholds=StoredFile(self.store, THRESHOLDS_FILE),
            facts=self._facts,
            files=shared.below("lake"),
            work=self._temporary,
            claim=StoredFile(shared, "lake-id"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._inventories.close()
        if isinstance(self.warehouse, DuckLake):
            self.warehouse.close()

    def run(self, day: date) -> DayCompleteness:
        """Run every step for one day, in order, and return what is missing afterwards."""
        self.extract.call_stats(day)  # enumerate the call sessions that started on the day
        self.extract.participant_sessions(day)  # enumerate who took part in them
        self.extract.participant_stats(day)  # enumerate who published nothing
        self.extract.participant_metrics(day)  # plan the windows; fetch and land those that are due
        self.extract.user_feedback(day)  # enumerate the ratings that people gave
        self.build_tables(day)  # flatten what has landed; write Parquet tables
        self.load([day])  # load them into DuckDB; publish it
        self.fetch_details(day)  # if set: fetch both sides of connections, and timelines; build and load again
        self.compact(day)  # if the day is complete: store its responses in few files
        return self.completeness(day)

    def build_tables(self, day: date, *, rebuild: bool = False) -> TablesBuilt:
        """Flatten what has landed of the day and write its tables, if their inputs changed (or if `rebuild`).

        Those of a pruned day stay as they are.
        """
        return self._locks.run(day, partial(self._build, day, details=self.settings.details != "off", rebuild=rebuild))

    def fetch_details(self, day: date) -> None:
        """Fetch the details and timelines that `CALL_METRICS_DETAILS` wants, and bring them to the database."""
        if sum([self.land_extra(endpoint, day).requests for endpoint in EXTRA_ENDPOINTS]):
            self.build_tables(day)
            self.load([day])

    def land_extra(self, endpoint: EndpointName, day: date) -> Landed:
        """Fetch and land what is due of a day's participant details, or of its participant timelines.

        The day must be loaded: see `poor_calls`.
        """
        mode = self.settings.details
        if mode == "off":
            return Landed(0, (), self.landing.folder(endpoint, day))
        step: Callable[[date, Collection[Call] | None], Landed] = getattr(self.extract, endpoint)
        return step(day, self.poor_calls(day) if mode == "poor" else None)

    def poor_calls(self, day: date) -> frozenset[Call]:
        """Return the call sessions with a poor publisher or a low score, from what is loaded, published or not."""
        with self.warehouse.reading() as database:
            return frozenset(Call(*ids) for ids in poor_calls(database, day))

    def load(self, days: Sequence[date], *, rebuild: bool = False) -> Loaded:
        """Load the tables of these days if they changed (or if `rebuild`), and publish the database.

        First rebuilds tables that an earlier version wrote, see `tables.upgrade`.
        """
        if self._upgrade.is_done:
            return self._with_model(self.warehouse.load(self.lake, days, rebuild=rebuild))
        upgraded = self._upgrade.run(self.build_tables)
        loaded = self._with_model(self.warehouse.load(self.lake, [*days, *upgraded], rebuild=rebuild))
        self._upgrade.finish()
        return loaded

    def close_day(self, day: date, removed: Removed) -> DayCompleteness:
        """Note that a day is pruned, if it is complete; `removed` says what will go. Returns how complete it is.

        Its tables are brought up to date before. Pruned days are explained in `planning.pruned`; which days are
        pruned, and when, is decided in `retention`.
        """

        def close(still_mine: StillMine) -> DayCompleteness:
            self._build(day, details=True)
            completeness = self.completeness(day)
            if completeness.is_complete:
                known = self.pruned.get(day)
                tables = known.tables if known else {name: self.lake.rows(name, day) for name in TABLES}
                still_mine()
                self.pruned.put(PrunedDay.of(completeness, removed, self._session.now(), rules(), tables))
            return completeness

        return self._locks.run_asking(day, close)

    def drop(self, days: Sequence[date]) -> Loaded:
        """Remove days from the database, and publish it if there was something to remove."""
        return self._with_model(self.warehouse.load(self.lake, [], drop=days))

    def delete_files(self, day: date) -> None:
        """Delete the files that a pruned day must not have: its raw responses, and its tables if the whole day goes."""

        def delete() -> None:
            if (known := self.pruned.get(day)) is not None:
                self.landing.delete_day(day)
                if known.removed == "all":
                    self.lake.delete_day(day)

        self._locks.run(day, delete)

    def compact(self, day: date) -> int:
        """Put the raw segments of a complete day together, if they are many. Returns how many were replaced."""

        def compact() -> int:
            if self.pruned.has(day):
                return 0
            endpoints = DAILY_ENDPOINTS if self.settings.details == "off" else ENDPOINT_NAMES
            with self.landing.listing_once():
                if is_scattered(self.landing, day, endpoints) and self.completeness(day).is_complete:
                    return compact_day(self.landing, day, endpoints)
            return 0

        return self._locks.run(day, compact)

    @contextlib.contextmanager
    def publishing_seldom(self) -> Iterator[None]:
        """Within the block, publish at most once a minute. However it ends, publish what is loaded."""
        try:
            with self.warehouse.publishing_seldom():
                self._trains_seldom = True
                yield
        finally:
            self._trains_seldom = False
            if self.warehouse.is_due or self._model_is_due:
                self.load([])

    def rebuild(self, days: Sequence[date], report: Callable[[date, TablesBuilt], None] = lambda *_: None) -> None:
        """Rebuild the tables of these days and the database from raw responses, without the API.

        The tables of pruned days stay as they are, and are loaded.
        """
        for day in days:
            report(day, self.build_tables(day, rebuild=True))
        self.load(days, rebuild=True)

    def forget(self, user_id: str) -> list[date]:
        """Erase a person from raw responses, tables and database, and leave them out from now on. Returns the days.

        A salted hash of the user id is kept, to recognize later responses about them. It is written first, so that an
        interrupted erasure is continued by the next one. The tables of pruned days lose their rows, since there is
        nothing to rebuild them from. The writer's database is made from scratch, so that its file keeps no trace. What
        a bucket keeps of the objects that were replaced goes last, when all of the new is there.
        Raises `FixSettings` for an empty id.
        """
        if not user_id:
            raise FixSettings("--user is empty; give the id of the user to forget")
        with self._turns.of_erasing() as still_mine:
            erased = ErasedUsers.read(self._erased_file).with_user(user_id)
            still_mine()
            erased.write(self._erased_file)
        extra = {endpoint: frozenset(self.landing.days_of(endpoint)) for endpoint in EXTRA_ENDPOINTS}
        days = [
            day
            for day in self.landing.days()
            if self._locks.run(day, partial(self._strike, day, erased, [name for name in extra if day in extra[name]]))
        ]
        for day in self.landing.days():  # all days: an erasure that was interrupted left some behind
            self.build_tables(day, rebuild=day in days)
        strike = partial(strike_day, self.lake, self.pruned, erased=erased)
        days += [day for day in self.pruned.days() if self._locks.run(day, partial(strike, day)) and day not in days]
        self._finish_removals()
        self._with_model(self.warehouse.load(self.lake, self.lake.days(), rebuild=True, from_scratch=True))
        self.store.delete_old_versions("raw", "tables", "lake")
        return sorted(days)

    def clean_lake(self) -> Cleaned | None:
        """Remove old snapshots and unused files of a DuckLake; None if the warehouse is a file."""
        if not isinstance(self.warehouse, DuckLake):
            return None
        return self.warehouse.clean(timedelta(days=self.settings.snapshot_days))

    def completeness(self, day: date) -> DayCompleteness:
        """Return what is stored of a day and what is missing."""
        if (pruned := self.pruned.get(day)) is not None:
            return pruned.completeness(lost_tables(self.lake, pruned))
        with self.landing.listing_once():
            inventory = without_broken_segments(lambda: self._inventories.of(day))
            listings = self._inventories.listings_of_calls(day)
            requests = self._inventories.window_requests(day)
        windows = self.lake.read("windows", day, [*CALL_KEY, "state"]) if self.lake.has("windows", day) else None
        return judge_day(day, inventory, listings, requests, windows, self._session.now())

    def known_completeness(self, day: date) -> DayCompleteness:
        """Return what `completeness` does, without judging a day again that was complete and has not changed since.

        For looking at many days. It does not read what has not changed, and so does not notice a broken disk.
        """
        if self.pruned.has(day):
            return self.completeness(day)
        with self.landing.listing_once():
            segments = [[*self.landing.versions(name, day).items()] for name in DAILY_ENDPOINTS]
            made_from = fingerprint(segments, self.lake.version("windows", day))
            if (known := self._judged.get(day, made_from)) is not None:
                return known
            judged = self.completeness(day)
        self._judged.put(judged, made_from)
        return judged

    def known_days(self) -> list[date]:
        """Return the days of which something has landed, and those that were pruned, oldest first."""
        return sorted({*self.landing.days(), *self.pruned.days()})

    def row_counts(self, day: date) -> dict[str, int]:
        """Return how many rows each table of a day has. Raises `FixStorage` if one of them is not built."""
        return {table: self.lake.rows(table, day) for table in TABLES}

    def certificates(self, day: date) -> list[dict[str, Any]]:
        """Return the rows of `ingest_completeness_by_call` of a day; none if the table is not built yet."""
        return self._rows("ingest_completeness_by_call", day)

    def incidents(self, day: date) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the rows of `incidents` and of `incident_calls` of a day; none if the tables are not built yet."""
        return self._rows("incidents", day), self._rows("incident_calls", day)

    def incomplete_days(self, now: datetime) -> list[date]:
        """Return the days that another run may complete, in the order in which they expire at the source.

        Judging a day reads all its listings. So it is done only if its tables do not certify that it is complete.
        """
        expiries = {}
        pruned = set(self.pruned.days())  # they were complete, and are not requested again
        for day in self.landing.days():
            if day not in pruned and now < day_ends(day) + RETENTION and not self._is_certified(day):
                try:
                    completeness = self.completeness(day)
                    if completeness.needs_another_run or not self.lake.has("ingest_completeness_by_call", day):
                        expiries[day] = completeness.expires_at
                except CallMetricsError:  # something is broken: a run fixes it, or says what to do
                    expiries[day] = day_ends(day) + RETENTION
        return sorted(expiries, key=lambda day: (expiries[day], day))

    def days_never_landed(self, now: datetime) -> list[date]:
        """Return the days before today, from CALL_METRICS_START on, of which nothing has landed, oldest first.

        Those of which the source has forgotten who took part are left out.
        """
        landed = set(self.known_days())
        day = max(self.settings.start, (now - RETENTION).date())
        found = []
        while day < now.date():
            if day not in landed and now < day_ends(day) + RETENTION:
                found.append(day)
            day += timedelta(days=1)
        return found

    def day_quality(self, day: date) -> DayQuality:
        """Return how good the calls of a day were, from what is loaded, published or not."""
        with self.warehouse.reading() as database:
            return day_quality(database, day)

    def releases(self) -> list[dict[str, Any]]:
        """Return the releases that can be compared with the one before, from all that is loaded, published or not."""
        with self.warehouse.reading() as database:
            return compared_releases(database)

    def quotas_seen(self) -> QuotaNote | None:
        """Return what the latest run, here or elsewhere, saw of the quotas while alerts were on; None if none did."""
        return self._quota_file.read()

    def unknown_fields(self, day: date) -> set[str]:
        """Return the fields in the day's responses that we do not know, such as `participant_metrics: client.os`."""
        tables = (table for table in UNKNOWN_FIELDS_IN if self.lake.has(table, day))
        return {name for table in tables for name in self.lake.unknown_fields(table, day)}

    @contextlib.contextmanager
    def alerting(self) -> Iterator[StoredFile]:
        """Within the block, be the only one who tells people what is wrong. Yields the file with what was told."""
        with self._turns.of_alerting():
            yield self.alerts_file

    @property
    def alerts_file(self) -> StoredFile:
        """What is open and who was told, see `alerts.state`. It is in the data folder or the object store."""
        return StoredFile(self.store, "alerts.json")

    @property
    def requests_sent(self) -> dict[str, int]:
        """Requests sent so far by endpoint, including retries and 429s."""
        return self._session.requests_sent

    def _facts(self) -> dict[str, str]:
        """Return what views need: the first day, the setting of details, the quotas that were seen, the pruned days if
        CALL_METRICS_KEEP_DAYS is set, and the model of ratings if it is new.
        """
        quotas = {f"quota {endpoint}": f"{requests}" for endpoint, requests in self._session.quotas.items()}
        model = {} if self._rating_model is None else {FACT: self._rating_model}
        keeps_all = self.settings.keep_days is None
        pruned = {} if keeps_all else {"pruned": " ".join(f"{day}" for day in self.pruned.days())}
        return {"start": self.settings.start.isoformat(), "details": self.settings.details, **quotas, **pruned, **model}

    def _with_model(self, loaded: Loaded) -> Loaded:
        """Make the model of ratings again if ratings were loaded, and publish it. In a backfill, only at its end."""
        if loaded.rows or loaded.published:
            count = sum(loaded.rows.values())
            log.debug("loaded %d rows%s", count, ", and published" * loaded.published, extra={"rows": count})
        self._model_is_due |= bool(loaded.dropped)
        self._model_is_due |= any(table == "user_ratings" and rows for (table, _), rows in loaded.rows.items())
        if self._model_is_due and not self._trains_seldom:
            self._model_is_due = False
            with self.warehouse.reading() as database:
                self._rating_model = train(database, self._session.now())
            if self._rating_model is not None:
                loaded.published |= self.warehouse.load(self.lake, []).published
        return loaded

    def quarantined(self) -> Sequence[PurePath]:
        """Return all quarantined files, sorted."""
        here = quarantined(self.settings.data, self.settings.warehouse_path)
        return sorted({*here, *self.store.quarantined()})

    def _build(self, day: date, *, details: bool, rebuild: bool = False) -> TablesBuilt:
        """Build the tables of a day in its turn, as `build_tables` does. With `details`, also those of details."""
        if self.pruned.has(day):
            held = {name: self.lake.rows(name, day) if self.lake.has(name, day) else 0 for name in TABLES}
            return TablesBuilt(held, {name: self.lake.path(name, day) for name in TABLES}, frozenset())
        with self.landing.listing_once():
            inventory = self._inventories.of(day)
            built = build_tables(
                day,
                inventory,
                self.landing,
                self.lake,
                temporary=self._temporary,
                details=details,
                rebuild=rebuild,
            )
            log.debug("%s: tables built: %s", day, ", ".join(sorted(built.changed)) or "none", extra={"day": day})
            return built

    def _finish_removals(self) -> None:
        """Delete what is left of pruned days whose removal was interrupted."""
        left = {*self.landing.days(), *self.lake.days()}.intersection(self.pruned.days())
        gone = [day for day in left if (known := self.pruned.get(day)) is not None and known.removed == "all"]
        if gone:
            self.drop(gone)
        for day in left:
            self.delete_files(day)

    def _strike(self, day: date, erased: ErasedUsers, extra: Sequence[EndpointName]) -> bool:
        struck = sum(self.landing.rewrite(endpoint, day, erased.strike_pages) for endpoint in PEOPLE)
        for endpoint in extra:
            struck += self.landing.rewrite(endpoint, day, partial(erased.strike_others, endpoint))
        return bool(struck + self.landing.rewrite("participant_metrics", day, erased.strike_responses))

    def _rows(self, table: str, day: date) -> list[dict[str, Any]]:
        return self.lake.read(table, day).to_pylist() if self.lake.has(table, day) else []

    def _is_certified(self, day: date) -> bool:
        try:
            rows = self.lake.read("ingest_completeness_by_call", day, ["is_complete"])
            page = self.landing.newest("call_stats", day)
        except CallMetricsError:
            return False
        if "is_complete" not in rows.column_names:  # written by an earlier version
            return False
        return is_certified(day, rows.column("is_complete").to_pylist(), page)
