"""Each rule quarantines its broken resources; good ones of the same drop pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.pipelines.records.fhir import (
    FIRST,
    LOINC,
    SNOMED,
    Clinic,
    allergy,
    concept,
    condition,
    encounter,
    medication_request,
    observation,
    patient,
    procedure,
    question,
    rating,
    without,
)


def quantity(comparator: str) -> dict[str, Any]:
    return {"value": 61.5, "unit": "kg", "code": "kg", "comparator": comparator}


def pressure(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "mmHg", "code": "mm[Hg]"}


STRUCTURE: list[tuple[str, str, Any]] = [
    ("truncated json", "invalid_json", json.dumps(observation("x"))[:60]),
    ("a number", "not_an_object", "42"),
    ("no json at all", "invalid_json", "PatientID;Name;Weight"),
    ("no type", "missing_resource_type", without(observation("x"), "resourceType")),
    ("type is a number", "missing_resource_type", observation("x") | {"resourceType": 4}),
    ("no id", "missing_id", without(observation("x"), "id")),
    ("id with a space", "bad_id", observation("has space")),
    ("id of a patient in the form of a pseudonym", "bad_id", patient("subject:9999999999999999999")),
    ("id is a number", "bad_id", observation("x") | {"id": 7}),
    ("no status", "missing_field", without(observation("x"), "status")),
    ("no subject", "missing_field", without(observation("x"), "subject")),
    ("subject by identifier only", "missing_field", observation("x", subject={"identifier": {"value": "7"}})),
    ("no code", "missing_field", without(condition("x"), "code")),
    ("code without code or text", "missing_field", condition("x", code={"coding": [{"system": SNOMED}]})),
    ("no medication", "missing_field", without(medication_request("x"), "medicationCodeableConcept")),
    ("no class", "missing_field", without(encounter("x"), "class")),
    ("rating of nothing", "missing_field", without(rating("x", "r", 4), "focus")),
    ("message without time", "missing_field", without(question("x", "May I fly?"), "sent")),
    ("code is a string", "wrong_type", observation("x") | {"code": "29463-7"}),
    ("value is a string", "wrong_type", observation("x", valueQuantity={"value": "61.5", "unit": "kg"})),
    ("value is a boolean", "wrong_type", observation("x", valueQuantity={"value": True, "unit": "kg"})),
    ("subject is a list", "wrong_type", observation("x", subject=[{"reference": "Patient/ana"}])),
    ("payload is an object", "wrong_type", question("x", "") | {"payload": {"contentString": "May I fly?"}}),
    ("category is null", "wrong_type", allergy("x", category=None)),
    ("unknown status", "bad_code", observation("x", status="finished")),
    ("unknown gender", "bad_code", patient("x", gender="f")),
    ("month 13", "bad_date", observation("x", effectiveDateTime="2026-13-01")),
    ("date in words", "bad_date", condition("x", onsetDateTime="last spring")),
    ("broken reference", "bad_reference", observation("x", subject={"reference": "the patient"})),
    ("two values", "two_values", observation("x", valueInteger=61)),
    (
        "a value and why there is none",
        "two_values",
        observation("x", dataAbsentReason={"coding": [{"code": "unknown"}]}),
    ),
    ("two drugs", "two_values", medication_request("x", medicationReference={"reference": "#m"})),
    ("unknown patient", "unknown_patient", observation("x", subject={"reference": "Patient/nobody"})),
    (
        "a drug nobody names",
        "unknown_medication",
        without(medication_request("x"), "medicationCodeableConcept") | {"medicationReference": {"reference": "#none"}},
    ),
    ("rules of its own", "implicit_rules", observation("x", implicitRules="https://ehr.example/rules/training")),
    ("modified", "modifier_extension", condition("x", modifierExtension=[{"url": "https://ehr.example/negated"}])),
    (
        "modified within",
        "modifier_extension",
        medication_request("x", dispenseRequest={"modifierExtension": [{"url": "https://ehr.example/not-her"}]}),
    ),
    ("a comparator of no value set", "bad_code", observation("x", valueQuantity=quantity("~"))),
    (
        "one pressure twice",
        "repeated_component",
        without(observation("x", "85354-9"), "valueQuantity")
        | {"component": [{"code": concept(LOINC, "8480-6"), "valueQuantity": pressure(v)} for v in (164, 128)]},
    ),
    ("unit never seen", "unknown_unit", observation("x", unit="stone")),
    ("signal without unit", "unknown_unit", observation("x", valueQuantity={"value": 61.5})),
    ("tomorrow", "future_date", observation("x", effectiveDateTime="2026-06-02T00:00:01Z")),
    (
        "a supply for longer than there is time",
        "not_understood",
        medication_request(
            "x", status="stopped", dispenseRequest={"expectedSupplyDuration": {"value": 1e307, "code": "a"}}
        ),
    ),
    ("issued tomorrow", "future_date", observation("x", issued="2026-06-02T08:00:00Z")),
]

VALUES: list[tuple[str, str, Any]] = [
    ("heavier than possible", "impossible_value", observation("x", value=615.0)),
    ("lighter than possible, in pounds", "impossible_value", observation("x", value=0.1, unit="[lb_av]")),
    ("below zero", "impossible_value", observation("x", "718-7", -11.0, "g/dL")),
    ("no measurement", "impossible_value", observation("x", "9999-9", 1e15, "kg")),
    ("six stars", "impossible_value", rating("x", "r", 6)),
    (
        "systolic below diastolic",
        "impossible_value",
        without(observation("x", "85354-9"), "valueQuantity")
        | {
            "component": [
                {"code": concept("http://loinc.org", "8480-6"), "valueQuantity": {"value": 70, "unit": "mm[Hg]"}},
                {"code": concept("http://loinc.org", "8462-4"), "valueQuantity": {"value": 110, "unit": "mm[Hg]"}},
            ]
        },
    ),
    ("over before it began", "reversed_dates", condition("x", abatementDateTime="2026-03-01")),
    (
        "ended before it began",
        "reversed_dates",
        procedure("x", performedPeriod={"start": "2026-05-20T09:40:00Z", "end": "2026-05-19T09:40:00Z"}),
    ),
    ("dead before born", "reversed_dates", patient("x", deceasedDateTime="1989-01-01")),
    ("born under Caesar", "impossible_date", patient("x", birthDate="0044-03-15")),
    ("code without end", "bad_code", condition("x", code=concept(SNOMED, "9" * 200))),
]


CASES = STRUCTURE + VALUES
RULES = sorted({rule for _, rule, _ in CASES})


def named(broken: Any, ident: str) -> Any:
    """The broken resource with its own id, unless the id is what is broken."""
    return broken | {"id": ident} if isinstance(broken, dict) and broken.get("id") == "x" else broken


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_quarantines_its_broken_lines_and_accepts_the_good_one(clinic: Clinic, rule: str) -> None:
    broken = [named(line, f"x{at}") for at, (_, of, line) in enumerate(CASES) if of == rule]

    accounts = clinic.drop(FIRST, patient(), observation("good"), *broken)

    assert accounts.by_rule == {rule: len(broken)}
    assert clinic.event("observation")["numeric_value"] == pytest.approx(61.5)
    rows = clinic.quarantined()
    assert sorted(r.line for r in rows) == list(range(3, 3 + len(broken)))
    assert {(r.rule, r.file) for r in rows} == {(rule, "records.ndjson")}


def test_quarantine_stores_each_line_unchanged_and_gives_no_value_as_reason(clinic: Clinic) -> None:
    broken = [named(line, f"x{at}") for at, (_, _, line) in enumerate(CASES)]
    raw = [line if isinstance(line, str) else json.dumps(line) for line in broken]

    clinic.drop(FIRST, patient(), *broken)

    rows = clinic.quarantined()
    assert sorted(r.raw for r in rows) == sorted(raw)
    assert not any(value in r.reason for r in rows for value in ("615", "nobody", "stone", "last spring", "0044"))


def test_two_versions_in_one_drop_are_both_quarantined_in_either_order(clinic: Clinic) -> None:
    one, other = observation("w", value=61.0), observation("w", value=62.0)

    assert clinic.drop(FIRST, patient(), one, other).by_rule == {"duplicate_conflict": 2}
    assert clinic.drop("2026-06-02", other, one).by_rule == {"duplicate_conflict": 2}
    assert clinic.events("observation").is_empty()


def test_the_same_resource_twice_counts_twice_and_is_one_fact(clinic: Clinic) -> None:
    restamped = observation("w") | {"meta": {"lastUpdated": "2026-06-01T04:00:00Z"}}

    accounts = clinic.drop(FIRST, patient(), observation("w"), restamped)

    assert (accounts.accepted, accounts.duplicates) == (3, 1)
    assert clinic.event("observation")


def test_a_line_over_the_limit_is_counted_but_not_stored(clinic: Clinic) -> None:
    clinic.settings.max_line_mb = 1
    long = json.dumps(observation("x", note="y" * (1 << 20)))

    accounts = clinic.drop(FIRST, patient(), long, observation("good"))

    assert accounts.by_rule == {"line_too_long": 1}
    assert clinic.quarantined()[0].raw == ""
    assert clinic.event("observation")


def test_types_that_are_not_used_are_counted_by_type(clinic: Clinic) -> None:
    strangers = [{"resourceType": "Claim", "id": str(i)} for i in range(3)] + [{"resourceType": "Spaceship"}]
    talks = {"resourceType": "I am Ana"}

    accounts = clinic.drop(FIRST, patient(), *strangers, talks)
    assert accounts.ignored_types == {"(no type of FHIR)": 1, "Claim": 3, "Spaceship": 1}


def test_a_null_display_of_a_coding_is_read_as_none(clinic: Clinic) -> None:
    named = concept(SNOMED, "72892002")
    named["coding"][0]["display"] = None
    taken = clinic.drop("2026-06-01", patient("ana"), condition("x", subject={"reference": "Patient/ana"}, code=named))
    assert (taken.accepted, taken.quarantined) == (2, 0)
