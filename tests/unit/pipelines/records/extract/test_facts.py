"""The events of each resource type, in the forms that real generators write."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.pipelines.records.fhir import (
    FIRST,
    ICD10,
    LOINC,
    RXNORM,
    SNOMED,
    Clinic,
    allergy,
    bundle,
    concept,
    condition,
    encounter,
    medication_request,
    observation,
    patient,
    procedure,
    question,
    rating,
    reply,
    without,
)

URN = "urn:uuid:5a8f7a3e-1111-4222-8333-444455556666"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_patient_has_events_of_birth_language_and_death(clinic: Clinic) -> None:
    chinese = [{"language": concept("urn:ietf:bcp:47", "zh-CN")}]
    clinic.drop(FIRST, patient(communication=chinese, deceasedBoolean=True))

    facts = {e["code"]: e for e in clinic.events("patient").to_dicts()}
    assert facts["MEDS_BIRTH"]["time"] == at("1990-03-04")
    assert facts["PMLM//LANGUAGE"]["text_value"] == "zh"
    assert facts["MEDS_DEATH"]["time"] == at("2026-06-01T23:59:59")


@pytest.mark.parametrize(
    ("reference", "ident"),
    [
        ("Patient/ana", "ana"),
        ("https://fhir.hospital.example/r4/Patient/ana", "ana"),
        ("Patient/ana/_history/3", "ana"),
        (URN, URN.removeprefix("urn:uuid:")),
    ],
)
def test_every_form_of_reference_leads_to_the_same_patient(clinic: Clinic, reference: str, ident: str) -> None:
    clinic.drop(FIRST, patient(ident), observation("w", subject={"reference": reference}))

    assert clinic.event("observation")["subject_id"] == clinic.settings.subject_id(ident)


def test_a_signal_comes_in_its_own_unit(clinic: Clinic) -> None:
    glucose = observation("g", "15074-8", 5.0, "mmol/L")
    only_code = observation("w", valueQuantity={"value": 132.0, "code": "[lb_av]"})
    clinic.drop(FIRST, patient(), glucose, only_code)

    facts = {e["code"]: e for e in clinic.events("observation").to_dicts()}
    assert facts["LOINC//15074-8"]["numeric_value"] == pytest.approx(90.078, abs=1e-3)
    assert facts["LOINC//15074-8"]["unit"] == "mg/dL"
    assert facts["LOINC//29463-7"]["numeric_value"] == pytest.approx(59.874, abs=1e-3)


def test_a_blood_pressure_panel_is_one_fact_a_component(clinic: Clinic) -> None:
    parts = [
        {"code": concept(LOINC, code), "valueQuantity": {"value": value, "unit": "mmHg", "code": "mm[Hg]"}}
        for code, value in (("8480-6", 118), ("8462-4", 76))
    ]
    clinic.drop(FIRST, patient(), without(observation("bp", "85354-9"), "valueQuantity") | {"component": parts})

    facts = clinic.events("observation")
    assert dict(facts.select("code", "numeric_value").iter_rows()) == {"LOINC//8480-6": 118, "LOINC//8462-4": 76}
    assert facts["record"].n_unique() == 2
    assert facts["source"].n_unique() == 1


@pytest.mark.parametrize(
    ("value", "number", "text"),
    [
        ({"valueInteger": 3}, 3.0, None),
        ({"valueBoolean": False}, None, "false"),
        ({"valueCodeableConcept": concept(SNOMED, "266919005", "Never smoked")}, None, "Never smoked"),
        ({"valueDateTime": "2026-11-20"}, None, "2026-11-20"),
    ],
)
def test_values_that_are_no_quantity(clinic: Clinic, value: dict, number: float | None, text: str | None) -> None:
    clinic.drop(FIRST, patient(), without(observation("o", "11778-8"), "valueQuantity") | value)

    fact = clinic.event("observation")
    assert (fact["numeric_value"], fact["text_value"]) == (number, text)


def test_a_string_or_an_absent_value_passes_without_a_fact(clinic: Clinic) -> None:
    text = without(observation("s"), "valueQuantity") | {"valueString": "6503 Gamez Neck"}
    absent = without(observation("d"), "valueQuantity") | {"dataAbsentReason": {"text": "not done"}}

    assert clinic.drop(FIRST, patient(), text, absent).accepted == 3
    assert clinic.events("observation").is_empty()


def test_a_measurement_without_a_time_is_not_of_the_drops_day(clinic: Clinic) -> None:
    undated = without(observation("u"), "effectiveDateTime")
    issued = undated | {"id": "i", "issued": "2026-05-20T10:00:00Z"}
    group = without(undated, "valueQuantity") | {
        "id": "g",
        "code": concept(LOINC, "883-9"),
        "valueCodeableConcept": concept(SNOMED, "112144000", "Blood group A"),
    }
    accounts = clinic.drop(FIRST, patient(), undated, issued, group)

    assert accounts.ignored_types == {"Observation of unknown time": 1}
    weight, lasting = clinic.events("observation").sort("code")["code"].to_list()
    assert (weight, lasting) == ("LOINC//29463-7", "LOINC//883-9")


def test_an_effective_period_counts_from_its_start_and_a_partial_date_too(clinic: Clinic) -> None:
    period = without(observation("p"), "effectiveDateTime") | {
        "effectivePeriod": {"start": "2026-05-03T10:00:00+02:00", "end": "2026-05-04"}
    }
    clinic.drop(FIRST, patient(), period, condition(onsetDateTime="2024-05"))

    assert clinic.event("observation")["time"] == at("2026-05-03T08:00")
    assert clinic.event("condition")["time"] == at("2024-05-01")


def test_of_several_codings_the_one_that_is_understood_is_taken(clinic: Clinic) -> None:
    both = {
        "coding": [
            {"system": "http://hospital.example/codes", "code": "GDM1"},
            {"system": ICD10, "code": "O244", "display": "Gestational\ndiabetes \u202e mellitus"},
        ]
    }
    clinic.drop(FIRST, patient(), condition(code=both))

    fact = clinic.event("condition")
    assert (fact["code"], fact["text_value"]) == ("ICD10//O24.4", "Gestational diabetes mellitus")


def test_a_condition_that_is_over_ends_at_its_abatement(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), condition(abatementDateTime="2026-04-30", recordedDate="2026-04-10"))

    start, end = clinic.event("condition"), clinic.event("condition.end")
    assert (end["time"], end["text_value"], end["parent"]) == (at("2026-04-30"), start["code"], start["record"])
    assert (start["known_at"], end["known_at"]) == (at("2026-04-10"), at("2026-04-30"))


def test_a_condition_over_within_a_day_is_not_reversed(clinic: Clinic) -> None:
    short = condition(onsetDateTime="2026-04-30T11:00:00Z", abatementDateTime="2026-04-30")

    assert clinic.drop(FIRST, patient(), short).quarantined == 0
    assert clinic.event("condition.end")["time"] == at("2026-04-30T11:00")


def test_a_refuted_condition_is_no_fact(clinic: Clinic) -> None:
    refuted = condition(verificationStatus={"coding": [{"code": "refuted"}]})

    assert clinic.drop(FIRST, patient(), refuted).accepted == 2
    assert clinic.events("condition").is_empty()


def test_a_drug_by_reference_is_found_beside_in_the_drop_or_in_an_earlier_one(clinic: Clinic) -> None:
    drug = {"resourceType": "Medication", "id": "iron", "code": concept(RXNORM, "310325", "ferrous sulfate")}
    bare = without(medication_request(), "medicationCodeableConcept")
    contained = bare | {"id": "a", "contained": [drug], "medicationReference": {"reference": "#iron"}}
    beside = bare | {"id": "b", "medicationReference": {"reference": "Medication/iron"}}
    clinic.drop(FIRST, patient(), contained, beside, drug)
    clinic.drop("2026-06-02", beside | {"id": "c"})

    assert clinic.events("medicine")["code"].to_list() == ["RXNORM//310325"] * 3


def test_a_finished_supply_ends_the_medicine(clinic: Clinic) -> None:
    supply = {"expectedSupplyDuration": {"value": 10, "unit": "days", "code": "d"}}
    clinic.drop(FIRST, patient(), medication_request(status="completed", dispenseRequest=supply))

    assert clinic.event("medicine.end")["time"] == at("2026-05-12T09:00")


def _timing(**repeat: Any) -> dict[str, Any]:
    return {"dosageInstruction": [{"timing": {"repeat": repeat}}]}


@pytest.mark.parametrize(
    ("more", "days"),
    [
        ({}, None),
        ({"dispenseRequest": {"expectedSupplyDuration": {"value": 30, "code": "d"}}}, 30),
        ({"dispenseRequest": {"expectedSupplyDuration": {"value": 4, "unit": "weeks"}}}, 28),
        ({"dispenseRequest": {"expectedSupplyDuration": {"value": 1, "code": "mo"}, "numberOfRepeatsAllowed": 2}}, 90),
        ({"dispenseRequest": {"expectedSupplyDuration": {"value": 3, "code": "furlong"}}}, None),
        ({"dispenseRequest": {"validityPeriod": {"start": "2026-05-02", "end": "2026-05-12"}}}, 11),
        ({"dispenseRequest": {"validityPeriod": {"end": "2027-05-02T09:00:00Z"}}}, 365),
        ({"dispenseRequest": {"validityPeriod": {"end": "2026-01-01"}}}, None),
        (
            {
                "dispenseRequest": {
                    "validityPeriod": {"end": "2027-05-02T09:00:00Z"},
                    "expectedSupplyDuration": {"value": 30, "code": "d"},
                    "numberOfRepeatsAllowed": 0,
                }
            },
            30,
        ),
        (_timing(boundsDuration={"value": 7, "code": "d"}), 7),
        (_timing(boundsPeriod={"start": "2026-05-02", "end": "2026-05-12T09:00:00Z"}), 10),
        (_timing(boundsRange={"low": {"value": 5, "code": "d"}, "high": {"value": 1, "code": "wk"}}), 7),
        (_timing(frequency=2), None),
    ],
)
def test_an_order_says_for_how_many_days_it_supplies(clinic: Clinic, more: dict[str, Any], days: float | None) -> None:
    assert clinic.drop(FIRST, patient(), medication_request(**more)).quarantined == 0
    found = clinic.event("medicine")
    assert (found["numeric_value"], found["unit"]) == (days, None if days is None else "d")


def _use(kind: str, ident: str, **more: Any) -> dict[str, Any]:
    drug = medication_request()["medicationCodeableConcept"]
    patient_of = {"subject": {"reference": "Patient/ana"}}
    return {"resourceType": kind, "id": ident, "medicationCodeableConcept": drug, **patient_of, **more}


def test_medicines_said_handed_out_and_given_are_medicines_with_their_supply(clinic: Clinic) -> None:
    said = _use("MedicationStatement", "s", status="active", effectiveDateTime="2020-01-01", dateAsserted="2026-05-01")
    handed = _use(
        "MedicationDispense", "d", status="completed", whenHandedOver="2026-05-03", daysSupply={"value": 90},
        authorizingPrescription=[{"reference": "MedicationRequest/m1"}],
    )  # fmt: skip
    handed["daysSupply"] |= {"code": "d"}
    given = _use("MedicationAdministration", "g", status="completed", effectiveDateTime="2026-05-04T10:00:00Z")
    denied = _use("MedicationStatement", "n", status="not-taken")
    refused = _use("MedicationAdministration", "r", status="not-done", effectiveDateTime="2026-05-04")
    accounts = clinic.drop(FIRST, patient(), said, handed, given, denied, refused)

    assert (accounts.accepted, accounts.quarantined) == (6, 0)
    found = clinic.events("medicine").sort("time")
    assert found["time"].to_list() == [at("2026-05-01"), at("2026-05-03"), at("2026-05-04T10:00")]
    assert found["numeric_value"].to_list() == [None, 90, 1]
    assert found["parent"].to_list() == [None, clinic.settings.pseudonym("MedicationRequest", "m1"), None]


def test_a_statement_that_is_over_has_its_end(clinic: Clinic) -> None:
    over = {"effectivePeriod": {"start": "2026-01-01", "end": "2026-02-01T12:00:00Z"}, "dateAsserted": "2026-05-01"}
    clinic.drop(FIRST, patient(), _use("MedicationStatement", "s", status="active", **over))

    assert clinic.event("medicine.end")["time"] == at("2026-02-01T12:00")


def test_what_is_only_proposed_is_not_taken(clinic: Clinic) -> None:
    assert clinic.drop(FIRST, patient(), medication_request(intent="proposal")).accepted == 2
    assert clinic.events("medicine").is_empty()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "encounter"),
        ({"status": "cancelled"}, "encounter.missed"),
        ({"class": {"code": "EMER"}}, "encounter.emergency"),
        ({"type": [concept(SNOMED, "50849002", "Emergency room admission")]}, "encounter.emergency"),
    ],
)
def test_visits_missed_visits_and_emergencies_are_distinguished(clinic: Clinic, change: dict, kind: str) -> None:
    clinic.drop(FIRST, patient(), encounter(**change))

    assert clinic.event(kind)["encounter_id"] == clinic.settings.pseudonym("Encounter", "e1")


def test_a_drug_allergy_is_never_filed_as_another_kind(clinic: Clinic) -> None:
    no_category = without(allergy("b", code=concept(SNOMED, "91936005", "Allergy to penicillin")), "category")
    clinic.drop(FIRST, patient(), allergy("a"), no_category)

    assert len(clinic.events("allergy.medication")) == 2


def test_no_known_allergy_is_no_allergy(clinic: Clinic) -> None:
    none = allergy(code=concept(SNOMED, "716186003", "No known allergy"))

    assert clinic.drop(FIRST, patient(), none).accepted == 2
    assert clinic.events().filter(kind="allergy.medication").is_empty()


def test_a_rating_answers_its_reply_and_a_reply_its_question(clinic: Clinic) -> None:
    asked = question("q", "May I fly?", payload=[{"contentString": "May I fly?"}, {"contentString": "To Rome."}])
    clinic.drop(FIRST, patient(), rating("s", "r", 4), reply("r", "q", "Yes, until 36 weeks."), asked)

    fact, answer, stars = clinic.event("question"), clinic.event("reply"), clinic.event("rating")
    assert fact["text_value"] == "May I fly? To Rome."
    assert answer["parent"] == fact["record"]
    assert (stars["parent"], stars["numeric_value"]) == (answer["record"], 4.0)


def test_a_procedure_that_was_not_done_is_no_fact(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), procedure("a"), procedure("b", status="not-done"))

    assert clinic.event("procedure")["time"] == at("2026-05-20T09:40")


def test_resources_of_a_transaction_are_named_by_their_full_url(clinic: Clinic) -> None:
    mother, weight = without(patient(), "id"), observation("w", subject={"reference": URN})
    named = bundle(mother, weight)
    named["entry"][0]["fullUrl"] = URN
    clinic.drop(FIRST, named)

    assert clinic.event("observation")["subject_id"] == clinic.settings.subject_id(URN)


def test_references_by_full_url_meet_resources_that_have_another_id(clinic: Clinic) -> None:
    named = bundle(patient("ana"), observation("w", subject={"reference": URN}))
    named["entry"][0]["fullUrl"] = URN
    clinic.drop(FIRST, named)

    assert clinic.event("observation")["subject_id"] == clinic.settings.subject_id("ana")
