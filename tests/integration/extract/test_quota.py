"""The quota over HTTP: the limiter, the client and a server that counts."""

from __future__ import annotations

import asyncio

from pipeline.emulator import KEY, SECRET, Emulator, Quota, World
from pipeline.extract.client import StreamApi
from pipeline.model import Call, Request, Stay, Window
from pipeline.settings import Credentials, Secret
from tests.support import DAY, at


def test_quota_of_a_server_is_hardly_ever_exceeded_over_http() -> None:
    """80 requests at 20 per two seconds, 16 in flight: all get a response, with next to no 429s."""
    stay = Stay(Call("default", "c", "s"), "u", "us")
    request = Request("participant_metrics", DAY, stay=stay, window=Window(at(10), at(10, 30)))
    with Emulator(World(()), quotas={"participant_metrics": Quota(20, 2.0)}) as emulator:

        async def ask() -> None:
            async with StreamApi(emulator.url, Credentials(KEY, Secret(SECRET)), concurrency=16) as api:
                queue = iter(range(80))

                async def worker() -> None:
                    for _ in queue:
                        assert (await api.fetch(request)).status == 404

                await asyncio.gather(*(worker() for _ in range(16)))

        asyncio.run(ask())
        assert emulator.count(status=404) == 80
        assert emulator.count(status=429) <= 0.03 * 80
