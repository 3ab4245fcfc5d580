"""Options of a clinic: its manifest records them, and its name tells it from the same clinic without."""

from pathlib import Path

import pytest

from pipelines.synthetic import synthesize
from pipelines.synthetic.patient import SyntheticPatient
from pipelines.synthetic.records.options import MECHANISMS, SAMPLE_OPTIONS, ClinicOptions
from pmlm.settings import Manifest, Settings

EVERYTHING = ClinicOptions(frozenset(MECHANISMS), spread_pregnancies=True, second_writer=True)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patients without a record, so that no record is generated."""
    monkeypatch.setattr(synthesize, "_generate_patients", lambda make, processes: iter([SyntheticPatient(0, (), ())]))


def write(folder: Path, options: ClinicOptions) -> Manifest:
    synthesize.synthesize(1, 7, folder, processes=1, options=options)
    return Settings(drops=folder).manifest


@pytest.mark.usefixtures("nobody")
def test_the_manifest_records_number_seed_and_options(tmp_path: Path) -> None:
    assert write(tmp_path / "all", EVERYTHING).synthesis == {
        "patients": 1,
        "seed": 7,
        "mechanisms": list(MECHANISMS),
        "spread_pregnancies": True,
        "second_writer": True,
    }
    assert write(tmp_path / "none", SAMPLE_OPTIONS).synthesis == {}


@pytest.mark.usefixtures("nobody")
def test_a_clinic_with_options_has_another_name_and_so_another_state(tmp_path: Path) -> None:
    choices = [
        SAMPLE_OPTIONS,
        EVERYTHING,
        ClinicOptions(second_writer=True),
        *(ClinicOptions(frozenset({name})) for name in MECHANISMS),
    ]
    names = {write(tmp_path / str(n), options).name for n, options in enumerate(choices)}
    assert len(names) == len(choices)
    assert "synthetic-1-7" in names
