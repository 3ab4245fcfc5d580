"""How certain a record is: suspected, unconfirmed, or the statement that there is nothing."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

from pipelines.records.read.coding import clean_text, read_status_code
from pipelines.records.read.raw_resource import Resource

#: FHIR R4 ConditionVerificationStatus short of ``confirmed``; AllergyIntolerance has the first alone.
SUSPECTED = ("unconfirmed", "provisional", "differential")
WITHDRAWN = ("entered-in-error", "refuted")
#: German practice: certainty of an ICD-10-GM code (``gesichert``, ``Verdacht``, ``Ausschluss``, ``Zustand nach``).
_GM_CERTAINTY = "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit"
_GM_CODES = {"A": "refuted", "V": "provisional"}

_TABLE = Path(__file__).with_name("absent_facts.csv")
_SYSTEMS = {"http://snomed.info/sct": "SNOMED", "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips": "IPS"}
#: Whole texts alone: "no known allergies except penicillin" is an allergy.
_NOTHING = re.compile(
    r"(?:patient )?(?:(?:has )?no|nil|none|denies(?: any)?)(?: known| current| active| reported| recorded)*"
    r"(?:(?: (?:drug|drugs|medicine|medication|food|environmental|latex|seasonal|contact|or|and|/))*"
    r" (?:allerg(?:y|ies)|intolerances?|problems?|conditions?|medications?|procedures?))?"
    r"(?: (?:known|reported|recorded|on record|noted))?"
    r"|n\.?k\.?[adf]?\.?a\.?|(?:allergies|allergy)(?: status)?[: ]+(?:none|nil|no|unknown)(?: known)?",
    re.I,
)


def read_certainty(resource: Resource) -> str | None:
    """The code of ``verificationStatus``, or what the coding's own certainty extension says."""
    return read_status_code(resource.get("verificationStatus")) or _read_gm_certainty(resource.get("code"))


def states_nothing(concept: Resource) -> bool:
    """Whether a concept says that there is nothing ("no known allergy"), or that nothing is known."""
    codings = concept.get("coding", ())
    if any((_SYSTEMS.get(c.get("system") or ""), c.get("code")) in _read_table() for c in codings):
        return True
    texts = (concept.get("text"), *(c.get("display") for c in codings))
    return any(_NOTHING.fullmatch(clean_text(text).rstrip(". ")) for text in texts if text)


def _read_gm_certainty(concept: Resource | None) -> str | None:
    for coding in (concept or {}).get("coding", ()):
        for extension in coding.get("extension") or ():
            if isinstance(extension, dict) and extension.get("url") == _GM_CERTAINTY:
                value = extension.get("valueCoding")
                return _GM_CODES.get(value.get("code", "")) if isinstance(value, dict) else None
    return None


@cache
def _read_table() -> frozenset[tuple[str | None, str]]:
    with _TABLE.open(encoding="utf-8", newline="") as stream:
        return frozenset((row["system"], row["code"]) for row in csv.DictReader(stream))
