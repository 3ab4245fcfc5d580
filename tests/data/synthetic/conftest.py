"""The shipped sample read once, and two of its women made anew."""

from __future__ import annotations

import pytest

from pipelines.synthetic.synthesize import SAMPLE_SEED, synthesize
from tests.data.synthetic.clinic_folder import SAMPLE, Clinic


@pytest.fixture(scope="session")
def sample() -> Clinic:
    """The clinic shipped in examples/clinic."""
    return Clinic(SAMPLE)


@pytest.fixture(scope="session")
def two_women(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """The first two women of the shipped sample, made anew in this process."""
    folder = tmp_path_factory.mktemp("clinic") / "two"
    synthesize(2, SAMPLE_SEED, folder, processes=1)
    return Clinic(folder)
