"""The landing writer: when segments are written, and what happens if they cannot be."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.endpoints import EndpointName
from pipeline.errors import FixStorage
from pipeline.landing import writer as writer_module
from pipeline.landing.landing import Landing
from pipeline.landing.writer import SEGMENT_BYTES, SEGMENT_SECONDS
from tests.support import DAY, no_file_larger_than
from tests.support.responses import METRICS, land, landed, metrics_response


def test_writer_writes_a_segment_once_enough_bytes_are_collected(tmp_path: Path) -> None:
    """A segment is written as soon as its size is reached, without a flush."""

    async def main() -> list[int]:
        landing = Landing(tmp_path)
        async with landing.writer(METRICS, DAY) as writer:
            counts = []
            for _ in range(4):
                await writer.append(metrics_response("x" * (SEGMENT_BYTES // 2)))
                counts.append(len(landing.segments(METRICS, DAY)))
            return counts

    assert asyncio.run(main()) == [0, 1, 1, 2]


def test_writer_cuts_no_small_segments_while_one_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many who append while a segment is written fill the next one, and each does not write one of its own."""
    monkeypatch.setattr(writer_module, "SEGMENT_BYTES", 80)

    def slowly(_: EndpointName, body: str) -> str:
        time.sleep(0.001)
        return body

    async def main() -> int:
        landing = Landing(tmp_path, redactor=lambda: slowly)
        async with landing.writer(METRICS, DAY) as writer:

            async def append_some() -> None:
                for _ in range(10):
                    await writer.append(metrics_response("x" * 10))
                    await asyncio.sleep(0.001)

            await asyncio.gather(*(append_some() for _ in range(16)))
        return len(landing.segments(METRICS, DAY))

    assert asyncio.run(main()) <= 160 * 10 // 80 + 1


def test_writer_writes_a_small_segment_after_a_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment is written after a few seconds however small it is, so a killed run loses little."""
    assert SEGMENT_SECONDS <= 5
    monkeypatch.setattr(writer_module, "SEGMENT_SECONDS", 0.02)
    landing = Landing(tmp_path)

    async def main() -> None:
        async with landing.writer(METRICS, DAY) as writer:
            for count in (1, 2):
                await writer.append(metrics_response())
                async with asyncio.timeout(10):
                    while len(landing.segments(METRICS, DAY)) < count:  # noqa: ASYNC110 - a folder has no events
                        await asyncio.sleep(0.005)

    asyncio.run(main())
    assert len(landed(landing)) == 2


def test_writer_writes_no_segment_without_responses(tmp_path: Path) -> None:
    """Opening and closing a day leaves no file."""
    landing = Landing(tmp_path)
    land(landing, [], [])
    assert landing.segments(METRICS, DAY) == []


def test_writer_names_segments_in_order_of_time(tmp_path: Path) -> None:
    """Sorting the names of segments gives the order in which they were written."""
    landing = Landing(tmp_path)
    before = datetime.now(UTC)
    land(landing, *([metrics_response(str(number))] for number in range(10)))
    assert landed(landing) == [str(number) for number in range(10)]
    stamps = [
        datetime.strptime(path.name.split("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        for path in landing.segments(METRICS, DAY)
    ]
    assert stamps == sorted(stamps)
    assert before <= stamps[0] <= stamps[-1] <= datetime.now(UTC)


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
def test_writer_lands_what_was_appended_before_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    """Everything appended is on disk when the block ends with an error, a cancellation or an interrupt."""
    landing = Landing(tmp_path)

    async def main() -> None:
        async with landing.writer(METRICS, DAY) as writer:
            await writer.append(metrics_response())
            raise error

    with pytest.raises(error), asyncio.Runner() as runner:
        runner.run(main())
    assert landed(landing) == ["{}"]


def test_writer_loses_nothing_if_an_append_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that is being written is complete before the day is closed."""
    monkeypatch.setattr(writer_module, "SEGMENT_BYTES", 10)

    def slowly(_: EndpointName, body: str) -> str:
        time.sleep(0.01)
        return body

    async def main() -> list[str]:
        landing = Landing(tmp_path, redactor=lambda: slowly)
        async with landing.writer(METRICS, DAY) as writer:
            for number in range(100, 120):
                appending = asyncio.ensure_future(writer.append(metrics_response(str(number))))
                await asyncio.sleep(0.001)
                appending.cancel()
                await asyncio.gather(appending, return_exceptions=True)
        return landed(landing)

    assert sorted(asyncio.run(main())) == [str(number) for number in range(100, 120)]


def test_writer_removes_the_leftovers_of_a_killed_run(tmp_path: Path) -> None:
    """A half-written segment does not count, and is deleted when the day is opened again."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response("whole")])
    leftover = landing.folder(METRICS, DAY) / "20261101T000000.000000Z-00000000.tmp"
    leftover.write_bytes(b"PAR1 and no more")
    assert landed(landing) == ["whole"]
    land(landing, [metrics_response("next")])
    assert not leftover.exists()
    assert landed(landing) == ["whole", "next"]


def incompressible(size: int) -> str:
    """Return text that does not compress, the same every time."""
    return "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(size // 8))


def test_writer_reports_a_full_disk_and_keeps_the_responses(tmp_path: Path) -> None:
    """One sentence names the folder, and what could not be written is written once there is room."""
    landing = Landing(tmp_path)

    async def main() -> None:
        async with landing.writer(METRICS, DAY) as writer:
            await writer.append(metrics_response("before"))
            await writer.flush()
            with no_file_larger_than(8_192):
                await writer.append(metrics_response(incompressible(100_000)))
                with pytest.raises(FixStorage) as caught:
                    await writer.flush()
                assert str(caught.value).startswith(str(landing.folder(METRICS, DAY)))
                assert len(landing.segments(METRICS, DAY)) == 1
                with pytest.raises(FixStorage):
                    await writer.append(metrics_response("refused"))

    asyncio.run(main())
    assert landed(landing) == ["before", incompressible(100_000)]


def test_writer_keeps_earlier_segments_if_the_disk_stays_full(tmp_path: Path) -> None:
    """What landed before can still be read."""
    landing = Landing(tmp_path)
    land(landing, [metrics_response("before")])
    with no_file_larger_than(8_192), pytest.raises(FixStorage):
        land(landing, [metrics_response(incompressible(100_000))])
    assert landed(landing) == ["before"]


def test_writer_raises_on_append_after_a_failed_background_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure in the background ends the work with the next append, not at its end."""
    monkeypatch.setattr(writer_module, "SEGMENT_SECONDS", 0.02)
    landing = Landing(tmp_path)

    async def main() -> int:
        async with landing.writer(METRICS, DAY) as writer, asyncio.timeout(10):
            appended = 0
            while True:
                await writer.append(metrics_response(incompressible(20_000)))
                appended += 1
                await asyncio.sleep(0.01)

    with no_file_larger_than(8_192), pytest.raises(FixStorage):
        asyncio.run(main())


def test_writer_names_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    """The error names the path if a file is in the way of the folder."""
    (tmp_path / "raw").write_text("not a folder")
    landing = Landing(tmp_path / "raw")
    with pytest.raises(FixStorage, match="cannot be written") as caught:
        land(landing, [metrics_response()])
    assert str(tmp_path / "raw") in str(caught.value)
