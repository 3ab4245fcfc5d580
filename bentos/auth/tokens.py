"""Check a bearer token (JWT): who is its principal?

Signed by a key we know (``keys.public_keys``) or by one of the identity provider's (``PMLM_TOKEN_JWKS_URL``), meant
for this endpoint (``aud``), from the right issuer, and valid now (``exp``, ``nbf``). The audience names the clinic, so
that a token of one clinic opens nothing in another that the same provider serves. The claims ``patients`` (a list) or
``patient`` bind it to some patients of the clinic; scopes of the level ``patient`` demand such a claim.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from typing import Any

import jwt

from bentos.auth import keys
from bentos.auth.key_sets import KeySet
from bentos.auth.principal import Principal, subject_of
from bentos.auth.scopes import only_patient_level
from pmlm.errors import SettingsError, TokenError, UnknownPatientError
from pmlm.settings import Settings

LONGEST = 16 * 1024
MOST_PATIENTS = 1000
LEEWAY_S = 30
CACHE_S = 60.0  # a checked token is not checked again for so long; a key that was taken away counts until then
CACHE_SIZE = 2048
_CLIENT_CLAIMS = ("client_id", "azp", "sub")


class TokenVerifier:
    """Checks tokens for one clinic; caches those that passed for a minute."""

    def __init__(self, settings: Settings) -> None:
        sources = {"PMLM_TOKEN_JWKS_URL": settings.token_jwks_url, "PMLM_TOKEN_KEYS": settings.token_keys}
        for name, given in sources.items():
            if given and not settings.token_issuer:
                raise SettingsError(f"{name} needs PMLM_TOKEN_ISSUER: whose tokens are its keys good for?")
        self._settings = settings
        self._local = keys.public_keys(settings)
        self._jwks = KeySet(settings.token_jwks_url) if settings.token_jwks_url else None
        self._passed: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._lock = threading.Lock()

    def find_cached(self, token: str) -> Principal | None:
        """The principal of a valid token that was checked within the last minute."""
        with self._lock:
            found = self._passed.get(_digest(token))
        return found[0] if found and found[1] > time.time() else None

    def verify(self, token: str) -> Principal:
        """The principal of a token; may fetch keys, so not for an event loop.

        :class:`TokenError` explains to the client what is wrong; :class:`KeysUnavailableError` where the
        provider's keys cannot be had at the moment.
        """
        if len(token) > LONGEST:
            raise TokenError("the token is too long")
        claims = self._claims(token)
        principal = self._principal(claims)
        until = min(float(claims["exp"]) + LEEWAY_S, time.time() + CACHE_S)
        with self._lock:
            self._passed[_digest(token)] = (principal, until)
            while len(self._passed) > CACHE_SIZE:
                self._passed.popitem(last=False)
        return principal

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError:
            raise TokenError("the token is no JWT") from None
        if not isinstance(kid, str) or not kid:
            raise TokenError("the token does not name its key (kid)")
        key, issuer = self._key(kid)
        allowed = keys.algorithms(key)
        if not allowed:
            raise TokenError("the token's key is not of a kind that is accepted")
        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(allowed),
                audience=self._settings.audience,
                issuer=issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "aud", "iss"]},
            )
        except jwt.InvalidTokenError as error:
            raise TokenError(_EXPLANATIONS.get(type(error), "the token is not valid here")) from None

    def _key(self, kid: str) -> tuple[Any, str]:
        """The public key by this id and the issuer whose tokens it may sign."""
        if kid == keys.DEVELOPMENT:
            return self._local[kid], keys.issuer(self._settings)
        if self._settings.token_issuer is None:
            raise TokenError("the token's key is not known here")
        if kid in self._local:
            return self._local[kid], self._settings.token_issuer
        if self._jwks is None:
            raise TokenError("the token's key is not known here")
        return self._jwks.find(kid), self._settings.token_issuer

    def _principal(self, claims: dict[str, Any]) -> Principal:
        client = next((claims[name] for name in _CLIENT_CLAIMS if isinstance(claims.get(name), str)), "")
        if not client:
            raise TokenError("the token names no client (client_id, azp or sub)")
        if claims.get("clinic", self._settings.clinic) != self._settings.clinic:
            raise TokenError("the token is for another clinic")
        scopes, patients = _scopes(claims), self._patients(claims)
        if patients is None and only_patient_level(scopes):
            raise TokenError("a token with patient scopes must name its patient")
        return Principal(client, scopes, patients)

    def _patients(self, claims: dict[str, Any]) -> frozenset[int] | None:
        """The subjects a token is bound to; None where it names no patients at all."""
        named = [claims[name] for name in ("patients", "patient") if name in claims]
        if not named:
            return None
        references = [r for one in named for r in (one if isinstance(one, list) else [one])]
        if len(references) > MOST_PATIENTS or not all(isinstance(r, str) and r for r in references):
            raise TokenError("the token's patients must be a list of references")
        try:
            return frozenset(subject_of(self._settings, reference) for reference in references)
        except UnknownPatientError:
            raise TokenError("the token's patients must be a list of references") from None


_EXPLANATIONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is not meant for this clinic",
    jwt.InvalidIssuerError: "the token is from another issuer",
    jwt.MissingRequiredClaimError: "the token lacks a claim it must have",
    jwt.InvalidSignatureError: "the token's signature is wrong",
    jwt.InvalidAlgorithmError: "the token's algorithm is not its key's",
}


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Scopes by OAuth (``scope``, a string) or some providers (``scp``, a list)."""
    stated = claims.get("scope", claims.get("scp", ""))
    words = stated.split() if isinstance(stated, str) else stated if isinstance(stated, list) else []
    return frozenset(word for word in words if isinstance(word, str))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
