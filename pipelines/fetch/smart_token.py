"""Gets access tokens of a FHIR server by SMART Backend Services.

Source: HL7 SMART App Launch 2.2.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jwt

from pmlm.errors import FetchError

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = "system/*.rs"
#: Seconds that an assertion is valid; five minutes is the specification's maximum.
LIFETIME = 240
#: A token is renewed this many seconds before it expires.
MARGIN = 30


@dataclass(slots=True)
class SmartToken:
    """A bearer token that renews itself; none where no client is registered."""

    base_url: str
    client_id: str | None
    key_file: Path | None
    _value: str | None = field(default=None, init=False)
    _expires: float = field(default=0.0, init=False)

    def make_header(self, http: httpx.Client) -> dict[str, str]:
        """The ``Authorization`` header, empty without a client. Raises ``FetchError``."""
        if self.client_id is None:
            return {}
        if time.time() > self._expires - MARGIN:
            self._request(http)
        return {"Authorization": f"Bearer {self._value}"}

    def _request(self, http: httpx.Client) -> None:
        found = http.get(f"{self.base_url}/.well-known/smart-configuration")
        address = found.json().get("token_endpoint") if found.is_success else None
        if not isinstance(address, str):
            raise FetchError("the FHIR server names no token endpoint in .well-known/smart-configuration")
        form = {
            "grant_type": "client_credentials",
            "scope": SCOPE,
            "client_assertion_type": ASSERTION,
            "client_assertion": self._sign(address),
        }
        answer = http.post(address, data=form)
        if not answer.is_success or "access_token" not in answer.json():
            raise FetchError(f"the FHIR server's token endpoint refused the client ({answer.status_code})")
        self._value = str(answer.json()["access_token"])
        self._expires = time.time() + float(answer.json().get("expires_in", 300))

    def _sign(self, audience: str) -> str:
        """The client's assertion: its private JWK signs who asks, whom, and until when."""
        key = read_key(self.key_file)
        now = int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": audience, "exp": now + LIFETIME, "iat": now,
                  "jti": str(uuid.uuid4())}  # fmt: skip
        return jwt.encode(claims, key.key, algorithm=key.algorithm_name, headers={"kid": key.key_id})


def read_key(file: Path | None) -> jwt.PyJWK:
    """The private key in JWK format, RS384 or ES384. Raises ``FetchError``."""
    if file is None:
        raise FetchError("PMLM_SOURCE_CLIENT_ID needs PMLM_SOURCE_KEY, the file of the client's private JWK")
    try:
        key = jwt.PyJWK.from_json(file.read_text())
    except (OSError, ValueError, jwt.PyJWTError) as error:
        raise FetchError(f"PMLM_SOURCE_KEY: {file.name} is no readable private JWK") from error
    if key.algorithm_name not in ("RS384", "ES384"):
        raise FetchError(f"PMLM_SOURCE_KEY: algorithm {key.algorithm_name}; RS384 or ES384 is needed")
    return key
