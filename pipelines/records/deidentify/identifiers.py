"""Extract the names, numbers and addresses in a resource, to mask them in free text.

An identifier is a run of normalised words ("ana luisa torres", "6503 gamez neck", "5552317208"). Its scope is a
patient, or the clinic (``CLINIC``: clinicians, organisations); scope ``WORDS`` has each of its words, so that runs of
other words need no look-up. Only keyed hashes are stored: no name leaves the record, even here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipelines.records.read.identity import parse_reference
from pipelines.records.read.raw_resource import Resource

CLINIC = 0
WORDS = -1
MAX_WORDS = 8

WORD = re.compile(r"[㐀-鿿]+|[^\W_㐀-鿿]+(?:['’][^\W_㐀-鿿]+)*")
CJK = re.compile(r"[㐀-鿿]")  # Extension A too: rare characters are common in names
_REFERENCES: dict[str, tuple[str, ...]] = {
    "Encounter": ("subject", "participant.individual", "serviceProvider", "location.location"),
    "Condition": ("subject", "recorder", "asserter"),
    "Observation": ("subject", "performer"),
    "MedicationRequest": ("subject", "requester", "performer", "recorder"),
    "MedicationStatement": ("subject", "informationSource"),
    "MedicationDispense": ("subject", "performer.actor", "receiver", "location"),
    "MedicationAdministration": ("subject", "performer.actor"),
    "Procedure": ("subject", "performer.actor", "recorder", "asserter", "location"),
    "AllergyIntolerance": ("patient", "recorder", "asserter"),
    "Communication": ("subject", "sender", "recipient"),
    "PractitionerRole": ("practitioner", "organization"),
}
_TITLES = frozenset(
    ("dr", "doctor", "prof", "professor", "mr", "mrs", "ms", "miss", "nurse", "midwife", "md", "rn", "np", "cnm", "phd")
)
_PERSONS = ("Patient", "RelatedPerson", "Practitioner")
_PLACES = ("Organization", "Location")

Identifier = tuple[str, tuple[str, ...], bool]
"""(id of the patient or "" for the clinic, normalised words, whether it is part of a person's name)."""


def split_words(text: str) -> list[str]:
    """The normalised words of a text: case folded, with straight apostrophes."""
    return [w.casefold().replace("’", "'") for w in WORD.findall(text)]


def extract_digits(text: str) -> str:
    """The decimal digits of a text."""
    return "".join(c for c in text if c.isdecimal())


def extract_identifiers(resource: Resource, kind: str) -> Iterator[Identifier]:
    """Yield every identifier that a resource gives; malformed elements are skipped."""
    if kind in _PERSONS:
        yield from _extract_person(resource, kind)
    elif kind in _PLACES:
        yield from _extract_phrase("", resource.get("name"))
        yield from _extract_contacts("", resource)
    for path in _REFERENCES.get(kind, ()):
        for reference in _get_path([resource], path.split(".")):
            yield from _extract_display(reference, path in ("subject", "patient"))


def _extract_person(resource: Resource, kind: str) -> Iterator[Identifier]:
    owner = str(resource.get("id", "")) if kind == "Patient" else ""
    if kind == "RelatedPerson":
        owner = next(
            (parse_reference(r)[1] for r in _select_texts(_get_path([resource], ["patient", "reference"]))), ""
        )
    for person in (resource, *_get_path([resource], ["contact"])):
        for name in _get_path([person], ["name"]):
            yield from _extract_name(owner, name)
        yield from _extract_contacts(owner, person)
    if kind == "Patient":
        yield from _extract_phrase(owner, owner)
        for extension in _get_path([resource], ["extension"]):
            if str(extension.get("url", "")).endswith("mothersMaidenName"):
                yield from _extract_name_words(owner, extension.get("valueString"))


def _extract_name(owner: str, name: Any) -> Iterator[Identifier]:
    if isinstance(name, str):
        yield from _extract_name_words(owner, name)
        return
    if not isinstance(name, dict):
        return
    given, family = _select_texts(_get_path([name], ["given"])), _select_texts([name.get("family")])
    for text in (*given, *family, *_select_texts([name.get("text")])):
        yield from _extract_name_words(owner, text)
    joined = "".join((*family, *given))
    if CJK.search(joined):
        yield owner, (joined,), True


def _extract_name_words(owner: str, text: Any) -> Iterator[Identifier]:
    """Yield the words of a person's name (no single letters), and the name."""
    if not isinstance(text, str):
        return
    found = split_words(text)
    yield from ((owner, (word,), True) for word in found if len(word) > 1 and word not in _TITLES)
    if len(found) > 1:
        yield owner, tuple(found[:MAX_WORDS]), False


def _extract_contacts(owner: str, holder: Resource) -> Iterator[Identifier]:
    """Phones, mail addresses, record numbers, street addresses and towns."""
    for contact in (*_get_path([holder], ["telecom"]), *_get_path([holder], ["identifier"])):
        value = contact.get("value")
        yield from _extract_phrase(owner, value)
        if isinstance(value, str) and len(number := extract_digits(value)) >= 5:
            yield from ((owner, (n,), False) for n in {number, number[-10:]})
    for address in _get_path([holder], ["address"]):
        for key in ("line", "city", "postalCode", "text", "district"):
            for text in _select_texts(_get_path([address], [key])):
                yield from _extract_phrase(owner, text)


def _extract_phrase(owner: str, text: Any) -> Iterator[Identifier]:
    found = split_words(text) if isinstance(text, str) else []
    if found and (len(found) > 1 or len(found[0]) > 3):
        yield owner, tuple(found[:MAX_WORDS]), False


def _extract_display(reference: Any, is_subject: bool) -> Iterator[Identifier]:
    """The display of a reference: a person's name, or a place's as a phrase."""
    if not isinstance(reference, dict) or not isinstance(reference.get("display"), str):
        return
    target = reference.get("reference")
    kind, ident = parse_reference(target) if isinstance(target, str) else (None, "")
    if kind in _PLACES:
        yield from _extract_phrase("", reference["display"])
    else:
        yield from _extract_name_words(ident if is_subject or kind == "Patient" else "", reference["display"])


def _get_path(values: list[Any], path: list[str]) -> list[Any]:
    """The objects and texts at a path, through lists; other values are skipped."""
    for key in path:
        inner = [v.get(key) for v in values if isinstance(v, dict)]
        values = [x for v in inner for x in (v if isinstance(v, list) else [v]) if x is not None]
    return [v for v in values if isinstance(v, dict | str)]


def _select_texts(values: list[Any]) -> list[str]:
    return [v for v in values if isinstance(v, str) and v.strip()]
