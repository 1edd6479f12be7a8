"""A server on loopback that stands in for Google Cloud Storage: its XML API, in front of moto.

It follows Google's documents and not Google: it has never been compared with the real service. Callers get a token for
a signature of a service account's key, and show it with each request.

- Tokens: https://developers.google.com/identity/protocols/oauth2/service-account
- Requests: https://docs.cloud.google.com/storage/docs/xml-api/reference-methods
- Conditions: https://docs.cloud.google.com/storage/docs/request-preconditions
- Errors: https://docs.cloud.google.com/storage/docs/xml-api/reference-status
"""

from __future__ import annotations

import functools
import http.client
import itertools
import json
import re
import secrets
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from tests.support.loopback import LoopbackServer

ACCOUNT = "worker@project-of-tests.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"
"""What assertions are for, whatever the address of the server."""

LIFETIME = 3600
"""Seconds that a token lasts, as Google's do."""


@functools.cache
def key_of(account: str) -> rsa.RSAPrivateKey:
    """Return the key of a service account."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class GoogleServer:
    """A server of tokens and objects. `upstream` is the address of an S3 server that keeps the objects."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.lifetime = LIFETIME
        self.gives_tokens = True
        self.tokens: set[str] = set()
        self.granted: list[str] = []
        self._generations = itertools.count(1_790_000_000_000_000)
        self._held: dict[str, str] = {}
        self._versions: dict[str, str] = {}
        self._server = LoopbackServer(_handler(self))

    @property
    def address(self) -> str:
        return self._server.address

    def close(self) -> None:
        self._server.close()

    def write_key(self, path: Path, *, account: str = ACCOUNT) -> Path:
        """Write the file that Google's console gives for a service account; the server knows `ACCOUNT` only."""
        encoded = key_of(account).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        given = {
            "type": "service_account",
            "project_id": "project-of-tests",
            "private_key_id": "hunter2",
            "private_key": encoded.decode(),
            "client_email": account,
            "token_uri": f"http://{self.address}/token",
        }
        path.write_text(json.dumps(given))
        return path

    def expire(self) -> None:
        """Let all tokens be too old from now on, which clients have to expect if they last for a minute."""
        self.tokens.clear()
        time.sleep(0.2)  # `obstore` asks for a token every 0.1 seconds at most

    def grant(self, assertion: str) -> str | None:
        """Return a token for what a service account has signed; None if the signature is another's."""
        public = key_of(ACCOUNT).public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        try:
            claims = jwt.decode(assertion, certs=pem, audience=AUDIENCE)
        except ValueError:
            return None
        if not self.gives_tokens or claims["iss"] != ACCOUNT or "devstorage" not in claims["scope"]:
            return None
        token = f"ya29.{secrets.token_hex(16)}"
        self.tokens.add(token)
        self.granted.append(token)
        return token

    def generation_of_version(self, version: str) -> str:
        """Return the number of a version that the S3 server knows by another name."""
        return self._versions.setdefault(version, str(next(self._generations)))

    def version_of(self, generation: str) -> str:
        """Return the name that the S3 server has for a number."""
        return next(version for version, number in self._versions.items() if number == generation)

    def generation_of(self, key: str, *, is_new: bool) -> str:
        """Return the number of an object's version, a new one if it was just put."""
        if is_new or key not in self._held:
            self._held[key] = str(next(self._generations))
        return self._held[key]


def _text(tag: str, xml: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", xml, re.DOTALL)
    return found[1].strip() if found else ""


def _error(code: str, message: str) -> bytes:
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    )


