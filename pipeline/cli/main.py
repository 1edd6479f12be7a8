"""The command line: arguments in, exit code out. Everything it does is done by `flow.py`, here or through Dagster.

Exit codes: 0 complete; 1 finished with something missing, which is listed; 2 could not start.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline.errors import CallMetricsError, FixCredentials, FixSettings, FixStorage, Interrupted
from pipeline.settings import Secret, Settings, parse_date

if TYPE_CHECKING:
    from pipeline.planning.completeness import DayCompleteness
    from pipeline.tables.build import TablesBuilt

__all__ = ["build_parser", "main"]

COMPLETE, INCOMPLETE, NOT_STARTED = 0, 1, 2

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    given = sys.argv[1:] if arguments is None else arguments
    if not all(_is_text(argument) for argument in given):
        parser.error("an argument has characters that are none of your terminal's encoding; write it anew")
    options = parser.parse_args(given)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that has no letter for something shows its code
    signal.signal(signal.SIGTERM, _stop)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        _drop_output()
        return COMPLETE
    except OSError as error:
        _drop_output()
        what = error.filename or "what it has to say"
        return _say(f"{what} cannot be written or read ({error.strerror or error}); mend it and run again", NOT_STARTED)
    except Interrupted as error:
        return _say(error, INCOMPLETE)
    except KeyboardInterrupt:
        return _say("stopped", INCOMPLETE)
    except CallMetricsError as error:
        return _say(error, NOT_STARTED)
    return code


def _drop_output() -> None:
    """Nothing more goes to stdout, not even what is held back for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(error: object, code: int) -> int:
    print(f"call-metrics: {error}", file=sys.stderr)
    return code


# Commands.


def _backfill(options: argparse.Namespace) -> int:
    settings = Settings.load()
    days = _days(options.since, options.until, settings)
    settings.credentials()
    settings.keep_apart_from_demo()
    return _run_days(settings, days)


def _run_days(settings: Settings, days: Sequence[date]) -> int:
    from pipeline.cli import console
    from pipeline.flow import Flow
    from pipeline.orchestration.runner import Runner, open_instance
    from pipeline.planning.completeness import problem_lines

    terminal = console.stderr()
    meter = console.Meter(terminal, days)
    finished: list[date] = []
    stopped: CallMetricsError | None = None
    with (
        _signals_noted() as check_signals,
        console.logging_to_stderr(terminal),
        Flow(settings, report=meter) as flow,
        open_instance(settings) as instance,
    ):
        runner = Runner(instance, flow)
        gc.freeze()  # Dagster's many objects stay to the end: do not walk them again and again
        try:
            with meter.shown(), flow.publishing_seldom():
                for day in days:
                    check_signals()
                    runner.run(day)
                    finished.append(day)
        except (Interrupted, FixStorage, FixCredentials) as error:
            if not finished and not isinstance(error, Interrupted):
                raise
            stopped = error
        surveys = [flow.completeness(day) for day in finished]
        sent = flow.requests_sent
    out = console.stdout()
    if surveys:
        out.print(console.survey_table(surveys))
        out.print(f"requests: {', '.join(f'{name} {count}' for name, count in sent.items()) or 'none'}")
        out.print(f"database: {settings.warehouse}")
    for line in problem_lines(surveys):
        out.print(f"missing: {line}", markup=False)
    if stopped is not None:
        left = len(days) - len(finished)
        _say(f"{stopped} ({left} of {len(days)} days not finished; run the same command again to go on)", INCOMPLETE)
    return COMPLETE if stopped is None and not any(survey.problems for survey in surveys) else INCOMPLETE


