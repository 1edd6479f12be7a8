"""Requests and bytes of a day in an object store, before and after compaction.

    python -m tests.bench.object_store [CALLS]

A day of equal calls (80 of 10 people by default: 1,600 windows, 2.64 million points) lands through an S3 server on
loopback. A segment is written after as many responses as a quota of 1,000 requests a minute allows in two seconds, so
there are as many segments as for a real source. Money is that of S3 Standard: 5 dollars per million PUT, COPY and LIST
requests, 0.40 per million GET and HEAD requests, nothing for DELETE.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.emulator import KEY, SECRET
from pipeline.flow import Flow
from pipeline.landing import compaction, writer
from pipeline.settings import Secret, Settings
from tests.bench.measuring import YESTERDAY, uniform_source
from tests.support.object_store import CREDENTIALS, Bucket, FaultProxy, s3_server

RESPONSES_PER_SEGMENT = 33
DOLLARS = {"PUT": 5e-6, "COPY": 5e-6, "LIST": 5e-6, "GET": 0.4e-6, "HEAD": 0.4e-6}


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 80
    os.environ |= CREDENTIALS
    with tempfile.TemporaryDirectory() as temporary, s3_server() as upstream, uniform_source(calls=calls) as source:
        proxy = FaultProxy(upstream)
        os.environ["AWS_ENDPOINT_URL"] = proxy.url
        bucket = Bucket(upstream, "bench-bucket")
        machines = iter(range(100))

        def machine() -> Flow:
            """Return a flow on a new machine."""
            scratch = Path(temporary) / f"machine-{next(machines)}"
            where = {"data": f"s3://{bucket.name}/app", "scratch": scratch, "base_url": source}
            return Flow(Settings(**where, api_key=KEY, api_secret=Secret(SECRET)))

        def measure(what: str, do: Callable[[Flow], object]) -> None:
            began = time.monotonic()
            with proxy.counting() as traffic, machine() as flow:
                do(flow)
            costs = sum(count * DOLLARS.get(kind, 0) for kind, count in traffic.requests.items())
            kinds = "  ".join(f"{kind} {traffic.requests[kind]:5}" for kind in ("PUT", "GET", "LIST", "HEAD", "DELETE"))
            print(
                f"{what:52} {kinds}  out {traffic.sent / 1e6:6.2f} MB  in {traffic.received / 1e6:6.2f} MB"
                f"  {costs * 1000:7.3f} dollars per 1,000 days  {time.monotonic() - began:5.1f} s",
                flush=True,
            )

        with segments_as_with_a_quota(), without_compaction():
            measure("a day is fetched, its tables are built", lambda flow: flow.run(YESTERDAY))
            _say_what_is_stored(bucket)
            measure("the same day again, from another machine", lambda flow: flow.run(YESTERDAY))
            measure("an index is read", lambda flow: flow.landing.index("participant_metrics", YESTERDAY))
        measure("the day is compacted", lambda flow: flow.compact(YESTERDAY))
        _say_what_is_stored(bucket)
        measure("the same day again, from another machine", lambda flow: flow.run(YESTERDAY))
        measure("an index is read", lambda flow: flow.landing.index("participant_metrics", YESTERDAY))
        measure("tables are rebuilt", lambda flow: flow.build_tables(YESTERDAY, rebuild=True))
        proxy.close()


@contextmanager
def segments_as_with_a_quota() -> Iterator[None]:
    """Write a segment after `RESPONSES_PER_SEGMENT` responses, whatever their size."""
    append = writer.LandingWriter.append

    async def append_and_count(self: writer.LandingWriter, response: object) -> None:
        await append(self, response)  # type: ignore[arg-type]
        if len(self._responses) >= RESPONSES_PER_SEGMENT:
            await self.flush()

    writer.LandingWriter.append = append_and_count  # type: ignore[method-assign]
    yield
    writer.LandingWriter.append = append  # type: ignore[method-assign]


@contextmanager
def without_compaction() -> Iterator[None]:
    limit, compaction.MAX_SMALL_SEGMENTS = compaction.MAX_SMALL_SEGMENTS, 1 << 30
    yield
    compaction.MAX_SMALL_SEGMENTS = limit


def _say_what_is_stored(bucket: Bucket) -> None:
    sizes = {key: len(content) for key, content in bucket.contents().items()}
    for folder in ("raw", "tables"):
        held = [size for key, size in sizes.items() if key.startswith(f"app/{folder}/")]
        print(f"    {folder}: {len(held)} objects, {sum(held) / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main()
