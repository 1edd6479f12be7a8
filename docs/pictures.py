"""Makes the pictures in the documents from the demo: `python -m docs.pictures`.

Needs Chromium and the extra `dashboard`. The demo is run for a fixed day, so that the pictures change only when the
product does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

from pipeline.emulator import KEY, SECRET, Emulator, ManualClock, demo_world
from pipeline.flow import Flow
from pipeline.orchestration.instance import open_instance
from pipeline.orchestration.runner import Runner
from pipeline.settings import Secret, Settings
from tests.support.browser import CHROMIUM, Page

FOLDER = Path(__file__).parent / "images"
TODAY = date(2026, 11, 23)
DAYS = 7
CALL = "meeting-20261122-04"
"""A call in which everyone had trouble at the same time."""

MAX_WAIT_SECONDS = 90
"""Most seconds to wait for a server or a page."""


def main() -> int:
    """Make all pictures."""
    if CHROMIUM is None:
        sys.stderr.write("the pictures need Chromium on PATH\n")
        return 2
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data"
        environment = _backfill(data)
        _picture_report(data, environment)
        with _server(["dashboard", "--port", "8597"], "http://127.0.0.1:8597", environment) as url:
            _picture(url, "dashboard", ready="document.querySelectorAll('canvas').length > 1", width=1280, height=1000)
        with _server(["ui", "--port", "3597"], "http://127.0.0.1:3597", environment) as url:
            ready = "document.body.innerText.split(' partitions').length > 5"
            _picture(f"{url}/assets", "dagster", ready=ready, width=1280, height=920)
    return 0


def _backfill(data: Path) -> dict[str, str]:
    """Backfill the demo's days through Dagster, and return the environment that points to them."""
    days = [TODAY - timedelta(days=back) for back in range(DAYS, 0, -1)]
    clock = ManualClock(datetime.combine(TODAY, datetime.min.time(), UTC) + timedelta(hours=3))
    with Emulator(demo_world(TODAY, DAYS), clock=clock) as emulator:
        settings = Settings(api_key=KEY, api_secret=Secret(SECRET), base_url=emulator.url, data=data)
        with Flow(settings) as flow, open_instance(settings) as instance:
            runner = Runner(instance, flow)
            for day in days:
                runner.run(day)
    return {**os.environ, "CALL_METRICS_DATA": str(data)}


def _picture_report(data: Path, environment: dict[str, str]) -> None:
    page = data / "report.html"
    command = [sys.executable, "-m", "pipeline", "report", CALL, "-o", str(page)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    ready = "document.querySelectorAll('.js-plotly-plot').length > 1"
    _picture(page.as_uri(), "report", ready=ready, width=1280, height=1250)


def _picture(address: str, name: str, *, ready: str, width: int, height: int) -> None:
    """Take a picture of a page once an expression of JavaScript is true."""
    with tempfile.TemporaryDirectory() as profile, Page(address, Path(profile), seconds=MAX_WAIT_SECONDS) as page:
        page.resize(width, height)
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while not page.evaluate(ready):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{address} did not show what the picture is of")
            time.sleep(0.2)
        time.sleep(3)  # until animations are over
        (FOLDER / f"{name}.png").write_bytes(page.screenshot())


@contextmanager
def _server(command: list[str], url: str, environment: dict[str, str]) -> Iterator[str]:
    """Run a command that serves an address, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while True:
            try:
                with urlopen(url, timeout=5):  # noqa: S310 - our own server on loopback
                    break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.3)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