def _demo(options: argparse.Namespace) -> int:
    settings = Settings.load()
    mark = settings.demo_mark
    if settings.data.exists() and any(settings.data.iterdir()) and not mark.exists():
        raise FixSettings(f"{settings.data} is in use; set CALL_METRICS_DATA to an empty folder for the demo")
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise FixStorage(f"{settings.data} cannot be written ({error.strerror}); set CALL_METRICS_DATA") from None
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=back) for back in range(options.days, 0, -1)]
    with _emulator_process(options.days) as access:
        settings = settings.model_copy(
            update={
                "base_url": access["url"],
                "api_key": access["key"],
                "api_secret": Secret(access["secret"]),
                "start": min(settings.start, days[0]),
            }
        )
        print(
            f"An emulator of Stream's API answers at {access['url']}; backfilling {options.days} days through Dagster."
        )
        code = _run_days(settings, days)
    if code != COMPLETE:
        return code
    print(f"\nA first query, the five calls with the lowest framerate:\n\n{FIRST_QUERY}\n")
    _print_query(settings, FIRST_QUERY, "table")
    print(
        f"\nLook further:\n"
        f'  call-metrics sql "SUMMARIZE metric_points"     ask anything, read-only\n'
        f"  call-metrics status                            what is known, landed and missing\n"
        f"  call-metrics ui                                the same runs in Dagster\n"
        f"  {settings.warehouse}   open it with DuckDB or a BI tool"
    )
    return code


def _status(options: argparse.Namespace) -> int:
    from pipeline.cli import console
    from pipeline.flow import Flow
    from pipeline.planning.completeness import days_before_the_first, next_to_expire, problem_lines

    settings = Settings.load()
    with Flow(settings) as flow:
        landed = flow.landing.days()
        days = _days_of_status(landed, options)
        surveys = [flow.completeness(day) for day in days]
        certificates = {day: flow.certificates(day) for day in days} if options.json else {}
    now = datetime.now(UTC)
    if options.json:
        print(
            json.dumps([_as_json(survey, now, certificates[survey.day]) for survey in surveys], indent=2, default=str)
        )
    elif not surveys:
        print(f"nothing has landed under {settings.data} yet; `call-metrics backfill` or `call-metrics demo` begins")
    else:
        out = console.stdout()
        out.print(console.survey_table(surveys, now))
        missing = (f"missing: {line}" for line in problem_lines(surveys))
        for line in (*next_to_expire(surveys, now), *days_before_the_first(landed, settings.start, now), *missing):
            out.print(line, markup=False)
    return COMPLETE if not any(survey.problems for survey in surveys) else INCOMPLETE


def _rebuild(options: argparse.Namespace) -> int:
    from pipeline.cli import console
    from pipeline.flow import Flow
    from pipeline.planning.completeness import problem_lines

    settings = Settings.load()
    with console.logging_to_stderr(console.stderr()), Flow(settings) as flow:
        days = [day for day in flow.landing.days() if _between(day, options)]
        flow.rebuild(days, _print_built)
        surveys = [flow.completeness(day) for day in days]
    if not days:
        print(f"no raw answers under {settings.raw}; there is nothing to rebuild")
    for line in problem_lines(surveys):
        print(f"missing: {line}")
    return COMPLETE if not any(survey.problems for survey in surveys) else INCOMPLETE


def _print_built(day: date, built: TablesBuilt) -> None:
    calls, points = built.rows["call_sessions"], built.rows["metric_points"]
    print(f"{day}: {calls} calls, {points} points", flush=True)


def _forget(options: argparse.Namespace) -> int:
    from pipeline.cli import console
    from pipeline.files import quarantined
    from pipeline.flow import Flow

    settings = Settings.load()
    with console.logging_to_stderr(console.stderr()), Flow(settings) as flow:
        days = flow.forget(options.user)
    left = [str(path) for path in quarantined(settings.data, settings.warehouse)]
    found = f"was removed from {len(days)} days" if days else "was not found"
    print(f"The user {found}, and is left out of everything that lands from now on.")
    if left:
        print(f"Files that were set aside may still name them, and are yours to deal with: {', '.join(left)}")
    return COMPLETE


def _sql(options: argparse.Namespace) -> int:
    _print_query(Settings.load(), options.query, options.format)
    return COMPLETE


def _report(options: argparse.Namespace) -> int:
    from pipeline.serving import report

    made = report.make(Settings.load().warehouse, options.session, options.participant, datetime.now(UTC))
    if options.output == "-":
        sys.stdout.buffer.write(made.html)
    else:
        path = Path(options.output or made.file_name)
        report.write(made, path)
        print(f"{path} ({len(made.html) / 1e6:.1f} MB)")
    if made.shortfalls:
        _say(f"the page is written, but the call's data is incomplete: {' '.join(made.shortfalls)}", INCOMPLETE)
    return INCOMPLETE if made.shortfalls else COMPLETE


