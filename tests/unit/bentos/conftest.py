"""The key server of an identity provider, for tests of tokens and of the access middleware."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.bentos.auth.clinic_tokens import KeyServer, key_server


@pytest.fixture
def keys_at() -> Iterator[KeyServer]:
    with key_server() as running:
        yield running
