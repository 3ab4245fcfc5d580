"""What is stated of pregnancy comes as one wording, whatever resource and form it is written in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.pipelines.records.fhir import (
    FIRST,
    ICD10,
    LOINC,
    SNOMED,
    Clinic,
    Resource,
    concept,
    condition,
    observation,
    patient,
    without,
)

DAYS, WEEKS = {"valueQuantity": {"value": 159, "code": "d"}}, {"valueQuantity": {"value": 22, "unit": "wk"}}


def _stated(code: str, **more: Any) -> Resource:
    bare = without(observation("o", code), "valueQuantity", "effectiveDateTime")
    return bare | {"effectiveDateTime": "2026-05-20"} | more


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (DAYS, "159 d 2026-05-20"),
        (WEEKS, "22 wk 2026-05-20"),
        ({"valueQuantity": {"value": 22.0, "code": "wk"}}, "22 wk 2026-05-20"),
        ({"valueQuantity": {"value": 22.43, "code": "wk"}}, "157 d 2026-05-20"),
        ({"valueQuantity": {"value": 22.4, "code": "wk"}}, "22 wk 2026-05-20"),  # 22 weeks and 3 or 4 days
        ({"valueString": "38 5/7"}, "271 d 2026-05-20"),
        ({"valueString": "38w5d"}, "271 d 2026-05-20"),
        ({"valueString": "38 5/7 weeks"}, "271 d 2026-05-20"),
        ({"valueString": "38 weeks 5 days"}, "271 d 2026-05-20"),
        ({"valueString": "38+5"}, "271 d 2026-05-20"),
        ({"valueString": "38 weeks"}, "38 wk 2026-05-20"),
    ],
)
def test_a_gestational_age_is_days_or_completed_weeks_of_its_day(clinic: Clinic, value: Resource, text: str) -> None:
    assert clinic.drop(FIRST, patient(), _stated("18185-9", **value)).quarantined == 0

    assert clinic.event("observation")["text_value"] == text


@pytest.mark.parametrize(
    "value",
    [
        {"valueQuantity": {"value": 22, "unit": "mo"}},
        {"valueQuantity": {"value": 500, "code": "d"}},
        {"valueQuantity": {"value": 30, "code": "wk", "comparator": ">"}},
        {"valueString": "term"},
        {"valueString": "38 9/7"},
    ],
)
def test_an_age_that_is_not_understood_states_nothing(clinic: Clinic, value: Resource) -> None:
    clinic.drop(FIRST, patient(), _stated("11884-4", **value))

    assert clinic.events("observation")["text_value"].to_list() in ([], [None], [">"])


def test_weeks_and_days_of_one_panel_are_one_age(clinic: Clinic) -> None:
    parts = [
        {"code": concept(LOINC, "49051-6"), "valueQuantity": {"value": 31, "code": "wk"}},
        {"code": concept(LOINC, "49052-4"), "valueQuantity": {"value": 4, "code": "d"}},
    ]
    clinic.drop(FIRST, patient(), _stated("82810-3", component=parts))

    assert "221 d 2026-05-20" in clinic.events("observation")["text_value"].to_list()


@pytest.mark.parametrize("code", ["11778-8", "11780-4", "53692-0", "90368-2", "8665-2"])
@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("2026-08-05", "2026-08-05"),
        ("2026-08-05T00:00:00+02:00", "2026-08-05"),
        ("2026-08-05T23:30:00-07:00", "2026-08-05"),
        ("2026-08", "2026-08"),
        ("2026", "2026"),
    ],
)
def test_a_date_stays_as_written(clinic: Clinic, code: str, written: str, text: str) -> None:
    clinic.drop(FIRST, patient(), _stated(code, valueDateTime=written))

    assert clinic.event("observation")["text_value"] == text


def test_the_method_of_an_observation_dates_too(clinic: Clinic) -> None:
    scanned = _stated("11778-8", valueDateTime="2026-08-05", method=concept(SNOMED, "16310003", "Ultrasonography"))
    clinic.drop(FIRST, patient(), scanned)

    assert clinic.event("observation")["text_value"] == "2026-08-05; ultrasound"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"valueCodeableConcept": concept(SNOMED, "77386006")}, "pregnant"),
        ({"valueCodeableConcept": concept(LOINC, "LA15173-0", "Pregnant")}, "pregnant"),
        ({"valueCodeableConcept": concept(SNOMED, "65147003", "Twin pregnancy")}, "pregnant"),
        ({"valueCodeableConcept": {"text": "Pregnant"}}, "pregnant"),
        ({"valueBoolean": True}, "pregnant"),
        ({"valueCodeableConcept": concept(LOINC, "LA26683-5", "Not pregnant")}, "not pregnant"),
        ({"valueCodeableConcept": concept(SNOMED, "60001007")}, "not pregnant"),
        ({"valueCodeableConcept": concept(SNOMED, "146799005", "Possible pregnancy")}, "unknown"),
        ({"valueCodeableConcept": concept(LOINC, "LA4489-6", "Unknown")}, "unknown"),
        ({"valueCodeableConcept": concept(SNOMED, "281050002", "Livebirth")}, "ended"),
        ({"valueCodeableConcept": concept(SNOMED, "86569001", "Postpartum state")}, "postpartum"),
    ],
)
def test_a_status_is_one_of_few_words(clinic: Clinic, value: Resource, text: str) -> None:
    clinic.drop(FIRST, patient(), _stated("82810-3", **value))

    assert clinic.event("observation")["text_value"] == text


def test_a_pregnancy_closed_without_a_date_ended_after_it_was_last_called_active(clinic: Clinic) -> None:
    code = concept(SNOMED, "237238006", "Pregnancy with uncertain dates")
    active = condition(code=code, onsetDateTime="2025-11-01", recordedDate="2025-11-20")
    closed = active | {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
    clinic.drop("2026-06-01", patient(), active)
    clinic.drop("2026-06-04", active)  # the same again: no new version, still called active
    clinic.drop("2026-06-09", closed)

    end = clinic.event("condition.end")
    assert (f"{end['time']:%Y-%m-%d}", end["numeric_value"]) == ("2026-06-09", 5.0)


def test_a_birth_of_a_partial_date_may_be_on_any_of_its_days(clinic: Clinic) -> None:
    birth = condition(code=concept(ICD10, "Z37.2", "Twins, both liveborn"), onsetDateTime="2026-05")
    clinic.drop(FIRST, patient(), birth)

    fact = clinic.event("condition")
    assert (f"{fact['time']:%Y-%m-%d}", fact["numeric_value"]) == ("2026-05-31", 30.0)


@pytest.mark.parametrize(
    ("system", "code", "stored"),
    [
        ("http://www.cms.gov/Medicare/Coding/ICD10", "10D07Z6", "ICD10PCS//10D07Z6"),
        ("http://www.ama-assn.org/go/cpt", "59514", "CPT//59514"),
    ],
)
def test_a_procedures_system_is_kept_apart(clinic: Clinic, system: str, code: str, stored: str) -> None:
    done = {
        "resourceType": "Procedure",
        "id": "p",
        "status": "completed",
        "code": concept(system, code),
        "subject": {"reference": "Patient/ana"},
        "performedPeriod": {"start": "2026-05-19T22:00:00Z", "end": "2026-05-20T04:00:00Z"},
    }
    clinic.drop(FIRST, patient(), done)

    fact = clinic.event("procedure")
    assert (fact["code"], f"{fact['time']:%Y-%m-%d}") == (stored, "2026-05-20")


@pytest.mark.parametrize(
    ("kind", "status", "kinds"),
    [
        (concept(SNOMED, "424525001", "Antenatal care"), "active", ["episode"]),
        ({"text": "Maternity care"}, "finished", ["episode", "episode.end"]),
        ({"text": "Maternity care"}, "planned", []),
        ({"text": "Neonatal care after pregnancy"}, "active", []),
        ({"text": "Diabetes"}, "active", []),
    ],
)
def test_an_episode_of_maternity_care_states_a_pregnancy(
    clinic: Clinic, kind: Resource, status: str, kinds: list[str]
) -> None:
    episode = {
        "resourceType": "EpisodeOfCare",
        "id": "e",
        "status": status,
        "type": [kind],
        "patient": {"reference": "Patient/ana"},
        "period": {"start": "2026-01-10"} | ({"end": "2026-05-20"} if status == "finished" else {}),
    }
    clinic.drop(FIRST, patient(), episode)

    assert sorted(clinic.events("episode", "episode.end")["kind"]) == kinds


@pytest.mark.parametrize(("role", "born"), [("NCHILD", True), ("CHLDADOPT", False), ("MTH", False)])
def test_a_child_by_birth_states_the_birth(clinic: Clinic, role: str, born: bool) -> None:
    child = {
        "resourceType": "RelatedPerson",
        "id": "r",
        "patient": {"reference": "Patient/ana"},
        "relationship": [concept("http://terminology.hl7.org/CodeSystem/v3-RoleCode", role)],
        "birthDate": "2026-05-20",
    }
    clinic.drop(FIRST, patient(), child)

    assert (clinic.events("observation")["code"].to_list() == ["PMLM//CHILD_BORN"]) is born


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("Delivery by ventouse", True),
        ("Repeat cesarean section", True),
        ("Spontaneous vaginal delivery", True),
        ("Emergency lower segment caesarean section", True),
        ("Delivery of twins", True),
        ("Previous cesarean section", False),
        ("Education about vaginal delivery", False),
        ("Delivery of rehabilitation for eating", False),
        ("Induction of labor", False),
        ("Delivery", False),
    ],
)
def test_a_birth_whose_code_is_in_no_set_is_known_by_its_name(clinic: Clinic, name: str, ends: bool) -> None:
    done = {
        "resourceType": "Procedure",
        "id": "p",
        "status": "completed",
        "code": concept(SNOMED, "999999", name),
        "subject": {"reference": "Patient/ana"},
        "performedDateTime": "2026-05-20",
    }
    clinic.drop(FIRST, patient(), done)

    assert (clinic.events("observation")["text_value"].to_list() == ["ended"]) is ends


@pytest.mark.parametrize(
    ("answer", "text"), [("Live birth", "ended"), ("Stillbirth", "ended"), ("Ongoing pregnancy", "Ongoing pregnancy")]
)
def test_an_outcome_is_known_by_its_name(clinic: Clinic, answer: str, text: str) -> None:
    clinic.drop(FIRST, patient(), _stated("63893-2", valueCodeableConcept={"text": answer}))

    assert clinic.event("observation")["text_value"] == text