def _doctor(_options: argparse.Namespace) -> int:
    from pipeline.cli.doctor import examine

    worst = COMPLETE
    for finding in examine(Settings.load()):
        print(f"{'ok  ' if finding.code == COMPLETE else 'FAIL'}  {finding.text}", flush=True)
        worst = max(worst, finding.code)
    return worst


def _ui(options: argparse.Namespace) -> int:
    from pipeline.orchestration.runner import home

    settings = Settings.load()
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", options.port), timeout=5):
        raise FixSettings(
            f"port {options.port} cannot be used (another server answers there); choose another with --port"
        )
    environment = {**os.environ, "DAGSTER_HOME": str(home(settings)), "CALL_METRICS_DATA": str(settings.data)}
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "pipeline.orchestration.definitions",
        "-p",
        str(options.port),
    ]
    print(f"Dagster at http://127.0.0.1:{options.port} (Ctrl-C ends it)", flush=True)
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own interpreter, no shell


def _emulator(options: argparse.Namespace) -> int:
    from pipeline.emulator import run

    try:
        return run(port=options.port, world=options.world, days=options.days)
    except OSError as error:
        raise FixSettings(
            f"port {options.port} cannot be used ({error.strerror}); choose another with --port"
        ) from None


def _serve(options: argparse.Namespace) -> int:
    from pipeline.cli import console
    from pipeline.serving.server import LOOPBACK, Server, run, token_file

    settings = Settings.load()

    def ready(server: Server) -> None:
        token = "in CALL_METRICS_SERVE_TOKEN" if settings.serve_token else f"in {token_file(settings)}"
        print(f"{settings.warehouse} is served, read-only, at {server.uri} (Ctrl-C ends it); the token is {token}")
        if options.host != LOOPBACK:
            print("The protocol does not encrypt: let clients come through a TLS proxy or an SSH tunnel")
        sys.stdout.flush()

    with console.logging_to_stderr(console.stderr()):
        return run(settings, host=options.host, port=options.port, ready=ready)


# What they share.


def _days(since: str, until: str, settings: Settings) -> list[date]:
    first, last = parse_date("--from", since), parse_date("--to", until)
    today = datetime.now(UTC).date()
    if last < first:
        raise FixSettings(f"--to {last} is before --from {first}; swap them")
    if first < settings.start:
        raise FixSettings(f"--from {first} is before CALL_METRICS_START, which is {settings.start}; set it earlier")
    if last > today:
        raise FixSettings(f"--to {last} is in the future; today is {today} (UTC)")
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def _between(day: date, options: argparse.Namespace) -> bool:
    first = parse_date("--from", options.since) if options.since else date.min
    last = parse_date("--to", options.until) if options.until else date.max
    return first <= day <= last


def _days_of_status(landed: Sequence[date], options: argparse.Namespace) -> list[date]:
    """From --from (else the first day of which anything has landed) to --to (else the last one), gaps among them."""
    ends = [day for day in landed if _between(day, options)]
    ends += [parse_date(name, text) for name, text in (("--from", options.since), ("--to", options.until)) if text]
    first, last = min(ends, default=date.max), min(max(ends, default=date.min), datetime.now(UTC).date())
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def _is_text(argument: str) -> bool:
    """Whether it can be written as UTF-8, which broken bytes cannot."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextlib.contextmanager
def _emulator_process(days: int) -> Iterator[dict[str, str]]:
    """The emulator as a process of its own, ended with the block."""
    command = [sys.executable, "-m", "pipeline.emulator", "--port", "0", "--world", "demo", "--days", str(days)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise FixSettings("the emulator did not start; `call-metrics emulator` tells why")
            yield json.loads(line)
        finally:
            process.terminate()


def _stop(_number: int, _frame: object) -> NoReturn:
    """SIGTERM ends what runs the way Ctrl-C does."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def _signals_noted() -> Iterator[Callable[[], None]]:
    """Note SIGINT and SIGTERM rather than break into whatever runs; the result, called, raises `Interrupted` then.

    While a step runs, Dagster and `fetch.EventLoop` handle signals. Between steps nothing takes long, and an exception
    in the middle of Dagster's bookkeeping would only confuse it. A second signal does break in.
    """
    noted: list[int] = []

    def note(number: int, frame: object) -> None:
        if noted:
            _stop(number, frame)
        noted.append(number)

    def check() -> None:
        if noted:
            raise Interrupted("stopped; everything fetched so far has landed")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_query(settings: Settings, query: str, form: str) -> None:
    from pipeline.serving.query import print_result

    print_result(settings.warehouse, query, form)


