"""Records of an erased patient are refused in every form in which they may come, counted and never stored."""

from __future__ import annotations

import json

import pytest

from pipelines import tombstones
from pipelines.records.refusals import REFUSED
from pipelines.tombstones import Tombstone
from tests.unit.pipelines.records.fhir import Clinic, bundle, observation, patient, question

OTHER = {"subject": {"reference": "Patient/eva"}}
SENT = {"reference": "https://clinic.example/fhir/Patient/ana"}
FORMS = {
    "a sound record": observation("w"),
    "her Patient resource": patient(name=[{"family": "Quibble"}]),
    "an absolute reference": observation("w", subject=SENT),
    "a message by its sender": question("q", "Am I well?", sender={"reference": "Patient/ana"}),
    "a broken line": '{"resourceType": "Observation", "subject": {"reference": "Patient/ana"}, "val',
    "a record without a subject": {"resourceType": "Observation", "id": "n", "note": [{"text": "of ana"}]},
    "a Bundle": bundle(patient(), observation("w")),
}


@pytest.fixture
def erased(clinic: Clinic) -> Clinic:
    """A clinic from which ana was erased."""
    tombstones.add_tombstone(clinic.settings, clinic.settings.subject_id("ana"), Tombstone("", "now", "a", "b"))
    return clinic


@pytest.mark.parametrize("form", FORMS)
def test_nothing_of_an_erased_patient_is_stored(erased: Clinic, form: str) -> None:
    accounts = erased.drop("2026-06-01", patient("eva"), observation("o", **OTHER), FORMS[form])
    refused = 2 if form == "a Bundle" else 1
    assert accounts.ignored_types == {REFUSED: refused}
    assert accounts.accepted + accounts.ignored + accounts.quarantined == accounts.read == 2 + refused
    assert set(erased.events()["subject_id"]) == {erased.settings.subject_id("eva")}
    assert erased.quarantined() == []
    stored = b"".join(p.read_bytes() for p in erased.settings.workspace.rglob("*") if p.is_file())
    assert b'"ana"' not in stored
    assert b"Patient/ana" not in stored


def test_broken_records_of_others_are_quarantined_as_ever(erased: Clinic) -> None:
    broken = json.dumps(observation("o", **OTHER))[:-9]
    accounts = erased.drop("2026-06-01", patient("eva"), broken)
    assert (accounts.quarantined, accounts.ignored) == (1, 0)


def test_a_clinic_without_erasures_refuses_nothing(clinic: Clinic) -> None:
    accounts = clinic.drop("2026-06-01", patient(), observation("w"))
    assert (accounts.accepted, accounts.ignored_types) == (2, {})
