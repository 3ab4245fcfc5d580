"""Suspected, refuted, absent and bounded: what is not certain is not recorded as certain."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.pipelines.records.fhir import (
    FIRST,
    ICD10,
    RXNORM,
    SNOMED,
    Clinic,
    allergy,
    concept,
    condition,
    medication_request,
    observation,
    patient,
    procedure,
)

IPS = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
GM = "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit"


def status(code: str) -> dict[str, Any]:
    return {"coding": [{"code": code}]}


@pytest.mark.parametrize("code", ["unconfirmed", "provisional", "differential"])
def test_an_unproven_condition_is_suspected(clinic: Clinic, code: str) -> None:
    clinic.drop(FIRST, patient(), condition(verificationStatus=status(code)))
    assert clinic.event("condition.suspected")["text_value"] == "Gestational diabetes"
    assert clinic.events("condition").is_empty()

    clinic.drop("2026-06-02", condition(verificationStatus=status("confirmed")))
    assert clinic.event("condition")["record"] == clinic.event("condition.suspected")["record"]


@pytest.mark.parametrize("code", ["refuted", "entered-in-error"])
def test_a_refuted_condition_is_none(clinic: Clinic, code: str) -> None:
    clinic.drop(FIRST, patient(), condition(verificationStatus=status(code)))

    assert set(clinic.events()["kind"]) == {"patient"}


def test_a_suspicion_that_is_over_is_none(clinic: Clinic) -> None:
    clinic.drop(
        FIRST, patient(), condition(verificationStatus=status("provisional"), clinicalStatus=status("resolved"))
    )

    assert set(clinic.events()["kind"]) == {"patient"}


@pytest.mark.parametrize(("code", "kinds"), [("V", {"condition.suspected"}), ("A", set()), ("G", {"condition"})])
def test_the_german_certainty_of_a_code_counts(clinic: Clinic, code: str, kinds: set[str]) -> None:
    coded = concept(ICD10, "O24.4", "Gestational diabetes")
    coded["coding"][0]["extension"] = [{"url": GM, "valueCoding": {"code": code}}]
    clinic.drop(FIRST, patient(), condition(code=coded))

    assert set(clinic.events()["kind"]) == {"patient"} | kinds


@pytest.mark.parametrize("category", ["medication", "food", "environment"])
def test_an_unconfirmed_allergy_stays_an_allergy(clinic: Clinic, category: str) -> None:
    unsure = allergy(verificationStatus=status("unconfirmed"), category=[category], code={"text": "Peanut"})
    clinic.drop(FIRST, patient(), unsure)

    assert clinic.event(f"allergy.unconfirmed.{category}")["text_value"] == "Peanut"


NOTHING: dict[str, Any] = {
    "SNOMED": allergy(code=concept(SNOMED, "716186003", "No known allergy")),
    "SNOMED, drugs": allergy(code=concept(SNOMED, "409137002")),
    "IPS": allergy(code=concept(IPS, "no-known-medication-allergies")),
    "IPS, no information": allergy(code=concept(IPS, "no-allergy-info", "No information about allergies")),
    "NKDA": allergy(code={"text": "NKDA"}),
    "words": allergy(code={"text": "No known drug allergies."}),
    "a problem list": condition(code=concept(IPS, "no-known-problems")),
    "procedures": procedure(code=concept(IPS, "no-known-procedures")),
    "medicines": medication_request(medicationCodeableConcept=concept(IPS, "no-known-medications")),
}


@pytest.mark.parametrize("resource", NOTHING.values(), ids=NOTHING)
def test_the_statement_that_there_is_nothing_is_no_fact(clinic: Clinic, resource: dict[str, Any]) -> None:
    accounts = clinic.drop(FIRST, patient(), resource)

    assert accounts.accepted == 2
    assert set(clinic.events()["kind"]) == {"patient"}


@pytest.mark.parametrize("text", ["No known allergies except penicillin", "Nonoxinol", "Latex, no known reaction"])
def test_words_that_name_an_allergy_are_one(clinic: Clinic, text: str) -> None:
    clinic.drop(FIRST, patient(), allergy(code={"text": text}))

    assert clinic.event("allergy.medication")["text_value"] == text


@pytest.mark.parametrize("comparator", ["<", "<=", ">=", ">", "ad"])
def test_a_comparator_stays_with_its_number(clinic: Clinic, comparator: str) -> None:
    bound = {"value": 33.3, "unit": "mmol/L", "code": "mmol/L", "comparator": comparator}
    clinic.drop(FIRST, patient(), observation("g", "15074-8", valueQuantity=bound))

    fact = clinic.event("observation")
    assert (round(fact["numeric_value"]), fact["unit"], fact["text_value"]) == (600, "mg/dL", comparator)


@pytest.mark.parametrize("state", ["registered", "cancelled", "entered-in-error"])
def test_an_observation_without_a_result_is_no_value(clinic: Clinic, state: str) -> None:
    clinic.drop(FIRST, patient(), observation("w", status=state))

    assert clinic.events("observation").is_empty()


def test_a_preliminary_value_counts_until_the_final_one(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", status="preliminary", value=61.0))
    clinic.drop("2026-06-02", observation("w", value=62.0))

    assert clinic.events("observation").sort("known_at")["numeric_value"].to_list() == [61.0, 62.0]


def test_a_preliminary_value_says_so_beside_its_comparator(clinic: Clinic) -> None:
    bound = {"value": 600, "unit": "mg/dL", "code": "mg/dL", "comparator": ">"}
    early = [
        observation("w", status="preliminary"),
        observation("g", "2339-0", valueQuantity=bound, status="preliminary"),
    ]
    clinic.drop(FIRST, patient(), *early)
    assert set(clinic.events("observation")["text_value"]) == {"preliminary", "> preliminary"}

    clinic.drop("2026-06-02", observation("w"))
    assert clinic.events("observation").filter(code="LOINC//29463-7").sort("known_at")["text_value"].to_list() == [
        "preliminary",
        None,
    ]


NOT_DONE = {
    "procedure stopped": procedure(status="stopped"),
    "procedure on hold": procedure(status="on-hold"),
    "procedure not done": procedure(status="not-done"),
    "forbidden medicine": medication_request(doNotPerform=True),
    "proposed medicine": medication_request(intent="proposal"),
    "draft medicine": medication_request(status="draft"),
}


@pytest.mark.parametrize("resource", NOT_DONE.values(), ids=NOT_DONE)
def test_what_was_not_done_or_ordered_is_no_fact(clinic: Clinic, resource: dict[str, Any]) -> None:
    clinic.drop(FIRST, patient(), resource)

    assert set(clinic.events()["kind"]) == {"patient"}


def test_a_medicine_on_hold_is_not_taken(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), medication_request())
    clinic.drop("2026-06-02", medication_request(status="on-hold"))

    assert len(clinic.events("medicine.end")) == 1


@pytest.mark.parametrize(
    "written", ["2026-08-05T00:00:00+02:00", "2026-08-05T23:30:00-07:00", "2026-08-05", "2026-08", "2026"]
)
def test_a_date_stays_as_written(clinic: Clinic, written: str) -> None:
    dated = {k: v for k, v in observation("e", "11778-8").items() if k != "valueQuantity"} | {"valueDateTime": written}
    clinic.drop(FIRST, patient(), dated)

    assert clinic.event("observation")["text_value"] == written[:10]  # an offset moves no calendar date


def test_a_confirmed_allergy_keeps_its_name(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), allergy(code=concept(RXNORM, "7980", "Penicillin G")))

    assert clinic.event("allergy.medication")["text_value"] == "Penicillin G"
