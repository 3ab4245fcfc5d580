"""The shipped sample read once, and two of its patients synthesized again."""

from __future__ import annotations

import pytest

from pipelines.synthetic.synthesize import SAMPLE_SEED, synthesize
from tests.data.synthetic.clinic_folder import SAMPLE, Clinic


@pytest.fixture(scope="session")
def sample() -> Clinic:
    """The clinic shipped in examples/clinic."""
    return Clinic(SAMPLE)


@pytest.fixture(scope="session")
def two_patients(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """The first two patients of the shipped sample, synthesized in this process."""
    folder = tmp_path_factory.mktemp("clinic") / "two"
    synthesize(2, SAMPLE_SEED, folder, processes=1)
    return Clinic(folder)
