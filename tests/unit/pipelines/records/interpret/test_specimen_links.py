"""Specimens that come in another drop than their observations: a donor's value never stays the patient's."""

from __future__ import annotations

from itertools import permutations

import pytest

from pipelines.records.log import event_log
from tests.unit.pipelines.records.fhir import FIRST, SNOMED, Clinic, Resource, concept, observation, patient

SECOND, THIRD = "2026-06-02", "2026-06-03"


def haemoglobin(ident: str = "hb") -> Resource:
    return observation(ident, "718-7", 6.4, "g/dL", specimen={"reference": "Specimen/s"})


def specimen(owner: str = "ana", **more: Resource) -> Resource:
    return {"resourceType": "Specimen", "id": "s", "subject": {"reference": f"Patient/{owner}"}, **more}


FOREIGN = {
    "of another patient": specimen("child"),
    "cord blood": specimen(type=concept(SNOMED, "122556008", "Cord blood specimen")),
}


def values(clinic: Clinic) -> list[float]:
    known = event_log.select_as_of(event_log.scan_events(clinic.settings), clinic.settings.now()).collect()
    return [round(v, 1) for v in known.filter(kind="observation")["numeric_value"].to_list()]


@pytest.mark.parametrize("of", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("order", permutations(range(2)), ids=str)
def test_a_foreign_specimen_takes_its_value_back_whichever_comes_first(
    clinic: Clinic, of: Resource, order: tuple[int, int]
) -> None:
    clinic.drop(FIRST, patient())
    for day, index in zip((SECOND, THIRD), order, strict=True):
        clinic.drop(day, (haemoglobin(), of)[index])

    assert values(clinic) == []
    clinic.drop("2026-06-04", haemoglobin())  # a full export states it once more
    assert values(clinic) == []


@pytest.mark.parametrize("order", permutations(range(2)), ids=str)
def test_her_own_specimen_leaves_her_value(clinic: Clinic, order: tuple[int, int]) -> None:
    clinic.drop(FIRST, patient())
    for day, index in zip((SECOND, THIRD), order, strict=True):
        clinic.drop(day, (haemoglobin(), specimen())[index])

    assert values(clinic) == [6.4]


def test_a_late_drop_with_the_specimen_counts_too(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient())
    clinic.drop(THIRD, haemoglobin())
    clinic.drop(SECOND, FOREIGN["of another patient"])

    assert values(clinic) == []
