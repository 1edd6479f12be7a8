"""A webhook on loopback: a real HTTP server that keeps what it is sent, and can refuse."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from tests.support.loopback import LoopbackServer


class Webhook:
    """A server within a `with` block. `messages` is what it accepted; `status` is its answer, before which it calls
    `before_answer`.
    """

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.messages: list[dict[str, Any]] = []
        self.refused = 0
        self.before_answer: Callable[[], None] = lambda: None
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if webhook.status < 400:
                    webhook.messages.append(json.loads(body))
                else:
                    webhook.refused += 1
                webhook.before_answer()
                with contextlib.suppress(OSError):  # whoever asked may be dead
                    self.send_response(webhook.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = LoopbackServer(Handler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    @property
    def address(self) -> str:
        """The address as Apprise takes it, with a secret in it."""
        return f"json://me:hunter2@{self._server.address}/hook"

    @property
    def titles(self) -> list[str]:
        """The titles of accepted messages, in order, without our name."""
        return [message["title"].removeprefix("Call Metrics: ") for message in self.messages]
