"""An S3 server on loopback, with a proxy in front that counts requests and does what stores do on bad days.

The server is moto's, a process of its own that keeps everything in memory. It answers too politely: faults are scripted
at the proxy, and each counts how often it happened.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

from pipeline.storage.objects import ObjectStore
from tests.support.loopback import LoopbackServer

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key-of-tests", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_REGION": "us-east-1"}


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Run a server. Yields its address; ends it by its process id."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", f"{port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when something listens on a port."""
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"no server on port {port}")


@dataclass(frozen=True)
class Call:
    """A request as the proxy sees it. `key` is below the bucket.

    `kind` is PUT, GET, LIST, HEAD, DELETE or COPY, and VERSIONS or PURGE for listing or deleting versions.
    """

    kind: str
    key: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Fault:
    """Something that happens to the next `times` requests that match.

    `what`: `error` (refused with `status` and `code`), `late` (carried out, but the answer is `status`), `cut` (the
    connection ends in the middle: of a PUT before the store has it, of a GET within the response), `hide` (a listing
    that lacks the keys that `hidden` matches), `ignore_condition` (a PUT that replaces in spite of a condition),
    `pretend` (nothing is carried out, and the answer is an empty success).
    """

    what: str
    kind: str
    key: str = ""
    times: int = 1_000_000
    status: int = 503
    code: str = "SlowDown"
    message: str = "hunter2"
    hidden: str = ""
    met: int = 0

    def matches(self, call: Call) -> bool:
        return self.met < self.times and call.kind in self.kind.split() and re.search(self.key, call.key) is not None


@dataclass
class Traffic:
    """What went through the proxy: requests by kind, and bytes of bodies sent to and received from the store."""

    requests: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    received: int = 0
    calls: list[Call] = field(default_factory=list)


