"""An entry without a date of its own is of unknown age, through import, features, both stores and the prompt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from models.feature_row import read_texts, read_times
from models.patient.gestational_age import read_pregnancy_state
from models.patient.summary import summarize_patient
from models.prompt.candidates import build_candidates
from models.schema import FeatureRow
from pipelines.features.build import stage
from pipelines.features.inspect.show import read_row
from pipelines.features.online import materialise
from pmlm.storage import write_json
from tests.unit.pipelines.records.fhir import (
    FIRST,
    ICD10,
    RXNORM,
    SNOMED,
    Clinic,
    Resource,
    concept,
    condition,
    encounter,
    medication_request,
    observation,
    patient,
    procedure,
    without,
)

NIGHT = "20260601"
BEA = {"reference": "Patient/bea"}
AS_OF = datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC)


def undated_condition(ident: str, system: str, code: str, name: str, **more: Any) -> Resource:
    return without(condition(ident, code=concept(system, code, name), **more), "onsetDateTime")


def given_out(ident: str, kind: str, status: str) -> Resource:
    drug = concept(RXNORM, "29046", "lisinopril 10 MG Oral Tablet")
    return {
        "resourceType": kind, "id": ident, "status": status, "medicationCodeableConcept": drug,
        "subject": {"reference": "Patient/ana"},
    }  # fmt: skip


def build(clinic: Clinic, *resources: Resource) -> None:
    """Import one drop, build its features and fill the online store."""
    clinic.drop(FIRST, *resources)
    stage.run(clinic.settings, NIGHT)
    materialise.run(clinic.settings, NIGHT)
    write_json(clinic.settings.workspace / "clock.json", {"as_of": AS_OF.isoformat()})


def read_both(clinic: Clinic, ident: str) -> FeatureRow:
    """A patient's row, the same from both stores."""
    offline, online = (read_row(clinic.settings, ident, at) for at in (AS_OF, None))
    for group in ("condition", "suspected", "medicine", "pregnancy"):
        assert read_times(online, f"{group}_times") == read_times(offline, f"{group}_times")
        assert read_texts(online, f"{group}_codes") == read_texts(offline, f"{group}_codes")
    return online


def test_what_has_no_date_is_on_record_without_a_date(clinic: Clinic) -> None:
    """Ana has a delivery without a date, which may be of her pregnancy or of an earlier one; Bea has none."""
    pregnant = concept(SNOMED, "77386006", "Pregnant")
    status = observation("status", code="82810-3", valueCodeableConcept=pregnant, subject=BEA)
    build(
        clinic,
        patient(),
        patient("bea"),
        undated_condition("asthma", ICD10, "J45.9", "Asthma", onsetString="as a child"),
        undated_condition("cystitis", ICD10, "N30.00", "Acute cystitis"),
        condition("diabetes"),
        undated_condition("again", ICD10, "O24.4", "Gestational diabetes"),
        without(medication_request("iron"), "authoredOn"),
        undated_condition("pregnant", SNOMED, "77386006", "Pregnancy"),
        without(procedure("birth", code=concept(SNOMED, "65718007", "Vaginal delivery")), "performedPeriod"),
        without(status, "effectiveDateTime", "valueQuantity"),
        undated_condition("week", ICD10, "Z3A.20", "20 weeks gestation", subject=BEA),
    )
    row = read_both(clinic, "ana")
    summary, texts = summarize_patient(row, AS_OF), [s.text.lower() for s in build_candidates(row, AS_OF, len)]
    ages = {entry.text: entry.age_days for entry in summary.conditions}
    assert ages.pop("Gestational diabetes") == pytest.approx(61, abs=1)  # one with a date counts before one without
    assert ages == {"Asthma": None}
    acute = [entry for entry in summary.not_current if entry.text == "Acute cystitis"]
    assert [(e.age_days, e.reason) for e in acute] == [(None, "an acute condition on record without a date")]
    assert [entry.age_days for entry in summary.medicines] == [None]
    for name in ("asthma", "acute cystitis"):
        assert any(text.startswith(f"on record without a date: {name}") for text in texts)
    assert any(text.startswith("ferrous sulfate") and text.endswith("on record without a date") for text in texts)
    assert not any("today" in text for text in texts)
    assert (summary.pregnant, summary.postpartum_weeks, summary.postpartum_range) == ("unknown", None, None)

    state = read_pregnancy_state(read_both(clinic, "bea"), AS_OF)
    assert (state.pregnant, state.weeks, state.age) == (True, None, None)


@pytest.mark.parametrize(
    "undated",
    [
        given_out("d", "MedicationDispense", "completed"),
        given_out("g", "MedicationAdministration", "completed"),
        without(encounter("e"), "period"),
    ],
)
def test_what_was_done_once_at_an_unknown_time_is_counted_and_no_fact(clinic: Clinic, undated: Resource) -> None:
    accounts = clinic.drop(FIRST, patient(), undated)
    assert accounts.ignored_types == {f"{undated['resourceType']} of unknown time": 1}
    assert clinic.events("medicine", "encounter").is_empty()


@pytest.mark.parametrize("kind", ["MedicationRequest", "MedicationStatement"])
def test_a_completed_medicine_without_a_date_is_not_current(clinic: Clinic, kind: str) -> None:
    intent = {"intent": "order"} if kind == "MedicationRequest" else {}
    clinic.drop(FIRST, patient(), given_out("m", kind, "completed") | intent)
    (begun,), (ended,) = clinic.events("medicine").to_dicts(), clinic.events("medicine.end").to_dicts()
    assert ended["parent"] == begun["record"]
    assert begun["time"] is ended["time"] is None
