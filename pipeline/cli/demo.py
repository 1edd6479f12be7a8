"""The demo: an emulator in a process of its own, a backfill from it, and a first query.

What happens in the demo is in `emulator.world.demo`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from pipeline.cli.outcome import ExitCode
from pipeline.cli.verbosity import is_quiet, say
from pipeline.errors import FixSettings, FixStorage
from pipeline.planning.problems import counted
from pipeline.settings import Secret, Settings

__all__ = ["FIRST_QUERY", "run_demo"]

FIRST_QUERY = """
SELECT
    c.session_date AS day,
    c.call_id AS call,
    c.participants AS people,
    round(avg(p.value) FILTER (WHERE p.metric = 'bitrate') / 1000) AS kbit_per_s,
    round(avg(p.value) FILTER (WHERE p.metric = 'framerate'), 1) AS fps,
    round(max(p.value) FILTER (WHERE p.metric = 'resolution_height')) AS height
FROM call_sessions AS c
JOIN metric_points AS p USING (session_date, call_type, call_id, call_session_id)
WHERE p.track_type = 'video'
GROUP BY ALL
ORDER BY fps
LIMIT 5
""".strip()


def run_demo(settings: Settings, days: int) -> ExitCode:
    """Backfill the days before today, and print a first query and where to look further.

    Raises `FixSettings` if the data folder holds data of another source, `FixStorage` if it cannot be written.
    """
    _mark_as_demo(settings)
    from pipeline.cli.backfill import run_days
    from pipeline.serving.query import print_result

    today = datetime.now(UTC).date()
    dates = [today - timedelta(days=back) for back in range(days, 0, -1)]
    with _emulator(days) as access:
        settings = settings.model_copy(
            update={
                "base_url": access["url"],
                "api_key": access["key"],
                "api_secret": Secret(access["secret"]),
                "start": min(settings.start, dates[0]),
            }
        )
        say(
            f"An emulator of Stream's API answers at {access['url']}; backfilling {counted(days, 'day')} through "
            "Dagster."
        )
        code = run_days(settings, dates)
    if code != ExitCode.COMPLETE or is_quiet():
        return code
    print(f"\nA first query, the five calls with the lowest framerate:\n\n{FIRST_QUERY}\n")
    print_result(settings.warehouse, FIRST_QUERY, "table")
    if lines := [f"  {line}" for line in _what_stands_out(settings, dates)]:
        print("\nWhat stands out:\n", *lines, sep="\n")
    print(
        f"\nLook further:\n"
        f'  call-metrics sql "SUMMARIZE metric_points"     query anything, read-only\n'
        f"  call-metrics report SESSION                    one call as a page; SESSION is a call_session_id\n"
        f"  call-metrics explain --from {dates[-1]} --to {dates[-1]}\n"
        f"                                                 why the newest day differs from the one before\n"
        f"  call-metrics dashboard                         all calls on a page; needs the extra `dashboard`\n"
        f"  call-metrics status                            what is known, landed and missing\n"
        f"  call-metrics ui                                the same runs in Dagster\n"
        f"  {settings.warehouse}   open it with DuckDB or a BI tool"
    )
    return code


def _what_stands_out(settings: Settings, days: Sequence[date]) -> Iterator[str]:
    """Yield releases that are worse, the incidents of the days, and why the newest day differs, in sentences."""
    from pipeline.quality.incidents.sentences import incident_sentence
    from pipeline.quality.releases.compared import compared_releases
    from pipeline.quality.releases.sentences import comparison_sentence
    from pipeline.serving.changes import Span, explain
    from pipeline.serving.changes.texts import headline, problem
    from pipeline.warehouse.published import open_published

    with open_published(settings.warehouse) as database:
        releases = compared_releases(database)
        incidents = database.execute("FROM incidents ORDER BY started_at").to_arrow_table().to_pylist()
    for release in releases:
        if release["verdict"] == "worse":
            yield comparison_sentence(release)
    for incident in incidents:
        yield incident_sentence(incident)
    newest = Span(days[-1], days[-1])
    explanation = explain(settings.warehouse, newest, newest.before())
    if problem(explanation) is None:
        yield headline(explanation)


def _mark_as_demo(settings: Settings) -> None:
    if settings.remote:
        raise FixSettings(f"{settings.remote} is not for the demo; set CALL_METRICS_DATA to an empty folder for it")
    mark = settings.demo_mark
    if settings.data.exists() and any(settings.data.iterdir()) and not mark.exists():
        raise FixSettings(f"{settings.data} is in use; set CALL_METRICS_DATA to an empty folder for the demo")
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise FixStorage(
            f"{settings.data} cannot be written ({error.strerror}); set CALL_METRICS_DATA to a folder that can be"
            " written"
        ) from None


@contextlib.contextmanager
def _emulator(days: int) -> Iterator[dict[str, str]]:
    """Run an emulator in a process of its own. Yields its `url`, `key` and `secret`; ends it with the block."""
    command = [sys.executable, "-m", "pipeline.emulator", "--port", "0", "--world", "demo", "--days", str(days)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise FixSettings("the emulator did not start; run `call-metrics emulator` to see why")
            yield json.loads(line)
        finally:
            process.terminate()
