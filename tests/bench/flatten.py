"""Points per second and core, from raw Parquet to sorted table Parquet.

    python -m tests.bench.flatten

A day of 2.64 million points lands from an emulator once. Then `flow.build_tables` builds its tables several times, and
the CPU seconds of the process are measured.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from pipeline.flow import Flow
from pipeline.settings import Settings
from tests.bench.measuring import YESTERDAY, environment, uniform_source

RUNS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, uniform_source() as url:
        settings = Settings.load(environment(url, Path(temporary) / "data"), Path(temporary))
        with Flow(settings) as flow:
            flow.extract.call_stats(YESTERDAY)
            flow.extract.participant_sessions(YESTERDAY)
            flow.extract.participant_stats(YESTERDAY)
            flow.extract.participant_metrics(YESTERDAY)
            rates = []
            for _ in range(RUNS):
                began = time.process_time()
                rows = flow.build_tables(YESTERDAY, rebuild=True).rows["metric_points"]
                rates.append(rows / (time.process_time() - began))
    low, middle, high = min(rates), statistics.median(rates), max(rates)
    print(f"{middle / 1e6:.2f} million points a second of CPU ({low / 1e6:.2f} to {high / 1e6:.2f} in {RUNS} runs)")


if __name__ == "__main__":
    main()
