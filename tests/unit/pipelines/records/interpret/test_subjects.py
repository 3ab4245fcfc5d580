"""A value of a fetus, newborn, donor or relative never becomes the patient's; each is counted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.pipelines.records.fhir import (
    FIRST,
    ICD10,
    LOINC,
    SNOMED,
    Clinic,
    concept,
    condition,
    observation,
    patient,
    without,
)

FOCUS_CODE = "http://hl7.org/fhir/StructureDefinition/observation-focusCode"
BIRTH_PROFILE = "http://hl7.org/fhir/us/bfdr/StructureDefinition/Observation-birth-weight"

OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "focus on a structure": ("Observation of fetus", {"focus": [{"reference": "BodyStructure/fetus-2"}]}),
    "focus by display": ("Observation of newborn", {"focus": [{"display": "Newborn, girl"}]}),
    "focus on a person": ("Observation of another subject", {"focus": [{"reference": "RelatedPerson/p"}]}),
    "focus on another patient": ("Observation of another subject", {"focus": [{"reference": "Patient/eve"}]}),
    "focus by code": (
        "Observation of fetus",
        {"extension": [{"url": FOCUS_CODE, "valueCodeableConcept": concept(SNOMED, "83418008")}]},
    ),
    "specimen of another": ("Observation of another subject", {"specimen": {"reference": "Specimen/eves"}}),
    "specimen of a fetus": ("Observation of fetus", {"specimen": {"reference": "Specimen/cord"}}),
    "specimen by display": ("Observation of donor", {"specimen": {"display": "Donor serum"}}),
    "contained specimen": (
        "Observation of fetus",
        {
            "specimen": {"reference": "#s"},
            "contained": [{"resourceType": "Specimen", "id": "s", "type": {"text": "Umbilical artery blood"}}],
        },
    ),
    "profile": ("Observation of newborn", {"meta": {"profile": [BIRTH_PROFILE]}}),
    "display": ("Observation of fetus", {"code": concept(LOINC, "8867-4", "Foetal heart rate")}),
    "code": ("Observation of fetus", {"code": concept(LOINC, "55283-6")}),
    "body site": ("Observation of fetus", {"bodySite": concept(SNOMED, "83418008", "Fetus")}),
    "a group": ("Observation of a Group", {"subject": {"reference": "Group/mothers"}}),
    "a partner": ("Observation of a RelatedPerson", {"subject": {"reference": "RelatedPerson/p"}}),
}
SPECIMENS = (
    {"resourceType": "Specimen", "id": "own", "subject": {"reference": "Patient/ana"}, "type": {"text": "Serum"}},
    {"resourceType": "Specimen", "id": "eves", "subject": {"reference": "Patient/eve"}},
    {
        "resourceType": "Specimen",
        "id": "cord",
        "subject": {"reference": "Patient/ana"},
        "type": concept(SNOMED, "122556008"),
    },
)


@pytest.mark.parametrize(("counted", "fields"), OTHERS.values(), ids=OTHERS)
def test_a_value_of_another_is_counted_and_no_fact(clinic: Clinic, counted: str, fields: dict[str, Any]) -> None:
    accounts = clinic.drop(FIRST, patient(), patient("eve"), *SPECIMENS, observation("x") | fields)

    assert accounts.ignored_types == {"Specimen": 3, counted: 1}
    assert clinic.events("observation").is_empty()


OWN: dict[str, dict[str, Any]] = {
    "focus on herself": {"focus": [{"reference": "Patient/ana"}]},
    "focus on her encounter": {"focus": [{"reference": "Encounter/e1"}]},
    "own specimen": {"specimen": {"reference": "Specimen/own"}},
    "specimen in no drop": {"specimen": {"reference": "Specimen/elsewhere"}},
    "own site": {"bodySite": concept(SNOMED, "40983000", "Upper arm")},
    "usual profile": {"meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/bodyweight"]}},
}


@pytest.mark.parametrize("fields", OWN.values(), ids=OWN)
def test_the_patients_own_value_stays_hers(clinic: Clinic, fields: dict[str, Any]) -> None:
    clinic.drop(FIRST, patient(), patient("eve"), *SPECIMENS, observation("x") | fields)

    assert clinic.event("observation")["numeric_value"] == pytest.approx(61.5)


def test_a_value_found_to_be_the_fetuss_is_taken_back(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("x"))
    clinic.drop("2026-06-02", observation("x", focus=[{"reference": "BodyStructure/fetus"}]))

    assert len(clinic.events("deleted")) == 1


def test_of_a_panel_the_fetuss_components_are_left_out(clinic: Clinic) -> None:
    parts = [
        {"code": concept(LOINC, code, name), "valueQuantity": {"value": value, "unit": "/min", "code": "/min"}}
        for code, name, value in (("8867-4", "Heart rate", 78), ("55283-6", "Fetal heart rate", 142))
    ]
    clinic.drop(FIRST, patient(), without(observation("x", "85353-1"), "valueQuantity") | {"component": parts})

    assert clinic.event("observation")["numeric_value"] == 78


RELATIVES = {
    "ICD-10-CM Z83.3": concept(ICD10, "Z83.3", "Family history of diabetes mellitus"),
    "ICD-10-CM without a dot": concept(ICD10, "Z803"),
    "SNOMED": concept(SNOMED, "416471007"),
    "words": concept(SNOMED, "429959009", "Family history of heart failure"),
    "text": {"text": "FH: breast cancer"},
}


@pytest.mark.parametrize("code", RELATIVES.values(), ids=RELATIVES)
def test_a_family_history_is_no_condition_of_the_patient(clinic: Clinic, code: dict[str, Any]) -> None:
    accounts = clinic.drop(FIRST, patient(), condition("x", code=code))

    assert accounts.ignored_types == {"Condition of relative": 1}
    assert clinic.events("condition").is_empty()
