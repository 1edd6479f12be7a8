"""The steps that fetch from the source, one per endpoint, in the order in which a day is fetched.

A step reads what has landed, requests what is due, and lands the responses. It has the same name as its endpoint, its
folder under `raw/` and its asset in Dagster. It holds the lock of its day, so that one process works on a
day at a time, and resumes where an interrupted run stopped.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePath
from typing import Any, Concatenate, ParamSpec, cast

import pyarrow as pa

from pipeline.endpoints import EndpointName
from pipeline.errors import RequestFailed
from pipeline.extract.client import StreamApi
from pipeline.extract.crawl import Progress, fetch_details, fetch_listing, fetch_windows, for_each
from pipeline.extract.heartbeat import while_still_mine
from pipeline.extract.session import ApiSession
from pipeline.landing.days import DayLocks
from pipeline.landing.landing import Landing
from pipeline.model import Call, Request, Response, Window
from pipeline.planning.details import details_windows, due_details, probes_left, timeline_windows
from pipeline.planning.due import participants_are_due, ratings_are_due, resumable_listing, stats_are_due
from pipeline.planning.facts import CallFacts, Listing, StayFacts, is_refusal, is_unavailable
from pipeline.planning.inventory import Inventories
from pipeline.planning.listings import updated_sessions
from pipeline.planning.problems import counted
from pipeline.turns import StillMine

__all__ = ["PROBE_CALLS", "Extract", "Landed", "Updates"]

PROBE_CALLS = 3
"""Calls whose participant statistics, or ratings, are requested one by one before we conclude that an app has none."""

UPDATES_BY_DEFAULT = timedelta(days=1)
"""How far back updates are listed if no instant is given."""

LISTED: Mapping[EndpointName, str] = {
    "call_stats": "the call sessions",
    "participant_sessions": "the participants of {}",
    "participant_stats": "participant statistics of {}",
    "participant_details": "{} of participant details",
    "participant_timeline": "the timelines of {}",
    "user_feedback": "the ratings of {}",
}
"""What an endpoint lists; `{}` stands for a number of calls, or of what is in `COUNTED`."""

COUNTED: Mapping[EndpointName, str] = {"participant_details": "window", "participant_timeline": "stay"}
"""What is counted if it is not calls."""

log = logging.getLogger(__name__)

P = ParamSpec("P")


@dataclass(frozen=True)
class Landed:
    """What a step did.

    Attributes:
        requests: requests sent, including 429s and retries.
        failures: sentences about the requests that failed.
        folder: where the day's responses of the endpoint are.
    """

    requests: int
    failures: Sequence[str]
    folder: PurePath


@dataclass(frozen=True)
class Updates:
    """What the source has updated.

    Attributes:
        listed_at: when it was requested, in UTC by the source's clock.
        sessions: one row per call session: `session_date`, `version` (a text that changes with anything that the source
            says about it), `generated_at`.
    """

    listed_at: datetime
    sessions: pa.Table


def _step(
    fetch: Callable[Concatenate[Extract, StreamApi, date, P], Coroutine[Any, Any, list[Response]]],
) -> Callable[Concatenate[Extract, date, P], Landed]:
    """Turn a coroutine that lands responses, and returns those with an error, into a step.

    The step waits for the day's lock, connects to the source, and runs again without segments that turn out broken.
    It stops within half a minute if the lock is lost.
    """
    endpoint = cast(EndpointName, fetch.__name__)

    @functools.wraps(fetch)
    def step(extract: Extract, day: date, /, *args: P.args, **options: P.kwargs) -> Landed:
        def run(still_mine: StillMine) -> list[Response]:
            if extract.is_closed(day):
                return []
            with extract.landing.listing_once():
                return extract.session.run(
                    lambda api: while_still_mine(fetch(extract, api, day, *args, **options), still_mine)
                )

        before = extract.requests_sent.get(endpoint, 0)
        failures = extract.locks.run_asking(day, run)
        if failures and (what := LISTED.get(endpoint)):
            log.warning(
                "%s: %s could not be fetched (%s); run the day again to fetch them",
                day,
                what.format(counted(len(failures), COUNTED.get(endpoint, "call"))),
                _reason(failures[0]),
                extra={"day": day, "endpoint": endpoint},
            )
        sentences = [f"{failure.request}: {_reason(failure)}" for failure in failures]
        requests = extract.requests_sent.get(endpoint, 0) - before
        log.debug(
            "%s: %s fetched with %s",
            day,
            endpoint,
            counted(requests, "request"),
            extra={"day": day, "endpoint": endpoint, "requests": requests},
        )
        return Landed(requests, sentences, extract.landing.folder(endpoint, day))

    return step


def _reason(failure: Response) -> str:
    """Return why a request failed, without the source's own words: they may name someone, and logs are kept elsewhere.

    The table `windows` has them.
    """
    if failure.status is None or 200 <= failure.status < 300:  # then the words are ours
        return failure.error or "no response"
    return f"HTTP {failure.status}{'; check STREAM_BASE_URL' if 300 <= failure.status < 400 else ''}"


class Extract:
    """The steps over one data folder.

    All of them raise `FixSettings`, `FixCredentials`, `FixStorage` and `Interrupted`. `report` is called with
    the progress, `workers` bounds the requests in flight. Nothing is requested of a day that `is_closed`: it was
    complete, and pruned, and what would land now would be less than what its tables have.
    """

    def __init__(
        self,
        landing: Landing,
        inventories: Inventories,
        locks: DayLocks,
        session: ApiSession,
        *,
        workers: int,
        report: Callable[[Progress], None],
        is_closed: Callable[[date], bool],
    ) -> None:
        self.is_closed = is_closed
        self.landing = landing
        self._inventories = inventories
        self.locks = locks
        self.session = session
        self._workers = workers
        self._report = report

    @property
    def requests_sent(self) -> dict[str, int]:
        """Requests sent so far by endpoint, including retries and 429s."""
        return self.session.requests_sent

    def land(self, endpoint: EndpointName, day: date) -> Landed:
        """Run the step of an endpoint."""
        step: Callable[[date], Landed] = getattr(self, endpoint)
        return step(day)

    @_step
    async def call_stats(self, api: StreamApi, day: date) -> list[Response]:
        """List every call session that started on the day."""
        resumed = resumable_listing(self._inventories.listings_of_calls(day), api.now())
        async with self.landing.writer("call_stats", day) as writer:
            return await fetch_listing(api, writer.append, Request("call_stats", day), resumed)

    @_step
    async def participant_sessions(self, api: StreamApi, day: date) -> list[Response]:
        """List who took part in every call session of the day, unless that is final already."""
        inventory, now = self._inventories.of(day), api.now()
        due = [
            facts
            for call, facts in inventory.calls.items()
            if participants_are_due(facts, inventory.attendance[call], now)
        ]
        landed = {call: attendance.listings for call, attendance in inventory.attendance.items()}
        return await self._list_people(api, "participant_sessions", day, due, landed)

    @_step
    async def participant_stats(self, api: StreamApi, day: date) -> list[Response]:
        """List the participant statistics of every call session of the day that is settled.

        An app may have none (403, 404): after some refusals in a row the endpoint is not used for the day. Other
        failures are logged and retried with the next run. A day is complete without statistics.
        """
        inventory = self._inventories.of(day)
        due = [facts for call, facts in inventory.calls.items() if stats_are_due(facts, inventory.attendance[call])]
        landed = {call: attendance.stats_listings for call, attendance in inventory.attendance.items()}
        return await self._list_optional(api, "participant_stats", day, due, landed, refuses=is_refusal)

    @_step
    async def participant_metrics(self, api: StreamApi, day: date) -> list[Response]:
        """Plan the windows of every stay of the day, and fetch those without a final response."""
        stays = self._inventories.of(day).stays
        requests = self._inventories.window_requests(day)
        async with self.landing.writer("participant_metrics", day) as writer:
            return await fetch_windows(
                api, writer.append, day, stays, requests, workers=self._workers, report=self._report
            )

    @_step
    async def participant_details(
        self, api: StreamApi, day: date, chosen: Collection[Call] | None = None
    ) -> list[Response]:
        """Fetch the details of every stay of the day that is settled, or of those in the `chosen` call sessions.

        An app may have none (403, 404): after some refusals in a row no other stay is requested. Other failures are
        logged and retried with the next run. A day is complete without details.
        """
        return await self._fetch_extra(api, "participant_details", day, chosen, details_windows)

    @_step
    async def participant_timeline(
        self, api: StreamApi, day: date, chosen: Collection[Call] | None = None
    ) -> list[Response]:
        """Fetch the timeline of every stay of the day that is settled, or of those in the `chosen` call sessions.

        What holds for participant details holds for timelines: see there.
        """
        return await self._fetch_extra(api, "participant_timeline", day, chosen, timeline_windows)

    @_step
    async def user_feedback(self, api: StreamApi, day: date) -> list[Response]:
        """List the ratings of every call session of the day of which call_stats report some.

        An app may have none (403, 404): after some of these in a row the endpoint is not used for the day. Other
        failures are logged and retried with the next run. A day is complete without ratings.
        """
        inventory, now = self._inventories.of(day), api.now()
        due = [
            facts for call, facts in inventory.calls.items() if ratings_are_due(facts, inventory.attendance[call], now)
        ]
        landed = {call: attendance.ratings_listings for call, attendance in inventory.attendance.items()}
        return await self._list_optional(api, "user_feedback", day, due, landed, refuses=is_unavailable)

    def updates(self, since: datetime | None, until: datetime | None = None) -> Updates:
        """List the call sessions that the source has updated from `since` (default: a day ago) to `until` (now).

        They can be of any day. Raises `RequestFailed` if the list cannot be fetched.
        """
        bodies: list[str] = []

        async def keep(response: Response) -> None:
            if response.error is None:
                bodies.append(response.body)

        async def list_updates(api: StreamApi) -> tuple[datetime, list[Response]]:
            for _ in range(2):  # the first response shows the source's clock; then list again by that clock
                listed_at, skew = api.now(), api.skew
                updated = (since or listed_at - UPDATES_BY_DEFAULT, until)
                bodies.clear()
                failures = await fetch_listing(
                    api, keep, Request("call_stats", listed_at.date(), updated=updated), None
                )
                if api.skew == skew:
                    break
            return listed_at, failures

        listed_at, failures = self.session.run(list_updates)
        if failures:
            raise RequestFailed(f"the source did not list updates: {failures[0].error}", status=failures[0].status)
        return Updates(listed_at, updated_sessions(bodies))

    async def _fetch_extra(
        self,
        api: StreamApi,
        endpoint: EndpointName,
        day: date,
        chosen: Collection[Call] | None,
        windows_of: Callable[[StayFacts], Sequence[Window]],
    ) -> list[Response]:
        """Fetch what is due of an endpoint that responds about one stay. Refusals are noted and are no failures."""
        requests = self._inventories.extra_requests(endpoint, day)
        due = due_details(self._inventories.of(day).stays, requests, chosen, windows_of=windows_of)
        probes = probes_left(requests)
        if not due or probes == 0:
            return []
        async with self.landing.writer(endpoint, day) as writer:
            failures = await fetch_details(
                api, writer.append, endpoint, day, due, probes=probes, workers=self._workers, report=self._report
            )
        refused = [failure for failure in failures if is_refusal(failure.status)]
        if refused:
            log.info(
                "%s: the source does not give %s (%s); they are not requested again",
                day,
                LISTED[endpoint].format(counted(len(refused), COUNTED[endpoint])),
                _reason(refused[0]),
                extra={"day": day, "endpoint": endpoint},
            )
        return [failure for failure in failures if not is_refusal(failure.status)]

    async def _list_optional(
        self,
        api: StreamApi,
        endpoint: EndpointName,
        day: date,
        calls: Sequence[CallFacts],
        landed: Mapping[Call, Sequence[Listing]],
        *,
        refuses: Callable[[int | None], bool],
    ) -> list[Response]:
        """List the people as `_list_people` does, unless the app has no such list: return the other failures.

        It has none if the source has refused it `PROBE_CALLS` times (`refuses` says by which status) and never gave it.
        """
        earlier = [listing for listings in landed.values() for listing in listings]
        probes = PROBE_CALLS - sum(refuses(listing.status) for listing in earlier)
        if any(listing.complete for listing in earlier):
            probes = 0
        elif probes <= 0:
            return []
        failures = await self._list_people(api, endpoint, day, calls, landed, probes=probes)
        return [failure for failure in failures if not refuses(failure.status)]

    async def _list_people(
        self,
        api: StreamApi,
        endpoint: EndpointName,
        day: date,
        calls: Sequence[CallFacts],
        landed: Mapping[Call, Sequence[Listing]],
        *,
        probes: int = 0,
    ) -> list[Response]:
        """List the people in each call session, in the order in which they expire; return the responses with an error.

        `landed` are the listings so far. With `probes`, that many call sessions go first, one by one; the others follow
        only if one of them had a response.
        """
        now = api.now()
        waiting = sorted(calls, key=lambda facts: facts.urgency)
        failures: list[Response] = []
        done, total = 0, len(waiting)
        async with self.landing.writer(endpoint, day) as writer:

            async def list_call(facts: CallFacts) -> None:
                nonlocal done
                resumed = resumable_listing(landed[facts.call], now, settled_at=facts.settled_at)
                request = Request(endpoint, day, call=facts.call)
                failures.extend(await fetch_listing(api, writer.append, request, resumed))
                done += 1
                self._report(Progress(day, "calls", done, total, None))

            for _ in range(min(probes, len(waiting))):
                await list_call(waiting.pop())  # the newest: one that is about to expire says little about the others
                if len(failures) < done or not is_refusal(failures[-1].status):
                    break
            if not probes or len(failures) < done:
                await for_each(waiting, list_call, self._workers)
        return failures
