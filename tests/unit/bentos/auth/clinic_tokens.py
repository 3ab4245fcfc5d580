"""A clinic's settings in a folder of the test, tokens as an identity provider would sign them, and its key server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from pmlm.settings import Settings

ISSUER = "https://id.example"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def clinic(folder: Path, **others: Any) -> Settings:
    """Settings of a clinic of its own."""
    return Settings(home=folder / "state", drops=folder / "st-anna", key_dir=folder / "keys", **others)


def claims(settings: Settings, **others: Any) -> dict[str, Any]:
    """Claims that pass, unless ``others`` say otherwise; a claim that is None is left out."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": settings.audience, "client_id": "app", "scope": "system/Patient.rs"}
    return {k: v for k, v in (usual | {"nbf": now, "exp": now + 300} | others).items() if v is not None}


def signed(content: dict[str, Any], key: Any = RSA, algorithm: str = "RS256", **headers: Any) -> str:
    """A token with key id ``rsa`` or ``ec`` unless ``headers`` say otherwise."""
    return jwt.encode(content, key, algorithm, headers={"kid": "ec" if key is EC else "rsa"} | headers)


@dataclass(slots=True)
class KeyServer:
    """Where it listens, what it serves, how often it was asked; ``broken``: it answers 500."""

    url: str
    keys: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    broken: bool = False


@contextmanager
def key_server() -> Iterator[KeyServer]:
    """A real JWKS endpoint with both public keys."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    known = KeyServer(f"http://127.0.0.1:{server.server_port}/jwks")
    known.keys = [
        json.loads(RSAAlgorithm.to_jwk(RSA.public_key())) | {"kid": "rsa", "use": "sig"},
        json.loads(ECAlgorithm.to_jwk(EC.public_key())) | {"kid": "ec", "use": "sig"},
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "hmac", "use": "sig"},
    ]
    server.known = known  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known: KeyServer = self.server.known  # type: ignore[attr-defined]
        known.asked += 1
        body = b"" if known.broken else json.dumps({"keys": known.keys}).encode()
        self.send_response(500 if known.broken else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""
