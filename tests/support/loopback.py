"""A threaded HTTP server on a free port of loopback, for stand-ins of other people's services."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LoopbackServer:
    """Serves from the start until `close`, on threads that do not keep the process."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving, and wait for the end of it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