def _handler(server: GoogleServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else the second part of a small response waits 0.04 seconds for the first

        def log_message(self, *_: object) -> None:
            """Be quiet."""

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/token":
                self.grant(body)
                return
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer":
                self.reply(403, [], _error("AccessDenied", "Anonymous caller does not have access."))
            elif token not in server.tokens:
                self.reply(401, [], _error("AuthenticationRequired", "Authentication required."))
            elif self.path.startswith("/storage/v1/b/"):
                self.answer_in_json()
            else:
                self.answer(body)

        def grant(self, body: bytes) -> None:
            form = parse_qs(body.decode())
            token = server.grant(form["assertion"][0])
            answer: dict[str, object] = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            if token is not None:
                answer = {"access_token": token, "expires_in": server.lifetime, "token_type": "Bearer"}
            self.reply(
                400 if token is None else 200, [("Content-Type", "application/json")], json.dumps(answer).encode()
            )

        def answer(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            _, bucket, *key = path.split("/", 2)
            target = "/".join(["", unquote(bucket), *key]) + f"?{query}" * bool(query)  # moto takes the name as it is
            if self.command == "DELETE" and not query and self.forward("HEAD", target, b"", {})[0] == 404:
                self.reply(404, [], _error("NoSuchKey", "The specified key does not exist."))
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            headers = {name: value for name, value in headers.items() if not name.startswith("x-amz-")}
            if self.command == "PUT":  # Google ignores the condition of S3
                headers.pop("if-none-match", None)
            if headers.get("x-goog-if-generation-match") == "0":
                headers["if-none-match"] = "*"
            if source := headers.get("x-goog-copy-source"):
                headers["x-amz-copy-source"] = source
            status, answered, content = self.forward(self.command, target, body, headers)
            if status == 412:
                content = _error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
            if status < 300 and not query and self.command in ("PUT", "GET", "HEAD"):
                generation = server.generation_of(unquote(path), is_new=self.command == "PUT")
                answered.append(("x-goog-generation", generation))
            self.reply(status, answered, content)

        def answer_in_json(self) -> None:
            """List versions, or delete one: https://docs.cloud.google.com/storage/docs/json_api/v1/objects."""
            path, _, query = self.path.partition("?")
            given = {name: values[0] for name, values in parse_qs(query).items()}
            bucket, *key = (unquote(part) for part in path.removeprefix("/storage/v1/b/").split("/o", 1))
            if self.command == "DELETE":
                name = quote(key[0].strip("/"))
                version = server.version_of(given["generation"])
                status, _, content = self.forward("DELETE", f"/{bucket}/{name}?versionId={version}", b"", {})
                self.reply(status, [], content if status >= 300 else b"")
                return
            asked = {"prefix": given["prefix"], "max-keys": given["maxResults"]}
            asked |= json.loads(given.get("pageToken", "{}"))
            status, _, content = self.forward("GET", f"/{bucket}?versions&{urlencode(asked)}", b"", {})
            page = content.decode()
            items = []
            for item in re.findall(r"<Version>(.*?)</Version>", page, re.DOTALL):
                name, version, current = (_text(tag, item) for tag in ("Key", "VersionId", "IsLatest"))
                listed = {"name": unquote(name), "generation": server.generation_of_version(version)}
                items.append(listed | ({} if current == "true" else {"timeDeleted": "2026-11-01T00:00:00Z"}))
            answer: dict[str, object] = {"items": items}
            if _text("IsTruncated", page) == "true":
                markers = {"key-marker": "NextKeyMarker", "version-id-marker": "NextVersionIdMarker"}
                answer["nextPageToken"] = json.dumps({name: _text(tag, page) for name, tag in markers.items()})
            refused = json.dumps({"error": {"code": status, "errors": [{"reason": "notFound"}]}}).encode()
            self.reply(status, [], json.dumps(answer).encode() if status < 300 else refused)

        def forward(
            self, method: str, target: str, body: bytes, headers: dict[str, str]
        ) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection(server.upstream, timeout=30)
            try:
                connection.request(method, target, body, {**headers, "authorization": "AWS key:signature"})
                response = connection.getresponse()
                return response.status, response.getheaders(), response.read()
            finally:
                connection.close()

        def reply(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else f"{len(content)}"
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

    return Handler
