"""One connection to the source for all steps of a process. It is opened with the first request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from pipeline.extract.client import StreamApi
from pipeline.extract.event_loop import EventLoop
from pipeline.extract.quota_file import QuotaFile
from pipeline.settings import Settings

__all__ = ["ApiSession"]

T = TypeVar("T")


class ApiSession:
    """Runs coroutines on one client of the API. `connect` makes the client; by default as the settings say.

    What is seen of the quotas is written to `quota_file`, if there is one.
    """

    def __init__(
        self,
        settings: Settings,
        connect: Callable[[Settings], StreamApi] | None = None,
        quota_file: QuotaFile | None = None,
    ) -> None:
        self._settings = settings
        self._connect = connect or _connect
        self._quota_file = quota_file
        self._loop: EventLoop | None = None
        self._api: StreamApi | None = None

    @property
    def requests_sent(self) -> dict[str, int]:
        """Requests sent so far by endpoint, including retries and 429s."""
        return dict(self._api.sent) if self._api is not None else {}

    @property
    def quotas(self) -> dict[str, int]:
        """Requests per minute that the quotas allow us, by endpoint, as far as the source has said so."""
        if self._api is None:
            return {}
        rates = {endpoint: self._api.rate(endpoint) for endpoint in self._api.sent}
        return {endpoint: max(1, round(rate * 60)) for endpoint, rate in rates.items() if rate is not None}

    def now(self) -> datetime:
        """Return the present in UTC, by the source's clock once a response has come."""
        return self._api.now() if self._api is not None else datetime.now(UTC)

    def run(self, use: Callable[[StreamApi], Awaitable[T]]) -> T:
        """Return what `use` returns for the client.

        Raises `FixSettings` (settings that cannot be used, or a mix of real and demo data), `Interrupted`, and what
        `use` raises.
        """

        async def connected() -> T:
            if self._api is None:
                self._settings.keep_apart_from_demo()
                self._api = await self._connect(self._settings).__aenter__()
            if self._quota_file is None:
                return await use(self._api)
            noting = asyncio.ensure_future(self._quota_file.keep(self._api.quotas_seen))
            try:
                return await use(self._api)
            finally:
                noting.cancel()
                await asyncio.gather(noting, return_exceptions=True)
                if self._quota_file.is_due:
                    self._quota_file.write(self._api.quotas_seen())

        if self._loop is None:
            self._loop = EventLoop()
        return self._loop.run(connected())

    def close(self) -> None:
        """Close the connection."""
        if self._loop is not None:
            if self._api is not None:
                if self._quota_file is not None:
                    self._quota_file.write(self._api.quotas_seen())
                self._loop.run(self._api.__aexit__(None, None, None))
            self._loop.close()
            self._loop = self._api = None


def _connect(settings: Settings) -> StreamApi:
    return StreamApi(
        settings.base_url,
        settings.credentials(),
        concurrency=settings.concurrency,
        quota_share=settings.quota_share,
    )
