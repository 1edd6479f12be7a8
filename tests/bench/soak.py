"""Thousands of requests with one fault in five, kills at random moments, and disks and files that fail.

    python -m tests.bench.soak [--requests N] [--kills N]

Backfills of four odd days are killed at random moments (default: 2,000 requests and 5 kills; 100,000 and 50 take an
hour). Each resumes where the last one stopped, and one request in five meets a fault. Whenever one gets to its end, the
database is compared with the source by row, and the next one starts with an empty folder.
Then, one by one: a full disk (a small tmpfs, if mounting is allowed), a data folder that cannot be written, a broken
segment, a broken table, broken and foreign databases, and a clock that is an hour off. Prints a line per case. Exits
with 1 if anything was lost or doubled, or if a case did not print the sentence that it should.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from pipeline.emulator import Emulator, Fault, World, odd_world, skewed
from pipeline.files import quarantined
from pipeline.landing.landing import Landing
from tests.bench.measuring import environment
from tests.support import differences

TODAY = datetime.now(UTC).date()
FIRST, LAST = TODAY - timedelta(days=6), TODAY - timedelta(days=3)
KINDS = ("server_error", "dropped", "truncated", "not_json", "empty_body", "wrong_shape", "rate_limited", "slow")
COMMAND = [sys.executable, "-m", "pipeline", "backfill", "--from", f"{FIRST}", "--to", f"{LAST}"]


def world(scale: float = 0.3) -> World:
    """Return four days of odd calls that have all ended."""
    odd = odd_world(FIRST, days=3, scale=scale)
    return World(tuple(call for call in odd.calls if call.ended_at is not None))


def faults() -> tuple[Fault, ...]:
    """Return faults of every kind that a retry gets past. One request in five meets one."""
    return tuple(
        Fault(kind, share=0.2 / len(KINDS), seed=seed, delay_seconds=0.3, retry_after_seconds=1)
        for seed, kind in enumerate(KINDS)
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=5)
    wanted = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wrong += soak(folder, wanted.requests, wanted.kills)
        for case in (full_disk, unwritable, broken_segment, broken_table, broken_databases, wrong_clock):
            data = folder / case.__name__
            try:
                print(f"{case.__name__}: {case(data)}", flush=True)
            except AssertionError as error:
                wrong += 1
                print(f"{case.__name__}: WRONG: {error}", flush=True)
    return 1 if wrong else 0


def soak(folder: Path, requests: int, kills: int) -> int:
    """Kill and restart backfills until there were so many requests and kills. Compare each that gets to its end."""
    chance = random.Random(7)
    total = Counter[str]()
    found: list[str] = []
    with Emulator(world(3), faults=faults(), max_logged_requests=0) as emulator:
        variables = environment(emulator.url, folder / "soak")
        while total["requests"] < requests or total["kills"] < kills:
            code = None
            while code != 0:
                process = _start(variables, folder)
                total["runs"] += 1
                # enough of them to get the kills that are wanted, and not so many that no run gets to its end
                is_doomed = total["kills"] / max(kills, 1) <= total["requests"] / max(requests, 1)
                try:
                    out, _ = process.communicate(timeout=chance.uniform(1.5, 12) if is_doomed else None)
                except subprocess.TimeoutExpired:
                    process.kill()
                    out, _ = process.communicate()
                    total["kills"] += 1
                code = process.returncode
                if code not in (0, 1, -signal.SIGKILL) or "Traceback" in out:
                    found.append(f"exit code {code}: {out[-1000:]}")
                    break
                total["requests"] += emulator.count()
                emulator.clear_requests()
            total["compared"] += 1
            print(f"so far {total['requests']} requests, {total['kills']} kills", file=sys.stderr, flush=True)
            found += _differences(folder / "soak", emulator)
            shutil.rmtree(folder / "soak")
        met = sum(emulator.faults_met().values())
    print(
        f"soak: {total['requests']} requests in {total['runs']} runs, {total['kills']} of them killed, {met} faults; "
        f"{total['compared']} databases compared: {'; '.join(found) or 'nothing lost, nothing doubled'}",
        flush=True,
    )
    return int(bool(found))


def full_disk(data: Path) -> str:
    """Backfill on a disk of two megabytes, then on a larger one."""
    data.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(data)], capture_output=True).returncode:
        return "not tried: mounting is not allowed here"
    try:
        with Emulator(world()) as emulator:
            variables = environment(emulator.url, data / "data")
            code, out = _finish(variables, data.parent)
            sentence = _sentence(out)
            assert code in (1, 2), out
            subprocess.run(["mount", "-o", "remount,size=500m", str(data)], check=True)
            code, out = _finish(variables, data.parent)
            assert code == 0, out
            _compare(data / "data", emulator)
            return f"{sentence} -- with more room, nothing is missing"
    finally:
        subprocess.run(["umount", str(data)], check=False)


def unwritable(data: Path) -> str:
    """Backfill with a file in the place of the data folder."""
    data.write_text("")
    with Emulator(world()) as emulator:
        code, out = _finish(environment(emulator.url, data / "data"), data.parent)
    assert code == 2, out
    return _sentence(out)


def broken_segment(data: Path) -> str:
    """Overwrite the middle of a raw segment."""

    def damage() -> None:
        path = max((data / "raw" / "participant_metrics").rglob("*.parquet"), key=lambda found: found.stat().st_size)
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 500] = b"?" * 500
        path.write_bytes(bytes(content))
        shutil.rmtree(data / "tables")

    return _repaired(data, damage, "; its content will be fetched again")


def broken_table(data: Path) -> str:
    """Cut the end off a table file."""

    def damage() -> None:
        path = max((data / "tables" / "metric_points").rglob("*.parquet"))
        path.write_bytes(path.read_bytes()[:-100])

    return _repaired(data, damage, "; it will be rebuilt")


def broken_databases(data: Path) -> str:
    """Put another program's database in place of the published one, and a file that is no database in place of ours."""

    def damage() -> None:
        (data / "warehouse.duckdb").unlink()
        with duckdb.connect(str(data / "warehouse.duckdb")) as foreign:
            foreign.execute("CREATE TABLE foreign_table AS SELECT 1 AS one")
        (data / ".work" / "warehouse.duckdb").write_bytes(b"no database" * 1000)

    return _repaired(data, damage, "; it will be rebuilt", files=2)


