"""CodeableConcepts as ``SYSTEM//code`` with one clean line of display text; units in UCUM's spelling."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from models.vocabulary import SIGNAL_BY_CODE, SYSTEMS, concept_of
from pipelines.records.read.raw_resource import Resource

MAX_TEXT = 120
MAX_MESSAGE = 20_000

#: How other generators spell the systems of ``models.vocabulary.SYSTEMS``.
_OTHER_SPELLINGS: dict[str, str] = {
    "urn:oid:2.16.840.1.113883.6.1": "LOINC",
    "urn:oid:2.16.840.1.113883.6.96": "SNOMED",
    "urn:oid:2.16.840.1.113883.6.88": "RXNORM",
    "urn:oid:2.16.840.1.113883.6.3": "ICD10",
    "urn:oid:2.16.840.1.113883.6.90": "ICD10",
    "urn:oid:2.16.840.1.113883.6.69": "NDC",
    "urn:oid:2.16.840.1.113883.12.292": "CVX",
    "urn:oid:2.16.840.1.113883.6.73": "ATC",
}
_ICD9 = ("http://hl7.org/fhir/sid/icd-9-cm", "urn:oid:2.16.840.1.113883.6.103")
_UNSAFE = re.compile(r"[^A-Za-z0-9.\-_:+/^]")


@dataclass(frozen=True, slots=True)
class CodedConcept:
    """A concept as the log carries it. ``local`` says that the code is of no system PMLM knows."""

    code: str
    text: str
    local: bool


@lru_cache(maxsize=1024)
def look_up_system(uri: str) -> str | None:
    """The short name of a code system's URI, or None where PMLM does not know it."""
    known = SYSTEMS.get(uri) or SYSTEMS.get(uri.rstrip("/")) or _OTHER_SPELLINGS.get(uri)
    if known:
        return known
    if uri in _ICD9:
        return "ICD9"
    return "ICD10" if re.search(r"icd-?10", uri, re.I) else None


def choose_coding(concept: Resource) -> CodedConcept:
    """The best coding of a checked CodeableConcept: one PMLM reads, else of a known system, else the first.

    Without a code, the text's hash stands for one (``TEXT//…``), so that equal texts meet.
    """
    codings = [c for c in concept.get("coding", []) if isinstance(c.get("code"), str)]
    best = max(codings, key=_rank_coding, default=None)
    shown = (best or {}).get("display") or concept.get("text") or _first_display(concept)
    text = clean_text(shown or "")
    if best is None:
        return CodedConcept(f"TEXT//{blake2b(text.casefold().encode(), digest_size=6).hexdigest()}", text, True)
    system = look_up_system(best.get("system") or "")
    code = _UNSAFE.sub("_", best["code"].strip())
    return CodedConcept(
        f"{system or 'LOCAL'}//{_add_icd10_dot(code) if system == 'ICD10' else code}", text or code, system is None
    )


def _rank_coding(coding: Resource) -> int:
    """2 for a code PMLM reads, 1 for one of a system it knows, 0 for any other; ``max`` keeps the first of equals."""
    system = look_up_system(coding.get("system") or "")
    if system is None:
        return 0
    code = f"{system}//{_add_icd10_dot(coding['code']) if system == 'ICD10' else coding['code']}"
    return 2 if code in SIGNAL_BY_CODE or concept_of(code) is not None else 1


def _first_display(concept: Resource) -> str | None:
    return next((c["display"] for c in concept.get("coding", []) if isinstance(c.get("display"), str)), None)


def _add_icd10_dot(code: str) -> str:
    """ICD-10 with its dot: some exports leave it out (``O244`` is ``O24.4``)."""
    return code if "." in code or len(code) <= 3 else f"{code[:3]}.{code[3:]}"


@lru_cache(maxsize=1 << 14)
def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """The text on a single line of at most ``limit`` characters, without control or invisible characters."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())[:limit].rstrip()
    visible = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") else c for c in text)
    return " ".join("".join(c for c in visible if unicodedata.category(c) != "Cf").split())[:limit].rstrip()


def list_units(quantity: Resource) -> tuple[str, ...]:
    """How a Quantity names its unit, most exact first: the UCUM code, then the printed unit."""
    return tuple(clean_text(quantity[key], 32) for key in ("code", "unit") if key in quantity)


def read_status_code(concept: Resource | None) -> str | None:
    """The first code of a status concept (clinicalStatus, verificationStatus), or None."""
    codings = (concept or {}).get("coding", [])
    return next((c["code"] for c in codings if "code" in c), None)
