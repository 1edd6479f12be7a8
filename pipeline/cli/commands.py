"""Every command, with its arguments, options and help texts; the table of contents of the command line.

A command that takes more than a few lines has a module of its own. Imports are in the commands, so that `--help` and
completion are quick.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from pipeline.cli.outcome import KEEPS_VERSIONS, PROGRAM, ExitCode, end_with, may_keep
from pipeline.cli.usage import Commands, QueryCommand, WholeNumber
from pipeline.cli.verbosity import chosen_level, is_quiet, say
from pipeline.errors import FixSettings, FixStorage
from pipeline.logs import to_stderr

if TYPE_CHECKING:
    from pipeline.settings import Settings

__all__ = ["COMPLETION_VARIABLE", "call_metrics"]

COMPLETION_VARIABLE = "_CALL_METRICS_COMPLETE"

SINCE = click.option("--from", "since", metavar="DATE", help="First day (UTC; default: all).")
UNTIL = click.option("--to", "until", metavar="DATE", help="Last day (UTC), included.")
PORT = WholeNumber(1, 65535)
PORT_OR_ANY = WholeNumber(0, 65535)


@click.group(
    cls=Commands,
    no_args_is_help=False,
    subcommand_metavar="COMMAND ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Exit codes: 0 complete; 1 finished with something missing, which is listed; 2 could not start.",
)
@click.version_option(None, "--version", package_name="call-metrics", message="%(prog)s %(version)s")
def call_metrics() -> None:
    """Keep the call-quality metrics of Stream's Video API: every stay in every call, in full."""


@call_metrics.command()
@click.option(
    "--days", type=WholeNumber(1, 30), default=2, show_default=True, metavar="N", help="Number of days before today."
)
def demo(days: int) -> int:
    """Backfill some days from an emulator and show a first query; needs no account."""
    from pipeline.cli.demo import run_demo

    return run_demo(_settings(), days)


@call_metrics.command()
@click.option("--from", "since", metavar="DATE", help="First day (UTC; default: what is due).")
@click.option("--to", "until", metavar="DATE", help="Last day (UTC), included (default: today).")
@click.option("--last", "span", metavar="SPAN", help="Instead of dates: so many days (7d) or weeks (2w), and today.")
@click.option("--dry-run", is_flag=True, help="Only say how many requests it takes, and how long.")
def backfill(since: str | None, until: str | None, span: str | None, *, dry_run: bool) -> int:
    """Fetch, keep and publish days: from one date to another, or all that are due.

    Due are the last three days, and earlier ones since CALL_METRICS_START of which something is missing that the
    source can still give.
    A backfill can be stopped and repeated: it fetches only what is still due.
    """
    from pipeline.cli.dates import days_asked, yesterday

    if until and not since and not span:
        raise click.UsageError("missing --from", click.get_current_context())
    settings = _settings()
    days = days_asked(since, until, span, settings)
    if dry_run:
        from pipeline.cli.estimate import print_estimate

        return print_estimate(settings, days)
    try:
        settings.credentials()
        settings.keep_apart_from_demo()
    except FixSettings as error:
        if settings.alerts:  # cron has started it, maybe, and nobody reads what it prints
            from pipeline.cli.alerts import tell_failure

            tell_failure(settings, f"{days[0] if days else yesterday()}", error)
        raise
    from pipeline.cli.due import due_days, without_pruned

    days = due_days(settings) if days is None else without_pruned(settings, days)
    if not days:
        return ExitCode.COMPLETE
    from pipeline.cli.backfill import run_days  # imported last: it takes a second, and a refusal should be immediate

    return run_days(settings, days)


@call_metrics.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every problem; the same as --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "openmetrics"]),
    help="Format of the status: text (default), json, or openmetrics for a collector of metrics.",
)
@click.option("--ledger", is_flag=True, help="Show what the source can still give, its cost, and when it is lost.")
@SINCE
@UNTIL
def status(*, as_json: bool, form: str | None, ledger: bool, since: str | None, until: str | None) -> int:
    """Show per day what is known, landed and missing."""
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} cannot be given together")
    if ledger and form == "openmetrics":
        raise click.UsageError("--ledger has no format openmetrics; leave out --ledger: the metrics have its totals")
    if form == "openmetrics":
        from pipeline.cli.metrics import print_metrics

        return print_metrics(_settings(), since, until)
    as_json = as_json or form == "json"
    if ledger:
        from pipeline.cli.ledger import print_ledger

        return print_ledger(_settings(), since, until, as_json=as_json)
    from pipeline.cli.status import print_status

    return print_status(_settings(), since, until, as_json=as_json)