def _as_json(survey: DayCompleteness, now: datetime, certificates: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "day": survey.day.isoformat(),
        "complete": survey.complete,
        "calls": survey.calls,
        "live_calls": survey.live_calls,
        "stays_promised": survey.promised,
        "stays_held": survey.held,
        "windows": survey.windows,
        "windows_due": survey.due,
        "days_left": survey.days_left(now),
        "forgotten_on": survey.first_expiry,
        "problems": [str(problem) for problem in survey.problems],
        "call_sessions": [
            {name: value for name, value in row.items() if name != "session_date"} for row in certificates
        ],
    }


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = _Parser(
        prog="call-metrics",
        description="Keeps the call-quality metrics of Stream's Video API: every stay in every call, in full.",
        epilog="Exit codes: 0 complete; 1 finished with something missing, which is listed; 2 could not start.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(run=run)
        return sub

    demo = command("demo", _demo, "backfill some days from an emulator and show a first query; needs no account")
    demo.add_argument("--days", type=_whole(1, 30), default=2, metavar="N", help="days before today (default: 2)")

    backfill = command("backfill", _backfill, "fetch, keep and publish all days from one date to another")
    backfill.add_argument("--from", dest="since", required=True, metavar="DATE", help="first day (UTC)")
    backfill.add_argument("--to", dest="until", required=True, metavar="DATE", help="last day (UTC), included")

    status = command("status", _status, "show per day what is known, landed and missing")
    status.add_argument("--json", action="store_true", help="as JSON, with every problem")
    rebuild = command("rebuild", _rebuild, "make tables and database anew from the raw answers, without the API")
    for sub in (status, rebuild):
        sub.add_argument("--from", dest="since", metavar="DATE", help="first day (UTC; default: all)")
        sub.add_argument("--to", dest="until", metavar="DATE", help="last day (UTC), included")

    forget = command("forget", _forget, "remove a person from raw answers, tables and database, for good")
    forget.add_argument("--user", required=True, metavar="ID", help="user id, as the app gave it to Stream")

    sql = command("sql", _sql, "ask the published database, read-only")
    sql.add_argument("query", metavar="QUERY", help="a statement in DuckDB's SQL")
    sql.add_argument("--format", choices=["table", "csv", "json", "parquet"], default="table", help="default: table")

    report = command("report", _report, "write all about one call session as one HTML page, for whoever has the ticket")
    report.add_argument("session", metavar="SESSION", help="call_session_id, or type:id of a call with one session")
    report.add_argument("--participant", metavar="USER", help="of this user alone")
    report.add_argument("-o", dest="output", metavar="FILE", help="where to (default: report-SESSION.html; -: stdout)")

    command("doctor", _doctor, "check settings, credentials, network, clock, quotas and timestamps")

    serve = command("serve", _serve, "serve the published database, read-only, to DuckDB on other machines")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    serve.add_argument("--port", type=_whole(0, 65535), default=9494, help="TCP port (default: 9494; 0: any)")

    ui = command("ui", _ui, "open Dagster on the same runs")
    ui.add_argument("--port", type=_whole(1, 65535), default=3000, help="TCP port on 127.0.0.1 (default: 3000)")

    emulator = command("emulator", _emulator, "serve a stand-in for Stream's API on 127.0.0.1")
    emulator.add_argument("--port", type=_whole(0, 65535), default=8080, help="TCP port (default: 8080; 0: any)")
    emulator.add_argument("--world", choices=["demo", "odd", "uniform"], default="demo", help="what happened there")
    emulator.add_argument("--days", type=_whole(1, 90), default=3, metavar="N", help="days before today (default: 3)")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(NOT_STARTED, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > 9 or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text[:60]!r} is no whole number from {least} to {most}")
        return int(text)

    return parse
