"""CPU and memory of a whole backfill, against a script on the official SDK with pandas.

    python -m tests.bench.ingest [ROUNDS]

A day of 80 calls of 10 people and 55 minutes at 5 seconds (2.64 million points), with the start of Dagster. Then a day
four times as large, and then the same day again, with nothing to do. The script fetches a twentieth of the day in the
same run, and needs pandas (`pip install -e '.[bench]'`). All of it is done in three rounds; the median counts.
"""

from __future__ import annotations

import sys
import tempfile
from compileall import compile_dir
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import duckdb

import pipeline
from tests.bench.measuring import YESTERDAY, Cost, cost_of, environment, uniform_source

BACKFILL = [sys.executable, "-m", "pipeline", "backfill", "--from", f"{YESTERDAY}", "--to", f"{YESTERDAY}"]

SCRIPT = """
import sys
from datetime import timedelta
import pandas as pd
from getstream import Stream
client = Stream(api_key="emulator", api_secret="emulator-secret-for-local-use-only", base_url=sys.argv[1])
frames, cursor = [], None
while True:
    page = client.video.query_call_session_stats(limit=100, next=cursor).data
    for stats in page.call_stats:
        ids = dict(type=stats.call_type, id=stats.call_id, session=stats.call_session_id)
        people = client.video.query_call_participant_sessions(**ids, limit=100).data
        for stay in people.participants_sessions:
            since = stay.joined_at
            while since < stay.left_at:
                until = min(since + timedelta(minutes=30), stay.left_at)
                metrics = client.video.get_call_participant_session_metrics(
                    **ids, user=stay.user_id, user_session=stay.user_session_id, since=since, until=until
                ).data
                for track in metrics.published_tracks or ():
                    resolution = track.resolution
                    for name, series in (
                        ("bitrate", track.bitrate),
                        ("framerate", track.framerate),
                        ("resolution_width", resolution and resolution.width),
                        ("resolution_height", resolution and resolution.height),
                    ):
                        if series and series.data_points:
                            frame = pd.DataFrame(series.data_points, columns=["timestamp", "value"])
                            frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s", utc=True)
                            for column, value in {**ids, "user": stay.user_id, "stay": stay.user_session_id,
                                                  "track": track.track_id, "metric": name}.items():
                                frame[column] = value
                            frames.append(frame)
                since = until
    cursor = page.next
    if not cursor:
        break
points = pd.concat(frames).drop_duplicates(["type", "id", "session", "user", "stay", "track", "metric", "timestamp"])
points.to_parquet("points.parquet")
print(len(points))
"""


@dataclass(frozen=True)
class Round:
    """What each run of a round cost: a day, a day four times as large, the day again, and the script."""

    one: Cost
    four: Cost
    again: Cost
    script: Cost


def main(rounds: int = 3) -> None:
    compile_dir(pipeline.__path__[0], quiet=2)  # as pip does; the first process would, at the cost of two CPU seconds
    with (
        tempfile.TemporaryDirectory() as temporary,
        uniform_source() as day,
        uniform_source(calls=320) as large_day,
        uniform_source(calls=4) as part_of_day,
    ):
        done = []
        for number in range(rounds):
            folder = Path(temporary) / f"{number}"
            folder.mkdir()
            done.append(
                Round(
                    one=_backfill(folder, day, "one"),
                    again=_backfill(folder, day, "one"),
                    script=cost_of([sys.executable, "-c", SCRIPT, part_of_day], environment(day, folder / "x"), folder),
                    four=_backfill(folder, large_day, "four"),
                )
            )
        points, points_of_four = (_points(folder / name) for name in ("one", "four"))
        for script in (costs.script for costs in done):
            if script.code:
                print(f"the script on the SDK did not run: {script.output[-300:]}")
                return
        points_of_script = int(done[0].script.output.split()[-1])
    _print_costs("backfill", [costs.one for costs in done], points)
    _print_costs("backfill, day four times as large", [costs.four for costs in done], points_of_four)
    _print_costs("the same day again", [costs.again for costs in done], None)
    _print_costs("script on the SDK with pandas", [costs.script for costs in done], points_of_script)
    script_each = [costs.script.cpu / points_of_script for costs in done]
    beyond = [(costs.one.cpu - costs.again.cpu) / points for costs in done]
    less = median(each / (costs.one.cpu / points) for each, costs in zip(script_each, done, strict=True))
    less_beyond = median(each / ours for each, ours in zip(script_each, beyond, strict=True))
    more_memory = median(costs.four.megabytes / costs.one.megabytes for costs in done)
    print(f"CPU per point: {less:.1f} times less than the script")
    print(f"CPU per point beyond start-up: {median(beyond) * 1e6:.2f} µs, {less_beyond:.1f} times less than the script")
    print(f"memory: {more_memory:.2f} times as much for a day four times as large")


def _backfill(folder: Path, url: str, name: str) -> Cost:
    cost = cost_of(BACKFILL, environment(url, folder / name), folder)
    assert cost.code == 0, cost.output
    return cost


def _points(data: Path) -> int:
    with duckdb.connect(str(data / "warehouse.duckdb"), read_only=True) as database:
        row = database.execute("SELECT count(*) FROM metric_points").fetchone()
        assert row is not None
        return int(row[0])


def _print_costs(name: str, costs: list[Cost], points: int | None) -> None:
    """Print the median of some runs of the same, and the least and most CPU."""
    cpu = sorted(cost.cpu for cost in costs)
    each = f", {median(cpu) / points * 1e6:.2f} µs a point of {points}" if points else ""
    print(
        f"{name}: CPU {median(cpu):.2f} s ({cpu[0]:.2f} to {cpu[-1]:.2f}), "
        f"wall {median(cost.wall for cost in costs):.2f} s, "
        f"memory {median(cost.megabytes for cost in costs):.0f} MB{each}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
