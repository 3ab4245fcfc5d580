"""What an extractor is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pipelines.records.deidentify.scrub import Scrubber
from pipelines.records.read.coding import CodedConcept, list_units
from pipelines.records.read.fhir_time import Micros, parse_latest_time, parse_time
from pipelines.records.read.raw_resource import Resource, ResourceError

RETRACTED = "entered-in-error"
#: The facet of a fact that ends another.
END = "end"


class Fact(NamedTuple):
    """One event to be. ``known`` is when a history says it became known, ``answers`` the (type, id) it answers.

    ``facet`` tells the facts of one resource apart; times are microseconds since 1970, None where unknown.
    """

    kind: str
    code: str
    time: Micros | None
    number: float | None = None
    text: str | None = None
    unit: str | None = None
    facet: str = ""
    known: Micros | None = None
    answers: tuple[str, str] | None = None


@dataclass(slots=True)
class ExtractedFacts:
    """The facts of one resource (none where it says nothing PMLM uses) and its rows of the parsed tables.

    ``facets`` names every facet an earlier version may have had beyond those of ``facts``, ``visit`` the id of the
    encounter it belongs to.
    """

    facts: list[Fact] = field(default_factory=list)
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    facets: tuple[str, ...] = ()
    visit: str | None = None


@dataclass(slots=True)
class ExtractionContext:
    """What is known around a resource: the patient, the end of the drop's day, drugs by id, and the scrubber."""

    end: Micros
    medications: Mapping[int, CodedConcept]
    key_of: Callable[[str, str], int]
    scrubber: Scrubber
    subject: int = 0

    def medication(self, ident: str) -> CodedConcept | None:
        """The drug a Medication of this or an earlier drop names."""
        return self.medications.get(self.key_of("Medication", ident))

    def clean(self, coded: CodedConcept) -> CodedConcept:
        """The concept with its text scrubbed; a local code that names someone gives way to its hash."""
        if coded.local and self.scrubber.names_someone(coded.code, self.subject):
            coded = replace(coded, code=f"LOCAL//{self.key_of('code', coded.code):x}")
        text = self.scrubber.display(coded.text, self.subject, coded.local)
        return coded if text == coded.text else replace(coded, text=text)

    def unit(self, quantity: Resource) -> str | None:
        """How a quantity names its unit, or None where it names none, or someone."""
        named = next(iter(list_units(quantity)), None)
        return None if named is not None and self.scrubber.names_someone(named, self.subject) else named

    def scrub(self, text: str) -> str:
        """A free text without identifiers."""
        return self.scrubber.message(text, self.subject)

    def past(self, at: Micros | None, name: str) -> Micros | None:
        """The moment itself; ``Broken`` where it lies after the end of the drop's day."""
        if at is not None and at > self.end:
            raise ResourceError("future_date", f"{name} is after the drop's day")
        return at


def read_time(resource: Resource, *names: str) -> Micros | None:
    """The first of the named dateTime or Period fields that is there, a Period by its start (else its end)."""
    for name in names:
        value = resource.get(name)
        if isinstance(value, str):
            return parse_time(value)
        if isinstance(value, dict) and ("start" in value or "end" in value):
            return parse_time(value.get("start") or value["end"])
    return None


def read_period_end(resource: Resource, name: str) -> Micros | None:
    """The end of a Period field that has one, or None."""
    value = resource.get(name)
    return parse_time(value["end"]) if value and "end" in value else None


def read_latest_end(resource: Resource, *names: str) -> Micros | None:
    """The last moment the first of the named dateTime or Period fields can mean: what must not lie before a start."""
    for name in names:
        value = resource.get(name)
        text = value.get("end") if isinstance(value, dict) else value
        if text is not None:
            return parse_latest_time(text)
    return None


def choose_latest(*moments: Micros | None) -> Micros | None:
    """The latest of the moments that are known, or None: nothing is known before it has happened."""
    return max((m for m in moments if m is not None), default=None)
