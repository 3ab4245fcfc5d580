"""Every way in which a condition is written as over, and when it ended."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.pipelines.records.fhir import FIRST, SNOMED, Clinic, Resource, concept, condition, patient

SECOND = "2026-06-11"
PREGNANCY: dict[str, Any] = {"code": concept(SNOMED, "77386006", "Pregnancy"), "onsetDateTime": "2025-10-01"}
ACTIVE = {"clinicalStatus": {"coding": [{"code": "active"}]}}
UNDATED: dict[str, Resource] = {
    "abatementAge": {"abatementAge": {"value": 36, "code": "a"}},
    "abatementRange": {"abatementRange": {"low": {"value": 36}, "high": {"value": 37}}},
    "abatementString": {"abatementString": "after the birth"},
    "abatementPeriod without dates": {"abatementPeriod": {"extension": [{"url": "https://ehr.example/x"}]}},
    "resolved": {"clinicalStatus": {"coding": [{"code": "resolved"}]}},
}


@pytest.mark.parametrize("stated", UNDATED.values(), ids=UNDATED)
def test_an_end_without_a_date_lies_after_the_last_drop_that_called_it_active(clinic: Clinic, stated: Resource) -> None:
    clinic.drop(FIRST, patient(), condition(**PREGNANCY, **ACTIVE))
    clinic.drop(SECOND, condition(**PREGNANCY, **stated))

    end = clinic.event("condition.end")
    assert (f"{end['time']:%Y-%m-%d}", end["numeric_value"]) == (SECOND, 10.0)


PERIODS = {
    "both days": ({"start": "2026-05-28", "end": "2026-06-02"}, "2026-06-02", 5.0),
    "one day": ({"start": "2026-06-02", "end": "2026-06-02"}, "2026-06-02", 0.0),
    "no end": ({"start": "2026-06-02"}, SECOND, 9.0),
    "no start": ({"end": "2025-10-05"}, "2025-10-05", 4.0),
    "in part": ({"start": "2026-05", "end": "2026-05"}, "2026-05-31", 30.0),
}


@pytest.mark.parametrize(("period", "last", "span"), PERIODS.values(), ids=PERIODS)
def test_a_pregnancy_that_abated_within_a_period_ended_on_one_of_its_days(
    clinic: Clinic, period: Resource, last: str, span: float
) -> None:
    clinic.drop(SECOND, patient(), condition(**PREGNANCY, abatementPeriod=period))

    end = clinic.event("condition.end")
    assert (f"{end['time']:%Y-%m-%d}", end["numeric_value"]) == (last, span)


def test_an_imprecise_onset_ends_nothing_that_its_status_calls_open(clinic: Clinic) -> None:
    onset = {"onsetPeriod": {"start": "2025-10-01", "end": "2025-12-31"}}
    unclear = {k: v for k, v in condition(**PREGNANCY).items() if k != "onsetDateTime"} | onset
    clinic.drop(FIRST, patient(), unclear | ACTIVE)

    assert clinic.events("condition.end").is_empty()


def test_an_abatement_that_is_still_to_come_waits_for_its_day(clinic: Clinic) -> None:
    accounts = clinic.drop(FIRST, patient(), condition(abatementPeriod={"start": "2026-05-01", "end": "2026-06-20"}))

    assert accounts.by_rule == {"future_date": 1}
