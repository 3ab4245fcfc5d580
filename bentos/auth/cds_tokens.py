"""Check the JWT of a CDS client as CDS Hooks 2.0 specifies.

Such a token says who calls (``iss``), which service it is for (``aud``: the URL that is called), until when (``exp``),
and has no scope. An issuer is trusted for this clinic by ``PMLM_CDS_ISSUERS``, which names the key set its tokens are
checked with; a ``jku`` in the token must be that very address, so that no token chooses its own keys. It opens the CDS
services and nothing else, once (``auth.counting.used_tokens``). Source: https://cds-hooks.hl7.org/2.0/#trusting-cds-clients.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import jwt

from bentos.auth import keys
from bentos.auth.key_sets import KeySet
from bentos.auth.principal import Principal
from pmlm.errors import SettingsError, TokenError
from pmlm.settings import Settings

#: The specification: at most five minutes ahead.
LONGEST_LIFE_S = 300
LEEWAY_S = 30
LONGEST = 16 * 1024
_SCOPES = frozenset({"system/Patient.rs"})


class CdsToken(NamedTuple):
    """A valid token: its principal, its id (``jti``) and the end of its validity."""

    principal: Principal
    id: str
    until: float


class CdsVerifier:
    """Checks tokens of the CDS clients that one clinic trusts."""

    def __init__(self, settings: Settings) -> None:
        if settings.cds_issuers and not settings.cds_url:
            raise SettingsError(
                "PMLM_CDS_ISSUERS needs PMLM_CDS_URL: by which address do CDS clients know this endpoint?"
            )
        self._url = (settings.cds_url or "").rstrip("/")
        self._addresses = dict(settings.cds_issuers)
        self._keys = {issuer: KeySet(address) for issuer, address in settings.cds_issuers.items()}

    def issuer_of(self, token: str) -> str | None:
        """The trusted issuer that the token names, unverified; None for every other token."""
        if not self._keys or len(token) > LONGEST:
            return None
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.InvalidTokenError:
            return None
        return issuer if isinstance(issuer, str) and issuer in self._keys else None

    def verify(self, token: str, issuer: str, path: str) -> CdsToken:
        """Verify a token for the service at ``path``, but for replay; may fetch keys.

        :class:`TokenError` in words for the client, :class:`KeysUnavailableError` where the key set cannot be had.
        """
        claims = self._claims(token, issuer, path)
        if float(claims["exp"]) - time.time() > LONGEST_LIFE_S + LEEWAY_S:
            raise TokenError("the token lives longer than five minutes")
        if not claims["jti"]:
            raise TokenError("the token does not name itself (jti)")
        return CdsToken(Principal(issuer, _SCOPES, None), claims["jti"], float(claims["exp"]) + LEEWAY_S)

    def _claims(self, token: str, issuer: str, path: str) -> dict[str, Any]:
        key = self._key(token, issuer)
        allowed = keys.algorithms(key)
        if not allowed:
            raise TokenError("the token's key is not of a kind that is accepted")
        service = path.rstrip("/").removesuffix("/feedback")
        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(allowed),
                audience=list(dict.fromkeys([self._url + path, self._url + service])),
                issuer=issuer,
                leeway=LEEWAY_S,
                options={"require": ["iss", "aud", "exp", "iat", "jti"]},
            )
        except jwt.InvalidAudienceError:
            raise TokenError("the token is for another service: aud must be the URL that is called") from None
        except jwt.ExpiredSignatureError:
            raise TokenError("the token has expired") from None
        except jwt.InvalidTokenError:
            raise TokenError("the token is not valid here") from None

    def _key(self, token: str, issuer: str) -> Any:
        head = jwt.get_unverified_header(token)
        if not isinstance(head.get("kid"), str):
            raise TokenError("the token does not name its key (kid)")
        if head.get("jku", self._addresses[issuer]) != self._addresses[issuer]:
            raise TokenError("the token names another key set (jku) than this clinic trusts for its issuer")
        return self._keys[issuer].find(head["kid"])
