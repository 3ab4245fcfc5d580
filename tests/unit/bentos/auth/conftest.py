"""A clinic that trusts an identity provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import ISSUER, KeyServer, clinic


@pytest.fixture
def settings(tmp_path: Path, keys_at: KeyServer) -> Settings:
    return clinic(tmp_path, token_jwks_url=keys_at.url, token_issuer=ISSUER)
