"""A backfill over several run processes of Dagster, each with an empty scratch folder, one of which is killed.

    python -m tests.bench.workers [DAYS [WORKERS]]

Thirty days by default, four runs at a time. Dagster's records and the lake's catalog are in PostgreSQL, the data in an
object store. At the end every row is compared with the source.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.support.production import backfill_with_a_kill


def main(days: int = 30, workers: int = 4) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        trial = backfill_with_a_kill(Path(temporary), days, workers)
    print(f"{days} days in {trial.seconds:.0f} s, {trial.runs} runs, of which one was killed and one repeated it")
    print(f"{trial.metrics_requests} requests for {trial.windows} windows")
    print("every row is that of the source" if not trial.differences else "\n".join(trial.differences))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
