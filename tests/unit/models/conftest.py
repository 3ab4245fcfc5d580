"""Shared by the method's tests: the real encoder and embedded LLM, loaded once per session."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.encoder import MiniLM
from models.llm import unpack_embedded_llm
from models.reward.embedded_scorer import EmbeddedScorer
from pmlm.settings import load_settings


@pytest.fixture(scope="session")
def encoder() -> MiniLM:
    return MiniLM()


@pytest.fixture(scope="session")
def llm_folder() -> Path:
    """The embedded LLM, unpacked where the product keeps it."""
    return unpack_embedded_llm(load_settings().embedded_llm)


@pytest.fixture(scope="session")
def scorer(llm_folder: Path) -> EmbeddedScorer:
    return EmbeddedScorer(llm_folder)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
