"""Dagster's web interface: the command line that starts it, with a daemon for schedules and the sensor.

The folder of its records is prepared in `instance`.
"""

from __future__ import annotations

import importlib.util
import sys

from pipeline.logs import LogFormat

__all__ = ["ui_command"]

DEFINITIONS = "pipeline.orchestration.definitions"

SUPERSEDED = "Function `dev_command` is superseded"
"""How Dagster's warning begins that `dagster dev` will give way to `dg dev`."""


def ui_command(
    port: int, *, log_format: LogFormat = "text", quiet: bool = False, with_dg: bool | None = None
) -> list[str]:
    """Return the command line that serves Dagster at a port of 127.0.0.1, for this Python and from any folder.

    It is `dg dev` (by default if `dg` is installed, as by the dev extra) or `dagster dev`, which does the same: `dg` is
    a package of its own with many requirements. DAGSTER_HOME must be set in its environment, see `instance.home`.
    With the log format `json`, Dagster's own lines are JSON in Dagster's form. If `quiet`, Dagster logs only errors.
    """
    if with_dg is None:
        with_dg = importlib.util.find_spec("dagster_dg_cli") is not None
    module = ["-m", "dagster_dg_cli.cli"] if with_dg else ["-W", f"ignore:{SUPERSEDED}", "-m", "dagster"]
    form = ["--log-format", "json"] if log_format == "json" else []
    level = ["--log-level", "error", "--code-server-log-level", "error"] if quiet else []
    return [sys.executable, *module, "dev", "-m", DEFINITIONS, "-h", "127.0.0.1", "-p", str(port), *form, *level]
