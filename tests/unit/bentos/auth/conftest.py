"""A clinic that trusts an identity provider, and the provider's key server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import ISSUER, KeyServer, clinic, key_server


@pytest.fixture
def keys_at() -> Iterator[KeyServer]:
    with key_server() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, keys_at: KeyServer) -> Settings:
    return clinic(tmp_path, token_jwks_url=keys_at.url, token_issuer=ISSUER)
