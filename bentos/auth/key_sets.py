"""An identity provider's key set, fetched when needed, left alone after a failure."""

from __future__ import annotations

import time
from typing import Any

import jwt
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError

from pmlm.errors import KeysUnavailableError, TokenError

TIMEOUT_S = 5.0
LIFESPAN_S = 300.0
#: After a failure nobody asks for so long.
RESTS_S = 10.0


class KeySet:
    """The keys at one URL, by their id."""

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, lifespan=LIFESPAN_S, timeout=TIMEOUT_S)
        self._failed_at = float("-inf")
        self._found: dict[str, tuple[Any, float]] = {}  # the provider's own keys alone, so there are few

    def find(self, kid: str) -> Any:
        """The public key of this id; :class:`TokenError` where there is none, may fetch the set.

        :class:`KeysUnavailableError` where the set cannot be had.
        """
        key, at = self._found.get(kid, (None, float("-inf")))
        if time.monotonic() - at < LIFESPAN_S:  # no failure that another token has caused stands in its way
            return key
        if time.monotonic() - self._failed_at < RESTS_S:
            raise KeysUnavailableError("the keys that tokens are checked with cannot be had at the moment")
        try:
            key = self._client.get_signing_key(kid).key  # for an unknown id it asks again, but not soon
        except PyJWKClientConnectionError:
            self._failed_at = time.monotonic()
            raise KeysUnavailableError("the keys that tokens are checked with cannot be had at the moment") from None
        except (PyJWKClientError, jwt.PyJWTError, ValueError):
            raise TokenError("the token's key is not known here") from None
        self._found[kid] = (key, time.monotonic())
        return key
