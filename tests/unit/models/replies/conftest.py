"""The sentence encoder, loaded once."""

from __future__ import annotations

import pytest

from models.encoder import MiniLM


@pytest.fixture(scope="session")
def encoder() -> MiniLM:
    return MiniLM()
