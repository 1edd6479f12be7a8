"""Starts the server, on standard input and output or over HTTP, and ends it on a signal."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable

import anyio

from pipeline.errors import FixSettings
from pipeline.serving.access_token import token_for
from pipeline.settings import Settings

__all__ = ["run_http", "run_stdio"]


def run_stdio(settings: Settings, *, seconds: float) -> int:
    """Serve on standard input and output until the input ends or SIGTERM or SIGINT comes, and return 0.

    Nothing but the protocol is written to standard output. A tool takes at most `seconds`. Must be called in the main
    thread. Raises `FixSettings` without the extra `mcp`.
    """
    _prepare()
    from pipeline.serving.mcp.server import build
    from pipeline.serving.mcp.stdio import serve

    anyio.run(serve, build(settings, seconds))
    return 0


def run_http(settings: Settings, *, host: str, port: int, seconds: float, ready: Callable[[str], None]) -> int:
    """Serve over HTTP until SIGTERM or SIGINT, and return 0. Calls `ready` with the address when clients can connect.

    Must be called in the main thread. Raises `FixSettings` without the extra `mcp` or if the address cannot be used,
    `FixStorage` if the token's file cannot.
    """
    _prepare()
    from pipeline.serving.health import Health
    from pipeline.serving.mcp.http import application, listen, serve, url_of
    from pipeline.serving.mcp.server import build
    from pipeline.warehouse.published import check

    token = token_for(settings)
    health = Health(settings.warehouse, lambda: check(settings.warehouse))
    with listen(host, port) as listener:
        app = application(build(settings, seconds), token, host, health)
        anyio.run(serve, app, listener, lambda: ready(url_of(host, listener)))
    return 0


def _prepare() -> None:
    """Check that the SDK is installed, and send warnings of all modules to standard error, each in one line."""
    if importlib.util.find_spec("mcp") is None:
        raise FixSettings("`call-metrics mcp` needs the MCP SDK; install it with `pip install 'call-metrics[mcp]'`")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")  # before the SDK sets its own
