"""Remember quarantined allergies: a list with an unread entry is not empty.

A fact of kind ``allergy.unread`` stands for the entry until a later version of it is sound, or deleted. Of versions
that conflict, each that states an allergy is a fact too, as unconfirmed: the safer reading counts.
"""

from __future__ import annotations

import re
from typing import Any

from models.vocabulary import UNREAD_ALLERGY_CODE
from pipelines.records.extract.allergy import DISPUTED, UNREAD, extract_allergy
from pipelines.records.extract.facts import ExtractionContext, Fact
from pipelines.records.read.identity import ID_PATTERN, parse_reference
from pipelines.records.read.raw_resource import RawResource, ResourceError, parse_json
from pipelines.records.validate.structure import select_allowed

KIND = "AllergyIntolerance"
_HEAD = 1 << 16
_PATIENT = re.compile(rb'"patient"\s*:\s*\{[^{}]{0,400}?"reference"\s*:\s*"([^"\\]{1,600})"')
_ID = re.compile(rb'"resourceType"\s*:\s*"AllergyIntolerance"\s*,\s*"id"\s*:\s*"([A-Za-z0-9.\-]{1,64})"')


def find_unread_allergy(raw: RawResource) -> tuple[str, str] | None:
    """(patient's id, id) of a quarantined allergy, as far as its text can be read; None for anything else."""
    text = raw.text[:_HEAD]
    if KIND.encode() not in text:
        return None
    value = parse_json(raw.text)
    if isinstance(value, dict):
        resource = value.get("resource", value)
        return _find_in_resource(resource) if isinstance(resource, dict) else None
    patient, ident = _PATIENT.search(text), _ID.search(text)
    if patient is None:
        return None
    return parse_reference(patient[1].decode(errors="replace"))[1], ident[1].decode() if ident else ""


def build_unread_facts(raw: RawResource, rule: str, context: ExtractionContext) -> list[Fact]:
    """The facts that stand for a quarantined allergy of the context's patient."""
    text = "an entry that could not be read"
    facts = [Fact("allergy.unread", UNREAD_ALLERGY_CODE, None, text=text, facet=UNREAD)]
    return facts + (_build_disputed(raw, context) if rule == "duplicate_conflict" else [])


def _find_in_resource(resource: dict[str, Any]) -> tuple[str, str] | None:
    reference = resource.get("patient")
    target = reference.get("reference") if isinstance(reference, dict) else None
    if resource.get("resourceType") != KIND or not isinstance(target, str):
        return None
    ident = resource.get("id")
    return parse_reference(target)[1], ident if isinstance(ident, str) and ID_PATTERN.fullmatch(ident) else ""


def _build_disputed(raw: RawResource, context: ExtractionContext) -> list[Fact]:
    """What one of several conflicting versions states, as unconfirmed."""
    try:
        facts = extract_allergy(select_allowed(parse_json(raw.text), KIND), context).facts
    except (ResourceError, ArithmeticError, LookupError, TypeError, ValueError):
        return []
    return [
        fact._replace(kind=f"allergy.unconfirmed.{fact.kind.rpartition('.')[2]}", facet=DISPUTED, known=None)
        for fact in facts
    ]
