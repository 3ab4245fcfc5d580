"""Patient: birth, death and language."""

from __future__ import annotations

from models.vocabulary import BIRTH_CODE, DEATH_CODE, LANGUAGE_CODE
from pipelines.records.extract.facts import ExtractedFacts, ExtractionContext, Fact
from pipelines.records.read.fhir_time import read_latest_end, read_time
from pipelines.records.read.raw_resource import Resource


def extract_patient(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """Birth, language and death; a death without a date counts at the drop's end."""
    birth = context.check_past(read_time(resource, "birthDate"), "birthDate")
    death = context.check_past(read_time(resource, "deceasedDateTime"), "deceasedDateTime")
    if resource.get("deceasedBoolean"):
        death = context.end
    facts = [Fact("patient", LANGUAGE_CODE, None, text=_choose_language(resource), facet="language", known=birth)]
    if birth is not None:
        facts.append(Fact("patient", BIRTH_CODE, birth, known=birth))
    if death is not None:
        facts.append(Fact("patient", DEATH_CODE, death, facet="death", known=death))
    row = {"start": birth, "end": read_latest_end(resource, "deceasedDateTime")}
    return ExtractedFacts(facts, [("patients", row)], facets=("", "death"))


def _choose_language(resource: Resource) -> str:
    """``zh`` where Chinese is the preferred or first language, else ``en``: PMLM's template languages."""
    languages = sorted(resource.get("communication", []), key=lambda c: not c.get("preferred", False))
    codes = [c.get("code", "") for s in languages[:1] for c in s.get("language", {}).get("coding", [])]
    return "zh" if any(c.lower().startswith("zh") for c in codes) else "en"
