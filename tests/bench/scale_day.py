"""One machine of the benchmark `scale`: a process that does one thing with a day, and prints what it needed.

    python -m tests.bench.scale_day fetch|compact|again DAY     (settings from the environment)

The last line of its output is JSON: CPU seconds of each step, requests to Stream, and when it held the lake's turn.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from pipeline.emulator import Emulator, World
from pipeline.flow import Flow
from pipeline.settings import Settings
from tests.bench.object_store import segments_as_with_a_quota, without_compaction
from tests.bench.scale_world import scale_world

STEPS = ("call_stats", "participant_sessions", "participant_stats", "participant_metrics")


def work(what: str, day: date) -> dict[str, Any]:
    """Do it, and return what it needed."""
    steps: dict[str, float] = {}
    turns: list[tuple[float, float]] = []
    with Flow(Settings.load()) as flow:
        _note_turns(flow, turns)
        if what == "compact":
            flow.compact(day)
        else:
            with segments_as_with_a_quota(), without_compaction():
                for name in STEPS:
                    with _timed(steps, name):
                        flow.extract.land(name, day)  # type: ignore[arg-type]
                with _timed(steps, "build_tables"):
                    flow.build_tables(day)
                with _timed(steps, "load"):
                    flow.load([day])
        completeness = flow.completeness(day)
        assert completeness.is_complete, completeness
        points = flow.lake.rows("metric_points", day)
        return {"steps": steps, "turns": turns, "requests": flow.requests_sent, "points": points}


@contextlib.contextmanager
def _timed(steps: dict[str, float], name: str) -> Iterator[None]:
    begun = time.process_time()
    yield
    steps[name] = time.process_time() - begun


def _note_turns(flow: Flow, turns: list[tuple[float, float]]) -> None:
    """Note when the process gets the turn to publish, and when it gives it back, in Unix seconds."""
    wanted = flow._turns.of_publishing

    @contextlib.contextmanager
    def noted() -> Iterator[Any]:
        with wanted() as still_mine:
            begun = time.time()
            try:
                yield still_mine
            finally:
                turns.append((begun, time.time()))

    flow._turns.of_publishing = noted  # type: ignore[method-assign]


def serve(day: date, sessions: int, step: int) -> None:
    """Serve such a day until the process is ended. Prints the address."""
    world: World = scale_world(day, sessions, step)
    with Emulator(world, max_logged_requests=0) as emulator:
        print(emulator.url, flush=True)
        while True:
            time.sleep(timedelta(days=1).total_seconds())


if __name__ == "__main__":
    command, at, *rest = sys.argv[1:]
    if command == "serve":
        serve(date.fromisoformat(at), *map(int, rest))
    else:
        print(json.dumps(work(command, date.fromisoformat(at))))
