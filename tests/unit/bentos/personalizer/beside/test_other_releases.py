"""Who is of a canary's share: the same patients every time, as many as the share says, and none leaves as it grows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentos.personalizer.beside.other_releases import is_of_canary
from pmlm.settings import Settings, load_settings


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root: Path = tmp_path_factory.mktemp("canary")
    return load_settings(home=root / "state", drops=root / "drops", key_dir=root / "keys")


def share(clinic: Settings, of: float) -> Settings:
    return clinic.model_copy(update={"canary_share": of})


@given(subject=st.integers(1, (1 << 63) - 1), small=st.floats(0, 1), large=st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_a_larger_share_contains_the_smaller_one(clinic: Settings, subject: int, small: float, large: float) -> None:
    small, large = sorted((small, large))
    assert is_of_canary(share(clinic, large), subject) >= is_of_canary(share(clinic, small), subject)


@pytest.mark.parametrize(("of", "at_least", "at_most"), [(0.0, 0, 0), (0.1, 150, 250), (1.0, 2000, 2000)])
def test_the_share_is_what_is_asked_for(clinic: Settings, of: float, at_least: int, at_most: int) -> None:
    chosen = [is_of_canary(share(clinic, of), subject) for subject in range(1, 2001)]
    assert at_least <= sum(chosen) <= at_most
    assert chosen == [is_of_canary(share(clinic, of), subject) for subject in range(1, 2001)]