def wrong_clock(data: Path) -> str:
    """Backfill from a source whose clock is an hour ahead of ours."""
    with Emulator(world(), clock=skewed(timedelta(hours=1))) as emulator:
        variables = environment(emulator.url, data)
        code, out = _finish(variables, data.parent)
        assert code == 0, out
        requested = emulator.count("participant_metrics")
        code, out = _finish(variables, data.parent)
        assert emulator.count("participant_metrics") == requested
        _compare(data, emulator)
    return "nothing is requested twice, nothing is missing"


def _repaired(data: Path, damage: Callable[[], None], then: str, files: int = 1) -> str:
    """Damage files of a finished backfill and repair them by another one. Return its sentences about them.

    There must be a sentence for each of the damaged files, which ends with `then`.
    """
    with Emulator(world()) as emulator:
        variables = environment(emulator.url, data)
        code, out = _finish(variables, data.parent)
        assert code == 0, out
        damage()
        code, out = _finish(variables, data.parent)
        sentences = [line for line in out.splitlines() if " was quarantined as " in line]
        assert len(sentences) == files, out
        assert all(sentence.endswith(then) for sentence in sentences), out
        if code == 1:
            code, out = _finish(variables, data.parent)
        assert code == 0, out
        _compare(data, emulator)
        assert len(quarantined(data, data / "warehouse.duckdb")) == files, "a broken file was not kept"
    return " / ".join(sentences).replace(str(data), "…")


def _start(variables: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        COMMAND, env=variables, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _finish(variables: dict[str, str], folder: Path) -> tuple[int, str]:
    process = _start(variables, folder)
    out, _ = process.communicate()
    return process.returncode, out


def _sentence(out: str) -> str:
    assert "Traceback" not in out, out
    (line,) = [line for line in out.splitlines() if line.startswith("call-metrics: ")]
    return line


def _compare(data: Path, emulator: Emulator) -> None:
    found = _differences(data, emulator)
    assert not found, "; ".join(found)


def _differences(data: Path, emulator: Emulator) -> list[str]:
    return list(differences(data / "warehouse.duckdb", Landing(data / "raw"), emulator.expected_rows()))


if __name__ == "__main__":
    os.environ.pop("DAGSTER_HOME", None)
    sys.exit(main())
