"""Facts out of checked resources: one file a resource type, one function each."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.records.extract.allergy import allergy
from pipelines.records.extract.communication import communication
from pipelines.records.extract.condition import condition
from pipelines.records.extract.encounter import encounter
from pipelines.records.extract.facts import Context, Facts
from pipelines.records.extract.medication import medication, medication_request
from pipelines.records.extract.observation import observation
from pipelines.records.extract.patient import patient
from pipelines.records.extract.procedure import procedure
from pipelines.records.read.raw_resource import Resource

EXTRACTORS: dict[str, Callable[[Resource, Context], Facts]] = {
    "Patient": patient,
    "Encounter": encounter,
    "Condition": condition,
    "Observation": observation,
    "MedicationRequest": medication_request,
    "Medication": medication,
    "Procedure": procedure,
    "AllergyIntolerance": allergy,
    "Communication": communication,
}
