"""The server over HTTP, for clients that have the token. It is for this machine: HTTP does not encrypt.

A page in a browser could let a name point to this machine (DNS rebinding). So the SDK checks the headers Host and
Origin, and we check the token of each request first. `/health` needs no token; it says
only whether the database can be read, see `serving.health`.
"""

from __future__ import annotations

import contextlib
import hmac
import signal
import socket
from collections.abc import Callable, Iterator

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import FixSettings, first_line
from pipeline.serving.health import PATH as HEALTH
from pipeline.serving.health import Health
from pipeline.serving.mcp.server import Server
from pipeline.settings import Secret

__all__ = ["PATH", "application", "listen", "serve", "url_of"]

PATH = "/mcp"

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

SECONDS_TO_END = 2
"""How long a request that is running may still take after the server was asked to stop."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on host and port (0: any that is free). Raises `FixSettings`."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        raise FixSettings(f"{host} port {port} cannot be used ({why}); choose others with --host and --port") from None


def url_of(host: str, listener: socket.socket) -> str:
    """Return the address that clients use."""
    return f"http://{_bracketed(host)}:{listener.getsockname()[1]}{PATH}"


def application(server: Server, token: Secret, host: str, health: Health) -> ASGIApp:
    """Return the ASGI application. Each request is answered on its own, without a session, as JSON."""
    names = dict.fromkeys([_bracketed(host), *LOOPBACK, socket.gethostname()])
    protected = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[allowed for name in names for allowed in (name, f"{name}:*")],
        allowed_origins=[allowed for name in names for allowed in (f"http://{name}", f"http://{name}:*")],
    )
    app = server.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, json_response=True, transport_security=protected
    )
    return _TokenRequired(app, token, health)


async def serve(app: ASGIApp, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. Calls `ready` as soon as clients can connect."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    server = _Uvicorn(config, ready)
    async with anyio.create_task_group() as group:
        group.start_soon(_stop_on_signal, server)
        await server.serve(sockets=[listener])
        group.cancel_scope.cancel()


class _Uvicorn(uvicorn.Server):
    """uvicorn, which leaves signals to us: it would raise them again after its end."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._ready()


async def _stop_on_signal(server: uvicorn.Server) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            server.should_exit = True


class _TokenRequired:
    """Lets requests through that have the token, and answers whether the server is healthy."""

    def __init__(self, app: ASGIApp, token: Secret, health: Health) -> None:
        self._app = app
        self._health = health
        self._expected = f"bearer {token.reveal()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == HEALTH:
            response = await self._health.answer()
            await response(scope, receive, send)
        elif scope["type"] == "lifespan" or self._is_allowed(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _unauthorized()(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        return hmac.compare_digest(f"{scheme.lower()} {given.strip()}".encode("latin-1"), self._expected)


def _unauthorized() -> Response:
    return JSONResponse(
        {"error": "give the token of this server, as the header `Authorization: Bearer <token>`"},
        status_code=401,
        headers={"WWW-Authenticate": "Bearer"},
    )


def _bracketed(host: str) -> str:
    """Return a host as it is in an address."""
    return f"[{host}]" if ":" in host else host
