"""Synthesis: same number and seed, same bytes; no patient depends on the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.synthetic.synthesize import MANIFEST, SAMPLE_SEED, synthesize
from pmlm.errors import SettingsError
from tests.data.synthetic.clinic_folder import Clinic


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.slow
def test_same_seed_gives_the_same_bytes_with_any_number_of_processes(two_patients: Clinic, tmp_path: Path) -> None:
    synthesize(2, SAMPLE_SEED, tmp_path / "again", processes=2)
    assert contents(tmp_path / "again") == contents(two_patients.folder)


def test_shipped_sample_has_the_same_patients_line_by_line(sample: Clinic, two_patients: Clinic) -> None:
    patients = [r["id"] for _, r in two_patients.of_type("Patient")]
    assert two_patients.lines.keys() <= sample.lines.keys()
    for name, made in two_patients.lines.items():
        if "Practitioner" not in name:
            shipped = sample.lines[name][: len(made)]
            assert shipped == made
            assert not any(who in text for text in sample.lines[name][len(made) :] for who in patients)
    assert two_patients.facts == sample.facts[: len(two_patients.facts)]


def test_another_clinic_has_a_name_of_its_own(two_patients: Clinic) -> None:
    assert f"name: synthetic-2-{SAMPLE_SEED}" in (two_patients.folder / MANIFEST).read_text()


def test_folder_that_is_no_synthetic_clinic_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not a synthetic clinic"):
        synthesize(1, 1, tmp_path, processes=1)
    assert (tmp_path / "letters.txt").read_text() == "mine"
