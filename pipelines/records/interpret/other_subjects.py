"""Find whose a record's content is, where it is not the patient's own.

A fetus, a newborn, a donor or a relative is often filed under the patient: by ``focus``, by the specimen, by a profile,
by the code, or only by the words of a display. The codes are in ``other_subjects.csv``, each with its source.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from models.vocabulary import SIGNAL_BY_CODE
from pipelines.records.read.coding import list_codes
from pipelines.records.read.identity import read_reference
from pipelines.records.read.raw_resource import Resource

FETUS, NEWBORN, RELATIVE, DONOR, OTHER = "fetus", "newborn", "relative", "donor", "another subject"
_TABLE = Path(__file__).with_name("other_subjects.csv")

#: What an observation may be about and still be the patient's own (FHIR R4, Observation.focus).
_OWN_FOCUS = frozenset(
    ("Encounter", "Condition", "Procedure", "Observation", "ServiceRequest", "CarePlan", "Goal", "MedicationRequest",
     "MedicationStatement", "MedicationAdministration", "Communication", "DiagnosticReport", "NutritionOrder")
)  # fmt: skip
#: The extension by which R4 names a focus by code instead of by reference.
_FOCUS_CODE = "http://hl7.org/fhir/StructureDefinition/observation-focusCode"
_WORDS = (
    (FETUS, re.compile(
        r"\bf(?:o?e)t(?:us|al)\b|\bcord (?:blood|arter|ven)|\bumbilical (?:cord|arter|v[ei])|\bamniotic", re.I
    )),
    (NEWBORN, re.compile(r"\bnewborn|\bneonat|\bbirth[ -]?weight|\bapgar|\bbaby\b|\binfant\b", re.I)),
    (DONOR, re.compile(r"\bdonor", re.I)),
    (RELATIVE, re.compile(r"\b(?:partner|spouse|husband|father|sibling)(?:'s)?\b|\bfamily history\b", re.I)),
)  # fmt: skip
_FAMILY_HISTORY = re.compile(r"^(?:no )?(?:known )?(?:family history|fam(?:ily)? hx|fh)\b", re.I)


SpecimenLookUp = Callable[[str, str], str]
"""From (id of a specimen, id of the patient) to whose material it is, empty for the patient's own."""


def find_observed_subject(resource: Resource, patient: str, find_specimen: SpecimenLookUp) -> str:
    """Whose value an Observation has: empty for the patient's own, else the other subject."""
    return (
        _find_focus(resource, patient)
        or _find_specimen(resource, patient, find_specimen)
        or _find_profile(resource)
        or find_coded_subject(resource["code"])
        or _find_body_site(resource.get("bodySite"))
    )


def find_condition_subject(resource: Resource) -> str:
    """Whose condition it is: empty for the patient's own, else a relative."""
    return look_up_subject(resource["code"]) or (
        RELATIVE if any(_FAMILY_HISTORY.search(text) for text in _list_texts(resource["code"])) else ""
    )


def find_coded_subject(concept: Resource) -> str:
    """Whose value a code names; of a code that PMLM reads as the patient's, its display too."""
    codes = tuple(list_codes(concept))
    subject = _look_up_codes(codes)
    if subject or not any(map(SIGNAL_BY_CODE.__contains__, codes)):
        return subject
    return _match_words(*_list_texts(concept))


def look_up_subject(concept: Resource) -> str:
    """The subject that a code of ``other_subjects.csv`` names, or empty."""
    return _look_up_codes(tuple(list_codes(concept)))


@lru_cache(maxsize=1 << 12)
def _look_up_codes(codes: tuple[str, ...]) -> str:
    exact, categories = _read_table()
    found = (exact.get(code) or categories.get(code.partition(".")[0]) for code in codes)
    return next(filter(None, found), "")


def find_material(specimen: Resource) -> str:
    """Whose material a Specimen's type names, or empty."""
    return _find_in_concepts(specimen.get("type"))


def find_contained_subject(specimen: Resource, patient: str) -> str:
    """Whose material a contained Specimen is; empty for the patient's own."""
    return find_material(specimen) or ("" if read_specimen_patient(specimen) in ("", patient) else OTHER)


def read_specimen_patient(specimen: Resource) -> str:
    """The id that a Specimen's ``subject`` names; empty where it names none."""
    reference = specimen.get("subject")
    text = reference.get("reference") if isinstance(reference, dict) else None
    target = read_reference({"reference": text}) if isinstance(text, str) else None
    if target is None:
        return ""
    return target[1] if target[0] in (None, "Patient") else f"{target[0]}/{target[1]}"


def _find_focus(resource: Resource, patient: str) -> str:
    """Whose focus it is; a focus on the patient or on an own record is none."""
    for focus in resource.get("focus", ()):
        target = read_reference(focus)
        if target is not None and (target[0] in _OWN_FOCUS or target in (("Patient", patient), (None, patient))):
            continue
        return _match_words(focus.get("display", ""), focus.get("reference", "")) or OTHER
    for extension in resource.get("extension", ()):
        if isinstance(extension, dict) and extension.get("url") == _FOCUS_CODE:
            return _find_in_concepts(extension.get("valueCodeableConcept")) or OTHER
    return ""


def _find_specimen(resource: Resource, patient: str, find_specimen: SpecimenLookUp) -> str:
    reference = resource.get("specimen")
    if not reference:
        return ""
    target = read_reference(reference)
    if target and target[1].startswith("#"):
        contained = (c for c in resource.get("contained", ()) if isinstance(c, dict) and c.get("id") == target[1][1:])
        return next((find_contained_subject(c, patient) for c in contained), "")
    return (find_specimen(target[1], patient) if target else "") or _match_words(reference.get("display", ""))


def _find_profile(resource: Resource) -> str:
    """The subject that a profile's name gives (``…/birth-weight``)."""
    meta = resource.get("meta")
    profiles = meta.get("profile") if isinstance(meta, dict) else None
    return _match_words(*(_name_profile(p) for p in profiles if isinstance(p, str))) if profiles else ""


@lru_cache(maxsize=256)
def _name_profile(url: str) -> str:
    return url.rpartition("/")[2].replace("-", " ").replace("_", " ")


def _find_body_site(concept: Any) -> str:
    """``FETUS`` for a site in a fetus; any other site is the patient's."""
    return FETUS if concept and _find_in_concepts(concept) == FETUS else ""


def _find_in_concepts(concept: Any) -> str:
    if not isinstance(concept, dict):
        return ""
    return look_up_subject(concept) or _match_words(*_list_texts(concept))


def _list_texts(concept: Resource) -> Iterator[str]:
    codings = concept["coding"] if isinstance(concept.get("coding"), list) else ()
    texts = (concept.get("text"), *(c.get("display") for c in codings if isinstance(c, dict)))
    yield from (text for text in texts if isinstance(text, str))


@lru_cache(maxsize=1 << 12)
def _match_words(*texts: str) -> str:
    """The first subject whose words occur in a text, or empty."""
    return next((subject for subject, words in _WORDS if any(map(words.search, texts))), "")


@cache
def _read_table() -> tuple[dict[str, str], dict[str, str]]:
    """Exact codes, and ICD-10 categories all of whose codes mean the same."""
    exact, categories = dict[str, str](), dict[str, str]()
    with _TABLE.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            place = categories if row["system"] == "ICD10" else exact
            place[f"{row['system']}//{row['code']}"] = row["subject"]
    return exact, categories
