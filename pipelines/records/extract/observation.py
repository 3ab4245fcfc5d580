"""Observation: signals in canonical units, other numbers, coded answers, dates; ratings of replies."""

from __future__ import annotations

from typing import Any

from models.patient.bounds import PRELIMINARY
from models.vocabulary import RATING_CODE, SIGNAL_BY_CODE, Signal
from pipelines.records.extract.facts import RETRACTED, UNDATED, ExtractedFacts, ExtractionContext, Fact
from pipelines.records.extract.pregnancy import is_pregnancy_value, read_pregnancy_value
from pipelines.records.interpret.other_subjects import find_coded_subject, find_observed_subject
from pipelines.records.read.coding import CodedConcept, choose_coding, clean_text, list_units
from pipelines.records.read.fhir_time import Micros, choose_latest, read_time
from pipelines.records.read.identity import read_reference
from pipelines.records.read.raw_resource import Resource, ResourceError
from pipelines.records.read.ucum import convert_value

PORTAL = "https://pmlm.dev/fhir/CodeSystem/portal"
_RATING = "reply-rating"
_SYSTOLIC, _DIASTOLIC = "LOINC//8480-6", "LOINC//8462-4"

#: ``registered``: there is no result yet. A ``preliminary`` value counts: a danger must be seen before the final one.
_NO_RESULT = (RETRACTED, "cancelled", "registered")

ObservedValue = tuple[float | None, str | None, str | None]
"""(number, text, unit) of a fact; all None where there is no value. A number's text is its comparator."""


def extract_observation(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """One fact for the value and one per component; none for strings."""
    issued = context.check_past(read_time(resource, "issued"), "issued")
    effective = read_time(resource, "effectiveDateTime", "effectiveInstant", "effectivePeriod")
    time = effective if context.check_past(effective, "effective") is not None else issued
    components, names = _name_components(resource.get("component", []))
    facets = ("", *names)
    if resource["status"] in _NO_RESULT:
        return ExtractedFacts(facets=facets)
    if _is_rating(resource):
        return _extract_rating(resource, time, choose_latest(issued, time))
    if subject := find_observed_subject(resource, context.patient, context.find_specimen):
        return ExtractedFacts(facets=facets, ignored=subject)
    extracted = ExtractedFacts(facets=facets)
    for part, facet in ((resource, ""), *zip(components, names, strict=True)):
        if part is resource or not find_coded_subject(part["code"]):
            _add_fact(extracted, resource, part, facet, time, choose_latest(issued, time), context)
    if time is None:
        _drop_signals(extracted)
    _add_blood_pressure_row(extracted)
    return extracted


def _name_components(components: list[Resource]) -> tuple[list[Resource], list[str]]:
    """The components without exact repeats, and a facet for each.

    Two values of one signal have no time of their own: which of them counts is not for us to choose.
    """
    found, names = list[Resource](), list[str]()
    for part in components:
        if part in found:
            continue
        code = choose_coding(part["code"]).code
        again = sum(name.partition("#")[0] == code for name in names)
        if again and code in SIGNAL_BY_CODE:
            raise ResourceError("repeated_component", f"component has {SIGNAL_BY_CODE[code].name} more than once")
        found.append(part)
        names.append(f"{code}#{again + 1}" if again else code)
    return found, names


def _add_fact(
    extracted: ExtractedFacts,
    resource: Resource,
    part: Resource,
    facet: str,
    time: Micros | None,
    known: Micros | None,
    context: ExtractionContext,
) -> None:
    concept = context.clean_concept(choose_coding(part["code"]))
    signal = SIGNAL_BY_CODE.get(concept.code)
    number, text, unit = _read_signal_value(part, signal) if signal else _read_other_value(part, context)
    if number is not None and resource["status"] == PRELIMINARY:
        text = f"{text} {PRELIMINARY}" if text else PRELIMINARY
    if is_pregnancy_value(concept.code):
        text = read_pregnancy_value(concept.code, part, resource) or text
    if number is None and text is None:
        return
    if "dataAbsentReason" in part:
        raise ResourceError("two_values", "a value and dataAbsentReason are there")
    extracted.facts.append(Fact("observation", concept.code, time, number, text, unit, facet, known))
    low, high = (signal.low, signal.high) if signal else (None, None)
    row = {"code": concept.code, "start": time, "value": number, "low": low, "high": high, "text": text}
    extracted.rows.append(("observations", row))


def _read_signal_value(part: Resource, signal: Signal) -> ObservedValue:
    """The value in the signal's canonical unit; ``ResourceError`` for any other unit."""
    if "valueInteger" in part and signal.unit == "{score}":
        return float(part["valueInteger"]), None, signal.unit
    quantity = part.get("valueQuantity", {})
    if "value" not in quantity:
        return None, None, None
    named = list_units(quantity) or ((signal.unit,) if signal.unit == "{score}" else ())
    value = next((v for u in named if (v := convert_value(signal, float(quantity["value"]), u)) is not None), None)
    if value is None:
        raise ResourceError("unknown_unit", f"the unit of {signal.name} does not convert to {signal.unit}")
    return value, quantity.get("comparator"), signal.unit


def _read_other_value(part: Resource, context: ExtractionContext) -> ObservedValue:
    quantity: dict[str, Any] = part.get("valueQuantity", {})
    if "value" in quantity:
        return float(quantity["value"]), quantity.get("comparator"), context.read_unit(quantity)
    if "valueInteger" in part:
        return float(part["valueInteger"]), None, None
    if "valueCodeableConcept" in part:
        answer: CodedConcept = context.clean_concept(choose_coding(part["valueCodeableConcept"]))
        return None, clean_text(answer.text) or None, None
    if "valueBoolean" in part:
        return None, "true" if part["valueBoolean"] else "false", None
    # as written: a calendar date keeps its date whatever its offset, and a partial one stays partial
    return None, part.get("valueDateTime"), None


def _is_rating(resource: Resource) -> bool:
    codings = resource["code"].get("coding", [])
    return any(c.get("system") == PORTAL and c.get("code") == _RATING for c in codings)


def _extract_rating(resource: Resource, time: Micros | None, known: Micros | None) -> ExtractedFacts:
    """A patient's rating of a reply, 1 to 5."""
    rated = next(filter(None, (read_reference(r) for r in resource.get("focus", []))), None)
    if rated is None:
        raise ResourceError("missing_field", "focus names no reply")
    if "valueInteger" not in resource:
        raise ResourceError("missing_field", "valueInteger is missing")
    value = float(resource["valueInteger"])
    parent = ("Communication", rated[1])
    return ExtractedFacts(
        [Fact("rating", RATING_CODE, time, number=value, known=known, parent=parent)],
        [("ratings", {"rating": value, "start": time})],
    )


def _drop_signals(extracted: ExtractedFacts) -> None:
    """Drop the signals of an observation without a time: a measurement of years ago is not of today."""
    dated = [fact for fact in extracted.facts if fact.code not in SIGNAL_BY_CODE]
    if extracted.facts and not dated:
        extracted.ignored = UNDATED
    extracted.facts = dated


def _add_blood_pressure_row(extracted: ExtractedFacts) -> None:
    values = {f.code: f.number for f in extracted.facts}
    if _SYSTOLIC in values and _DIASTOLIC in values:
        row = {"systolic": values[_SYSTOLIC], "diastolic": values[_DIASTOLIC]}
        extracted.rows.append(("blood_pressures", row))
