"""A network between a client and a server on loopback, which can be cut off: in silence, or with its connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

__all__ = ["Relay"]


class Relay:
    """Passes bytes on to a port of 127.0.0.1, within a `with` block.

    While it is silent it takes connections and bytes, and passes nothing on: no one gets an answer or an error.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._passing = threading.Event()
        self._passing.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        self._listener.close()
        self.end_connections()

    def be_silent(self) -> None:
        """Pass nothing on any more."""
        self._passing.clear()

    def end_connections(self) -> None:
        """End all connections on both sides, and pass on what comes by new ones."""
        ended, self._sockets = self._sockets, []
        threads, self._threads = self._threads, []
        for one in ended:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._passing.set()
        for thread in threads:
            thread.join(10)
        for one in ended:
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                for source, target in ((client, server), (server, client)):
                    passing = threading.Thread(target=self._pass_on, args=(source, target), daemon=True)
                    passing.start()
                    self._threads.append(passing)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(1 << 16):
                self._passing.wait()
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)