@call_metrics.command()
@SINCE
@UNTIL
def rebuild(since: str | None, until: str | None) -> int:
    """Rebuild tables and database from the raw responses, without the API."""
    from pipeline.cli.rebuild import run_rebuild

    return run_rebuild(_settings(), since, until)


@call_metrics.command()
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
def prune(*, dry_run: bool) -> int:
    """Remove old data: what CALL_METRICS_KEEP_RAW_DAYS and CALL_METRICS_KEEP_DAYS let go of complete days.

    Days of which something is missing stay, however old. What was removed is not fetched again.
    """
    from pipeline.cli.prune import run_prune

    return run_prune(_settings(), dry_run=dry_run)


@call_metrics.command()
@click.option("--user", required=True, metavar="ID", help="User id, as the app gave it to Stream.")
def forget(user: str) -> int:
    """Remove a person from raw responses, tables and database, for good."""
    from pipeline.flow import Flow
    from pipeline.planning.problems import counted
    from pipeline.storage import OldVersions

    if not user:
        raise FixSettings("--user is empty; give the id of the user to forget")
    settings = _settings()
    with Flow(settings) as flow:
        if not flow.known_days():
            raise FixSettings(
                f"nothing has landed under {settings.location}; set CALL_METRICS_DATA to what holds the data"
            )
        try:
            days = flow.forget(user)
        except (FixSettings, FixStorage) as error:
            raise type(error)(f"{error}; the user is not erased yet: then run `forget` again") from None
        left = [str(path) for path in flow.quarantined()]
        versions = flow.store.old_versions()
    found = f"was removed from {counted(len(days), 'day')}" if days else "was not found"
    say(f"The user {found}, and is left out of everything that lands from now on.")
    say(f"The data folder is {settings.location}.")
    if left:
        print(f"Quarantined files may still name them, and are yours to deal with: {', '.join(left)}")
    if versions is OldVersions.KEPT:
        print(f"{settings.location} {KEEPS_VERSIONS}")
    if versions is OldVersions.UNKNOWN:
        print(may_keep(settings.location))
    return ExitCode.COMPLETE


@call_metrics.command(cls=QueryCommand)
@click.argument("query", metavar="QUERY", help="A statement in DuckDB's SQL.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="Format of the result.",
)
def sql(query: str, form: str) -> int:
    """Query the published database, read-only."""
    from pipeline.serving.query import print_result

    print_result(_settings().warehouse, query, form)
    return ExitCode.COMPLETE


@call_metrics.command()
@click.argument(
    "session",
    metavar="[SESSION]",
    required=False,
    help="A call_session_id, or type:id of a call with one session (default: list the worst calls of the newest day).",
)
@click.option("--participant", metavar="USER", help="Write about this user only.")
@click.option(
    "-o",
    "output",
    type=click.Path(readable=False),
    metavar="FILE",
    help="File to write (default: report-SESSION.html; -: stdout).",
)
def report(session: str | None, participant: str | None, output: str | None) -> int:
    """Write a report about one call session, as one HTML page."""
    from datetime import UTC, datetime

    if session is None:
        from pipeline.cli.worst import print_worst

        return print_worst(_settings())
    from pipeline.serving.report import make, write

    page = make(_settings().warehouse, session, participant, datetime.now(UTC))
    if output == "-":
        sys.stdout.buffer.write(page.html)
    else:
        path = Path(output or page.file_name)
        write(page, path)
        say(f"{path} ({len(page.html) / 1e6:.1f} MB)")
    if not page.problems:
        return ExitCode.COMPLETE
    return end_with(
        ExitCode.INCOMPLETE, f"the page is written, but the call's data is incomplete: {' '.join(page.problems)}"
    )


@call_metrics.command()
@click.option("--from", "since", required=True, metavar="DATE", help="First day to explain (UTC).")
@click.option("--to", "until", required=True, metavar="DATE", help="Last day to explain (UTC), included.")
@click.option(
    "--against",
    metavar="DATE..DATE",
    help="First and last day to compare with (default: as many days just before --from).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all parts.")
@click.option(
    "--picture", type=click.Path(readable=False), metavar="FILE", help="Also write a picture, as one HTML page."
)
def explain(since: str, until: str, *, against: str | None, as_json: bool, picture: str | None) -> int:
    """Explain why the share of poor publishers changed between two spans of days."""
    from pipeline.cli.explain import print_explanation

    return print_explanation(_settings(), since, until, against, as_json_text=as_json, picture=picture)


