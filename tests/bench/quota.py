"""How well several processes share the quota of one app: how much of it they use, and how many requests are refused.

    python -m tests.bench.quota [WORKERS [LIMIT [SECONDS]]]

The workers (4 by default) backfill a day each from one emulator that accepts LIMIT metrics requests per SECONDS (1500
per 60). They know of each other only through the headers of the quota. Only whole windows count: not the first, in
which they start, nor those in which a worker has nothing left to do.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

from pipeline.emulator import Emulator, Quota, World, uniform_world
from tests.bench.measuring import YESTERDAY, environment

WINDOWS = 4
"""Windows of quota that there is work for."""

STAYS = 20
"""Participants of a call; each stay has two windows of metrics."""


def main(workers: int = 4, limit: int = 1500, seconds: float = 60) -> None:
    days = [YESTERDAY - timedelta(days=number) for number in range(workers)]
    calls = WINDOWS * limit // workers // (2 * STAYS)
    worlds = [uniform_world(day, calls=calls, people=STAYS, minutes=55, step_seconds=60) for day in days]
    world = World(tuple(call for made in worlds for call in made.calls))
    with (
        tempfile.TemporaryDirectory() as temporary,
        Emulator(world, quotas={"participant_metrics": Quota(limit, seconds)}) as emulator,
    ):
        processes = []
        for number, day in enumerate(days):
            folder = Path(temporary) / f"worker-{number}"
            folder.mkdir()
            command = [sys.executable, "-m", "pipeline", "backfill", "--from", f"{day}", "--to", f"{day}"]
            processes.append(
                subprocess.Popen(
                    command, env=environment(emulator.url, folder / "data"), cwd=folder, stdout=subprocess.DEVNULL
                )
            )
        codes = [process.wait() for process in processes]
        assert codes == [0] * workers, codes
        used: Counter[int] = Counter()
        refused: Counter[int] = Counter()
        last = dict.fromkeys(days, 0)
        for request in emulator.requests:
            if request.endpoint == "participant_metrics":
                window = int(request.at.timestamp() // seconds)
                (refused if request.status == 429 else used)[window] += 1
                day = next(day for day in days if f"session-{day:%Y%m%d}" in repr(request.ids))
                last[day] = max(last[day], window)
    whole = range(min(used) + 1, min(last.values()))
    for window in whole:
        print(f"window {window - whole[0] + 1}: {used[window] / limit:6.1%} used, {refused[window]} refused")
    share = sum(used[window] for window in whole) / (limit * len(whole))
    refusals = sum(refused[window] for window in whole)
    total = refusals + sum(used[window] for window in whole)
    print(f"{workers} workers: {share:.1%} of the quota used, {refusals / total:.2%} of all responses were a 429")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
