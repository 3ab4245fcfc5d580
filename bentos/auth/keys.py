"""The keys that sign tokens: the clinic's own development key, and the operator's public keys.

The development key (ES256) is made on first use next to the clinic's hash key, mode 600, outside the repository. It
signs what ``pmlm token`` gives out and the one *development token* that ``pmlm up`` prints once; the public half
alone is used to check. ``PMLM_TOKEN_KEYS`` may name a folder of further public keys, ``<key id>.pem``.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pmlm.errors import SettingsError
from pmlm.settings import Settings

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

DEVELOPMENT = "development"
SCOPES = ("system/Patient.rs",)
DEVELOPMENT_HOURS = 24 * 90
RENEW_HOURS = 24
SHORTEST_RSA = 2048
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384"}


def key_path(settings: Settings) -> Path:
    """The private development key of this clinic."""
    return settings.key_dir / f"{settings.clinic}.token-key.pem"


def token_path(settings: Settings) -> Path:
    """The development token of this clinic."""
    return settings.key_dir / f"{settings.clinic}.token"


def issuer(settings: Settings) -> str:
    """What tokens signed with the development key say of their origin."""
    return f"pmlm:{settings.clinic}"


def algorithms(key: object) -> tuple[str, ...]:
    """The signature algorithms for a public key; none for a type we do not accept.

    Taken from the key, never from the token: no token can choose ``none``, or turn a public key into an HMAC secret.
    """
    if isinstance(key, rsa.RSAPublicKey):
        return ("RS256", "RS384") if key.key_size >= SHORTEST_RSA else ()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return (_CURVES[key.curve.name],)
    return ()


def public_keys(settings: Settings) -> dict[str, PublicKey]:
    """Key id → public key: the development key's and those of ``PMLM_TOKEN_KEYS``.

    :class:`SettingsError` for a file that is no public key we can use.
    """
    found: dict[str, PublicKey] = {DEVELOPMENT: _development_key(settings).public_key()}
    if settings.token_keys and not settings.token_keys.is_dir():
        raise SettingsError(f"PMLM_TOKEN_KEYS: there is no folder {settings.token_keys}")
    for path in sorted(settings.token_keys.glob("*.pem")) if settings.token_keys else ():
        found[path.stem] = _public_key(path)
    return found


def mint(settings: Settings, client: str, scopes: Iterable[str], subjects: Iterable[int] | None, hours: float) -> str:
    """Sign a token for ``client``: for all patients of the clinic, or these subjects.

    Patients are named by subject, not by reference, so that a token that is found tells nobody's id.
    """
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": issuer(settings),
        "aud": settings.audience,
        "sub": client,
        "client_id": client,
        "scope": " ".join(scopes),
        "clinic": settings.clinic,
        "iat": now,
        "nbf": now,
        "exp": now + int(hours * 3600),
        "jti": uuid.uuid4().hex,
    }
    if subjects is not None:
        claims["patients"] = [f"subject:{subject}" for subject in subjects]
    return jwt.encode(claims, _development_key(settings), algorithm="ES256", headers={"kid": DEVELOPMENT})


def development_token(settings: Settings) -> str:
    """The clinic's development token, made on first use and renewed before it expires."""
    path = token_path(settings)
    with suppress(FileNotFoundError):
        token = path.read_text().strip()
        if _hours_left(settings, token) > RENEW_HOURS:
            return token
        path.unlink()
    made = mint(settings, DEVELOPMENT, SCOPES, None, DEVELOPMENT_HOURS)
    return _write_once(path, made.encode()).decode().strip()


def take_new_token(settings: Settings) -> str | None:
    """The development token, if this is the first call since it was made; else None."""
    token = development_token(settings)
    mark = token_path(settings).with_suffix(".token-shown")
    fingerprint = hashlib.sha256(token.encode()).hexdigest()
    if mark.exists() and mark.read_text() == fingerprint:
        return None
    mark.write_text(fingerprint)
    return token


def _hours_left(settings: Settings, token: str) -> float:
    """Hours until our stored token expires; 0 where it is not valid."""
    try:
        key = _development_key(settings).public_key()
        claims = jwt.decode(token, key, ["ES256"], audience=settings.audience, issuer=issuer(settings))
    except jwt.InvalidTokenError:
        return 0.0
    return float(claims["exp"] - time.time()) / 3600


def _development_key(settings: Settings) -> ec.EllipticCurvePrivateKey:
    path = key_path(settings)
    if not path.exists():
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write_once(path, pem)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SettingsError(f"{path} is no ES256 key: move it away, a new one is made on the next start")
    return key


def _public_key(path: Path) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"PMLM_TOKEN_KEYS: {path.name} is no public key in PEM form") from None
    if not algorithms(key):
        raise SettingsError(f"PMLM_TOKEN_KEYS: {path.name} is neither RSA of {SHORTEST_RSA} bits nor ECDSA P-256/P-384")
    return key  # type: ignore[return-value]  # algorithms() has looked at its type


def _write_once(path: Path, content: bytes) -> bytes:
    """Write a secret (mode 600) unless another process was first; return the file's content."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, content)
    finally:
        os.close(handle)
    with suppress(FileExistsError):
        os.link(part, path)
    part.unlink()
    return path.read_bytes()