@call_metrics.command()
def doctor() -> int:
    """Check settings, credentials, network, clock, quotas and timestamps."""
    from pipeline.cli.doctor import print_findings

    return print_findings(_settings())


@call_metrics.command()
def init() -> int:
    """Write a .env file with the settings that a backfill needs, by questions and answers, and check it."""
    from pipeline.cli.init import ask

    return ask(Path.cwd())


@call_metrics.command()
@click.argument("one", metavar="A", help="A data folder, a database, or ducklake: and its catalog.")
@click.argument("other", metavar="B", help="What to compare it with.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="Leave this column out; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every day that differs.")
def diff(one: str, other: str, *, ignore: tuple[str, ...], as_json: bool) -> int:
    """Compare two data folders or databases, table by table and day by day."""
    from pipeline.cli.diff import print_differences

    return print_differences(one, other, ignore, as_json=as_json)


@call_metrics.command()
@click.option("--dry-run", is_flag=True, help="Print what would be told, and tell nobody.")
@click.option("--test", is_flag=True, help="Send a test message to every address, and nothing else.")
def alerts(*, dry_run: bool, test: bool) -> int:
    """Tell the addresses in CALL_METRICS_ALERTS what needs a person, each once; needs the extra `alerts`.

    Looks now: failed runs, data that Stream soon forgets, yesterday, quotas, the disk, new fields, releases and
    incidents. What is over is told too. Dagster does the same by itself.
    """
    if dry_run and test:
        raise click.UsageError("--dry-run and --test cannot be given together")
    from pipeline.cli.alerts import print_alerts

    return print_alerts(_settings(), dry_run=dry_run, test=test)


@call_metrics.command()
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Address to listen on.")
@click.option(
    "--port",
    type=PORT_OR_ANY,
    default=9494,
    show_default=True,
    metavar="PORT",
    help="TCP port; 0 takes any that is free.",
)
@click.option(
    "--health-port",
    type=PORT_OR_ANY,
    metavar="PORT",
    help="Also answer GET /health on this TCP port: 200 while clients can read, else 503.",
)
def serve(host: str, port: int, health_port: int | None) -> int:
    """Serve the published database, read-only, to DuckDB on other machines; needs the extra `serve`."""
    from pipeline.serving.access_token import token_file
    from pipeline.serving.server import LOOPBACK, Server, run

    settings = _settings()
    if settings.warehouse_path is None:
        raise FixSettings(f"{settings.warehouse} needs no server: let DuckDB attach it; `serve` is for a file")

    def ready(server: Server, health: str | None) -> None:
        token = "in CALL_METRICS_SERVE_TOKEN" if settings.serve_token else f"in {token_file(settings)}"
        print(f"{settings.warehouse} is served, read-only, at {server.uri} (Ctrl-C ends it); the token is {token}")
        if host != LOOPBACK:
            print("The protocol does not encrypt: let clients come through a TLS proxy or an SSH tunnel")
        if health is not None:
            print(f"{health} says whether clients can read")
        sys.stdout.flush()

    return run(settings, settings.warehouse_path, host=host, port=port, health_port=health_port, ready=ready)


@call_metrics.command()
@click.option("--http", "over_http", is_flag=True, help="Serve over HTTP, for clients that have the token.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Address to listen on, with --http."
)
@click.option(
    "--port",
    type=PORT_OR_ANY,
    default=9495,
    show_default=True,
    metavar="PORT",
    help="TCP port, with --http; 0 takes any that is free.",
)
@click.option(
    "--seconds",
    type=WholeNumber(1, 3600),
    default=30,
    show_default=True,
    metavar="N",
    help="Most seconds that an answer may take.",
)
def mcp(*, over_http: bool, host: str, port: int, seconds: int) -> int:
    """Let assistants and editors ask, read-only, by the Model Context Protocol; needs the extra `mcp`.

    Without --http, it speaks on standard input and output: the editor or assistant starts it.
    """
    from pipeline.serving.access_token import token_file
    from pipeline.serving.mcp.launch import run_http, run_stdio

    settings = _settings()
    if not over_http:
        return run_stdio(settings, seconds=seconds)

    def ready(url: str) -> None:
        token = "in CALL_METRICS_SERVE_TOKEN" if settings.serve_token else f"in {token_file(settings)}"
        print(f"{settings.warehouse} is served, read-only, at {url} (Ctrl-C ends it); the token is {token}")
        if host not in ("127.0.0.1", "::1", "localhost"):
            print("HTTP does not encrypt: let clients come through a TLS proxy or an SSH tunnel")
        sys.stdout.flush()

    return run_http(settings, host=host, port=port, seconds=seconds, ready=ready)


@call_metrics.command()
@click.option("--port", type=PORT, default=3000, show_default=True, metavar="PORT", help="TCP port on 127.0.0.1.")
def ui(port: int) -> int:
    """Serve Dagster's web interface, with the runs of this data folder."""
    settings = _settings()
    _refuse_used(port)
    from pipeline.orchestration.instance import home
    from pipeline.orchestration.ui import ui_command

    # A script starts its background jobs with SIGINT ignored, and Dagster then ignores SIGTERM too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    environment = {**os.environ, "DAGSTER_HOME": str(home(settings)), "CALL_METRICS_DATA": settings.root_location}
    if settings.remote:
        environment["CALL_METRICS_SCRATCH"] = str(settings.root)
    print(f"Dagster at http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    command = ui_command(port, log_format=settings.log_format, quiet=is_quiet())
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own interpreter, no shell


@call_metrics.command()
@click.option("--port", type=PORT, default=8501, show_default=True, metavar="PORT", help="TCP port on 127.0.0.1.")
def dashboard(port: int) -> int:
    """Serve the dashboard for the published database; needs the extra `dashboard`."""
    from pipeline.serving.dashboard.launch import streamlit_command

    _settings()
    command = streamlit_command(port)
    _refuse_used(port)
    print(f"Dashboard at http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell


@call_metrics.command()
@click.option(
    "--port",
    type=PORT_OR_ANY,
    default=8080,
    show_default=True,
    metavar="PORT",
    help="TCP port; 0 takes any that is free.",
)
@click.option(
    "--world",
    type=click.Choice(["demo", "odd", "uniform"]),
    default="demo",
    show_default=True,
    help="Data to serve: demo (realistic), odd (edge cases) or uniform (equal calls).",
)
@click.option(
    "--days", type=WholeNumber(1, 90), default=3, show_default=True, metavar="N", help="Number of days before today."
)
def emulator(port: int, world: str, days: int) -> int:
    """Serve a stand-in for Stream's API on 127.0.0.1.

    It prints its url, key and secret as JSON: set STREAM_BASE_URL, STREAM_API_KEY and STREAM_API_SECRET to them.
    """
    from pipeline.emulator import run

    try:
        return run(port=port, world=world, days=days)
    except OSError as error:
        raise _unusable(port, error.strerror) from None


@call_metrics.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]), help="bash, zsh or fish.")
def completion(shell: str) -> int:
    """Print the script that makes a shell complete commands, options and values.

    Install it once, and start a new shell:

    \b
    bash  mkdir -p ~/.local/share/bash-completion/completions
          call-metrics completion bash > ~/.local/share/bash-completion/completions/call-metrics
    zsh   mkdir -p ~/.zfunc
          call-metrics completion zsh > ~/.zfunc/_call-metrics
    fish  mkdir -p ~/.config/fish/completions
          call-metrics completion fish > ~/.config/fish/completions/call-metrics.fish

    bash needs the package bash-completion. zsh needs `fpath+=~/.zfunc` and `autoload -Uz compinit && compinit` in
    ~/.zshrc.

    To try it in this shell: eval "$(call-metrics completion bash)", or zsh; call-metrics completion fish | source
    """  # noqa: D301 - click leaves the lines of a paragraph after a \b as they are
    complete = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    script = complete(call_metrics, {}, PROGRAM, COMPLETION_VARIABLE).source()
    # click's script for fish ends a description at its first comma.
    print(script.rstrip("\n").replace('string split ","', 'string split -m 1 ","'))
    return ExitCode.COMPLETE


def _settings() -> Settings:
    """Load the settings, and log as they and `-v` or `-q` say from now on. The import takes longer than `--help`."""
    from pipeline.settings import Settings

    settings = Settings.load()
    if (logs := click.get_current_context().find_object(contextlib.ExitStack)) is not None:
        logs.enter_context(to_stderr(settings.log_format, chosen_level()))
    return settings


def _refuse_used(port: int) -> None:
    """Raise `FixSettings` if a server listens on the port of 127.0.0.1."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        raise _unusable(port, "another server is listening there")


def _unusable(port: int, why: str | None) -> FixSettings:
    return FixSettings(f"port {port} cannot be used ({why}); choose another with --port")
