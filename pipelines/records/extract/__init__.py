"""Extract facts from checked resources: one file and one function per resource type."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.records.extract.allergy import extract_allergy
from pipelines.records.extract.communication import extract_communication
from pipelines.records.extract.condition import extract_condition
from pipelines.records.extract.encounter import extract_encounter
from pipelines.records.extract.episode import extract_episode
from pipelines.records.extract.facts import ExtractedFacts, ExtractionContext
from pipelines.records.extract.medication import (
    extract_medication,
    extract_medication_administration,
    extract_medication_dispense,
    extract_medication_request,
    extract_medication_statement,
)
from pipelines.records.extract.observation import extract_observation
from pipelines.records.extract.patient import extract_patient
from pipelines.records.extract.procedure import extract_procedure
from pipelines.records.extract.related_person import extract_related_person
from pipelines.records.read.raw_resource import Resource

EXTRACTORS: dict[str, Callable[[Resource, ExtractionContext], ExtractedFacts]] = {
    "Patient": extract_patient,
    "Encounter": extract_encounter,
    "Condition": extract_condition,
    "Observation": extract_observation,
    "MedicationRequest": extract_medication_request,
    "MedicationStatement": extract_medication_statement,
    "MedicationDispense": extract_medication_dispense,
    "MedicationAdministration": extract_medication_administration,
    "Medication": extract_medication,
    "Procedure": extract_procedure,
    "AllergyIntolerance": extract_allergy,
    "Communication": extract_communication,
    "EpisodeOfCare": extract_episode,
    "RelatedPerson": extract_related_person,
}
