"""A tombstone says of a patient whom one names that they were erased, and of nobody else anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines import tombstones
from pipelines.tombstones import ErasedPatients, Tombstone
from pmlm.errors import ErasureError
from pmlm.settings import Settings

STATED = Tombstone("", "2026-06-03T08:00:00+00:00", "A. Clerk", "request 17", ["release-1"], ["refiner-1"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "state", drops=tmp_path / "clinic", key_dir=tmp_path / "keys")


def test_an_erased_patient_is_known_by_a_hash_alone(settings: Settings) -> None:
    subject = settings.subject_id("Patient/ana")
    added = tombstones.add_tombstone(settings, subject, STATED)
    assert subject in ErasedPatients(settings)
    assert settings.subject_id("Patient/eva") not in ErasedPatients(settings)
    assert tombstones.find_tombstone(settings, subject) == added
    stored = tombstones.tombstones_path(settings).read_text()
    assert str(subject) not in stored
    assert "ana" not in stored


def test_the_hash_needs_the_clinics_key(settings: Settings, tmp_path: Path) -> None:
    subject = settings.subject_id("Patient/ana")
    tombstones.add_tombstone(settings, subject, STATED)
    stranger = Settings(home=settings.home, drops=settings.drops, key_dir=tmp_path / "other keys")
    with pytest.raises(ErasureError):
        tombstones.find_tombstone(stranger, subject)


def test_a_second_erasure_leaves_the_first_tombstone(settings: Settings) -> None:
    subject = settings.subject_id("Patient/ana")
    first = tombstones.add_tombstone(settings, subject, STATED)
    assert tombstones.add_tombstone(settings, subject, Tombstone("", "later", "B", "again")) == first
    assert tombstones.list_tombstones(settings) == [first]


@pytest.mark.parametrize("name", ["hash", "by", "at", "releases", "models"])
def test_a_changed_tombstone_is_found(settings: Settings, name: str) -> None:
    tombstones.add_tombstone(settings, 7, STATED)
    path = tombstones.tombstones_path(settings)
    stored = json.loads(path.read_text())
    stored["tombstones"][0][name] = []
    path.write_text(json.dumps(stored))
    with pytest.raises(ErasureError, match=r"tombstones\.json"):
        ErasedPatients(settings)


def test_a_model_that_learnt_from_an_erased_patient_is_known(settings: Settings) -> None:
    assert not tombstones.has_learnt(settings, "refiner-1")
    tombstones.add_tombstone(settings, 7, STATED)
    assert tombstones.has_learnt(settings, "refiner-1")
    assert not tombstones.has_learnt(settings, "refiner-2")
    assert not tombstones.has_learnt(settings, None)
