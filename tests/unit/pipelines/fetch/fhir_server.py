"""A FHIR server that exports: a real HTTP server with SMART Backend Services and Bulk Data, failing on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt

CLIENT, TOKEN, NOW = "pmlm-client", "access-1", "2026-06-01T02:00:00Z"


@dataclass(slots=True)
class FhirServer:
    """What it exports, how it fails, and what it was asked."""

    url: str
    files: dict[str, str]
    key: jwt.PyJWK
    polls: int = 1  # answers of 202 before the manifest
    busy: int = 0  # answers of 503 before anything else
    broken_downloads: int = 0  # downloads that break off half-way
    forgotten: int = 0  # status requests answered by 404
    empty: bool = False
    asked: list[str] = field(default_factory=list)


@contextmanager
def serve_exports(files: dict[str, str], key: jwt.PyJWK) -> Iterator[FhirServer]:
    """The server on a free port for the length of a block; ``files`` is name → NDJSON."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.daemon_threads = True
    server = FhirServer(f"http://127.0.0.1:{http.server_port}/r4", files, key)
    http.fhir = server  # type: ignore[attr-defined]
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Leave the test's output clean."""

    def do_GET(self) -> None:
        server: FhirServer = self.server.fhir  # type: ignore[attr-defined]
        server.asked.append(f"GET {self.path}")
        path = urlsplit(self.path).path.removeprefix("/r4")
        if path == "/.well-known/smart-configuration":
            return self._send(200, {"token_endpoint": f"{server.url}/token"})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._send(401, {})
        if server.busy:
            server.busy -= 1
            return self._send(503, {}, {"Retry-After": "1"})
        if path.endswith("/$export"):
            return self._send(202, {}, {"Content-Location": f"{server.url}/status"})
        if path == "/status":
            return self._status(server)
        return self._file(server, path.removeprefix("/file/"))

    def do_POST(self) -> None:
        server: FhirServer = self.server.fhir  # type: ignore[attr-defined]
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        claims = jwt.decode(
            form["client_assertion"][0], server.key.key, algorithms=["ES384"], audience=f"{server.url}/token"
        )
        good = (
            claims["iss"] == claims["sub"] == CLIENT and claims["jti"] and form["grant_type"] == ["client_credentials"]
        )
        self._send(200 if good else 400, {"access_token": TOKEN, "expires_in": 300} if good else {})

    def do_DELETE(self) -> None:
        self.server.fhir.asked.append(f"DELETE {self.path}")  # type: ignore[attr-defined]
        self._send(202, {})

    def _status(self, server: FhirServer) -> None:
        if server.forgotten:
            server.forgotten -= 1
            return self._send(404, {})
        if server.polls:
            server.polls -= 1
            return self._send(202, {}, {"Retry-After": "1", "X-Progress": "half"})
        parts: dict[str, list[dict[str, str]]] = {"output": [], "deleted": [], "error": []}
        for name in () if server.empty else server.files:
            part = name.partition("-")[0] if name.startswith(("deleted-", "error-")) else "output"
            parts[part].append({"type": name.rpartition("-")[2], "url": f"{server.url}/file/{name}"})
        self._send(200, {"transactionTime": NOW, "requiresAccessToken": True, "request": "", **parts})

    def _file(self, server: FhirServer, name: str) -> None:
        body = server.files[name].encode()
        if server.broken_downloads:
            server.broken_downloads -= 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            return self.connection.close()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
