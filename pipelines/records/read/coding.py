"""CodeableConcepts as ``SYSTEM//code`` with a clean line of display text; units as Quantities name them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from models.patient.pregnancy_statements import PREGNANCY_CODES
from models.vocabulary import SIGNAL_BY_CODE, SYSTEMS, find_concept
from pipelines.records.read.raw_resource import Resource

MAX_TEXT = 120  # characters of a display
MAX_MESSAGE = 20_000  # characters of a message

#: How other generators spell the systems of ``models.vocabulary.SYSTEMS``.
_OTHER_SPELLINGS: dict[str, str] = {
    "urn:oid:2.16.840.1.113883.6.1": "LOINC",
    "urn:oid:2.16.840.1.113883.6.96": "SNOMED",
    "urn:oid:2.16.840.1.113883.6.88": "RXNORM",
    "urn:oid:2.16.840.1.113883.6.3": "ICD10",
    "urn:oid:2.16.840.1.113883.6.90": "ICD10",
    "urn:oid:2.16.840.1.113883.6.4": "ICD10PCS",
    "urn:oid:2.16.840.1.113883.6.12": "CPT",
    "urn:oid:2.16.840.1.113883.6.69": "NDC",
    "urn:oid:2.16.840.1.113883.12.292": "CVX",
    "urn:oid:2.16.840.1.113883.6.73": "ATC",
}
_ICD9 = ("http://hl7.org/fhir/sid/icd-9-cm", "urn:oid:2.16.840.1.113883.6.103")
_UNSAFE = re.compile(r"[^A-Za-z0-9.\-_:+/^]")


@dataclass(frozen=True, slots=True)
class CodedConcept:
    """A concept as the log stores it; ``local`` for a code of an unknown system."""

    code: str
    text: str
    local: bool


@lru_cache(maxsize=1024)
def look_up_system(uri: str) -> str | None:
    """The short name of a code system's URI, or None for an unknown system."""
    known = SYSTEMS.get(uri) or SYSTEMS.get(uri.rstrip("/")) or _OTHER_SPELLINGS.get(uri)
    if known:
        return known
    if uri in _ICD9:
        return "ICD9"
    return "ICD10" if re.search(r"icd-?10", uri, re.I) else None


def choose_coding(concept: Resource) -> CodedConcept:
    """The best coding of a checked CodeableConcept, by ``_rank_coding``.

    Without a code, the text's hash stands for one (``TEXT//…``), so that equal texts are one code.
    """
    codings = [c for c in concept.get("coding", []) if isinstance(c.get("code"), str)]
    best = max(codings, key=_rank_coding, default=None)
    display = (best or {}).get("display") or concept.get("text") or _first_display(concept)
    text = clean_text(display or "")
    if best is None:
        return CodedConcept(f"TEXT//{blake2b(text.casefold().encode(), digest_size=6).hexdigest()}", text, True)
    system = look_up_system(best.get("system") or "")
    code = _UNSAFE.sub("_", best["code"].strip())
    return CodedConcept(
        f"{system or 'LOCAL'}//{_add_icd10_dot(code) if system == 'ICD10' else code}", text or code, system is None
    )


def list_codes(concept: Resource) -> Iterator[str]:
    """Every coding of a known system, as ``SYSTEM//code``; malformed ones are passed over."""
    codings = concept.get("coding")
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict) and isinstance(coding.get("code"), str):
            system = look_up_system(str(coding.get("system") or ""))
            code = coding["code"].strip()
            if system is not None:
                yield f"{system}//{_add_icd10_dot(code) if system == 'ICD10' else code}"


def _rank_coding(coding: Resource) -> int:
    """2 for a code PMLM uses, 1 for a known system, else 0."""
    system = look_up_system(coding.get("system") or "")
    if system is None:
        return 0
    code = f"{system}//{_add_icd10_dot(coding['code']) if system == 'ICD10' else coding['code']}"
    return 2 if code in SIGNAL_BY_CODE or find_concept(code) is not None or code in PREGNANCY_CODES else 1


def _first_display(concept: Resource) -> str | None:
    return next((c["display"] for c in concept.get("coding", []) if isinstance(c.get("display"), str)), None)


def _add_icd10_dot(code: str) -> str:
    """An ICD-10 code with its dot: some exports omit it (``O244`` is ``O24.4``)."""
    return code if "." in code or len(code) <= 3 else f"{code[:3]}.{code[3:]}"


@lru_cache(maxsize=1 << 14)
def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """The text as one line of at most ``limit`` characters, without control or invisible characters."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())[:limit].rstrip()
    visible = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") else c for c in text)
    return " ".join("".join(c for c in visible if unicodedata.category(c) != "Cf").split())[:limit].rstrip()


def list_units(quantity: Resource) -> tuple[str, ...]:
    """The unit names of a Quantity: the UCUM code, then the printed unit."""
    return tuple(clean_text(quantity[key], 32) for key in ("code", "unit") if key in quantity)


def read_status_code(concept: Resource | None) -> str | None:
    """The first code of a status concept (clinicalStatus, verificationStatus), or None."""
    codings = (concept or {}).get("coding", [])
    return next((c["code"] for c in codings if "code" in c), None)