class FaultProxy:
    """A proxy in front of an S3 server. `on_call` is called before a request is forwarded."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.traffic = Traffic()
        self.on_call: Callable[[Call], None] = lambda _: None
        self._server = LoopbackServer(_handler(self))

    @property
    def url(self) -> str:
        return f"http://{self._server.address}"

    def close(self) -> None:
        self._server.close()

    @contextlib.contextmanager
    def counting(self) -> Iterator[Traffic]:
        """Count afresh within the block."""
        before, self.traffic = self.traffic, Traffic()
        yield self.traffic
        self.traffic = before

    @contextlib.contextmanager
    def suffering(self, *faults: Fault) -> Iterator[None]:
        """Let faults happen within the block, each of them at least once."""
        self.faults += faults
        yield
        for fault in faults:
            self.faults.remove(fault)
            assert fault.met, f"{fault} did not happen"

    def fault_for(self, call: Call) -> Fault | None:
        for fault in self.faults:
            if fault.matches(call):
                fault.met += 1
                return fault
        return None


class Bucket:
    """A bucket of a test, seen past the proxy."""

    def __init__(self, upstream: str, name: str, *, with_locks: bool = False) -> None:
        self.upstream, self.name = upstream, name
        self._send("PUT", "", headers={"x-amz-bucket-object-lock-enabled": "true"} if with_locks else {})

    def list_keys(self) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = self._send("GET", f"?list-type=2{token}").decode()
            found += [unquote(key) for key in re.findall(r"<Key>(.*?)</Key>", page)]
            more = re.search(r"<NextContinuationToken>(.*?)</NextContinuationToken>", page)
            if more is None:
                return sorted(found)
            token = f"&continuation-token={more[1]}"

    def read(self, key: str) -> bytes:
        return self._send("GET", f"/{key}")

    def write(self, key: str, content: bytes) -> None:
        self._send("PUT", f"/{key}", content)

    def delete(self, key: str) -> None:
        self._send("DELETE", f"/{key}")

    def keep_versions(self) -> None:
        """Turn on versions."""
        self._set_versions("Enabled")

    def suspend_versions(self) -> None:
        """Keep the versions that there are, and no new ones."""
        self._set_versions("Suspended")

    def _set_versions(self, status: str) -> None:
        body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
        self._send("PUT", "?versioning", body.encode())

    def hold(self, key: str) -> None:
        """Let nobody delete the present version of an object."""
        self._send("PUT", f"/{key}?legal-hold", b"<LegalHold><Status>ON</Status></LegalHold>")

    def versions(self) -> list[tuple[str, str, bytes | None]]:
        """Return the key, id and content of all versions of all objects; a delete marker has no content."""
        found: list[tuple[str, str, bytes | None]] = []
        more = ""
        while True:
            page = self._send("GET", f"?versions{more}").decode()
            for kind, item in re.findall(r"<(Version|DeleteMarker)>(.*?)</\1>", page, re.DOTALL):
                key, version = (re.search(rf"<{name}>(.*?)</{name}>", item) for name in ("Key", "VersionId"))
                assert key
                assert version
                content = self._send("GET", f"/{key[1]}?versionId={version[1]}") if kind == "Version" else None
                found.append((unquote(key[1]), version[1], content))
            following = [re.search(rf"<Next{name}Marker>(.*?)</Next", page) for name in ("Key", "VersionId")]
            if following[0] is None:
                return found
            more = f"&key-marker={following[0][1]}" + (f"&version-id-marker={following[1][1]}" if following[1] else "")

    def contents(self) -> dict[str, bytes]:
        return {key: self.read(key) for key in self.list_keys()}

    def _send(
        self, method: str, rest: str, body: bytes | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> bytes:
        address = f"http://{self.upstream}/{self.name}{rest}"
        request = urllib.request.Request(
            address,
            body,
            {"Authorization": "AWS key:signature", "Content-Type": "application/octet-stream", **headers},
            method=method,
        )
        with urllib.request.urlopen(request) as response:
            return bytes(response.read())


def _call(method: str, target: str, body: bytes, headers: dict[str, str]) -> Call:
    path, _, query = target.partition("?")
    key = unquote(path).strip("/").partition("/")[2]
    kind = method
    if method == "GET" and "list-type" in query:
        kind = "LIST"
        key = unquote((re.search(r"(?:^|&)prefix=([^&]*)", query) or ["", ""])[1])
    elif method == "GET" and re.search(r"(?:^|&)versions", query):
        kind = "VERSIONS"
        key = unquote((re.search(r"(?:^|&)prefix=([^&]*)", query) or ["", ""])[1])
    elif method == "POST" and b"<VersionId>" in body:
        kind = "PURGE"
    elif method == "POST":
        kind = "DELETE" if "delete" in query else "PUT"
    elif "x-amz-copy-source" in headers:
        kind = "COPY"
    return Call(kind, key, body, headers)


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else the second part of a small response waits 0.04 seconds for the first

        def log_message(self, *_: object) -> None:
            """Be quiet."""

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            call = _call(self.command, self.path, body, {k.lower(): v for k, v in self.headers.items()})
            proxy.on_call(call)
            proxy.traffic.requests[call.kind] += 1
            proxy.traffic.sent += len(body)
            proxy.traffic.calls.append(call)
            fault = proxy.fault_for(call)
            if fault is not None and fault.what == "error":
                self.refuse(fault)
                return
            if fault is not None and fault.what == "pretend":
                self.reply(200, [("Content-Type", "application/xml")], b"<DeleteResult/>")
                return
            if fault is not None and fault.what == "cut" and call.kind != "GET":
                self.close_connection = True
                return
            if fault is not None and fault.what == "ignore_condition":
                del self.headers["If-None-Match"]
                del self.headers["x-goog-if-generation-match"]
            status, headers, content = self.forward(body)
            if fault is not None and fault.what == "late":
                self.refuse(fault)
                return
            if fault is not None and fault.what == "hide":
                pattern = rf"<Contents><Key>(?=[^<]*{fault.hidden})[^<]*</Key>.*?</Contents>"
                content = re.sub(pattern, "", re.sub(r">\s+<", "><", content.decode()), flags=re.DOTALL).encode()
            proxy.traffic.received += len(content)
            if fault is not None and fault.what == "cut":
                self.reply(status, headers, content, cut=True)
                return
            self.reply(status, headers, content)

        def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection(proxy.upstream, timeout=30)
            try:
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                response = connection.getresponse()
                return response.status, response.getheaders(), response.read()
            finally:
                connection.close()

        def reply(self, status: int, headers: list[tuple[str, str]], content: bytes, *, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else f"{len(content)}"
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = self.close_connection or cut

        def refuse(self, fault: Fault) -> None:
            error = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
            content = f"<?xml version='1.0'?>{error}".encode()
            self.reply(fault.status, [("Content-Type", "application/xml")], content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815

    return Handler


def put(store: ObjectStore, key: str, content: bytes) -> None:
    """Put an object in the place of any other."""
    with store.replacing(key) as path:
        path.write_bytes(content)


def get(store: ObjectStore, key: str) -> bytes:
    """Return an object."""
    with store.open(key) as file:
        return file.read()
