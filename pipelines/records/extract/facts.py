"""What an extractor takes (``ExtractionContext``) and returns (``ExtractedFacts``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pipelines.records.deidentify.scrub import Scrubber
from pipelines.records.read.coding import CodedConcept, list_units
from pipelines.records.read.fhir_time import MICROS_PER_DAY, Micros, choose_latest
from pipelines.records.read.raw_resource import Resource, ResourceError

RETRACTED = "entered-in-error"
#: Why what was done once, at a time that is not on record, is no fact.
UNDATED = "unknown time"
#: The facet of a fact that ends another.
END = "end"


class Fact(NamedTuple):
    """One fact of a resource, the draft of an event; times are microseconds since 1970.

    ``facet`` distinguishes the facts of one resource. ``known`` is when its record says the fact became known.
    ``parent`` is the (type, id) of what it answers or ends.
    """

    kind: str
    code: str
    time: Micros | None
    number: float | None = None
    text: str | None = None
    unit: str | None = None
    facet: str = ""
    known: Micros | None = None
    parent: tuple[str, str] | None = None


@dataclass(slots=True)
class ExtractedFacts:
    """The facts of one resource, possibly none, and its rows of the tables to validate.

    ``facets`` lists facets an earlier version may have had beyond those of ``facts``; ``encounter`` is the id of the
    resource's encounter. ``ignored`` says why a sound resource is no fact of the patient's: empty where it counts.
    """

    facts: list[Fact] = field(default_factory=list)
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    facets: tuple[str, ...] = ()
    encounter: str | None = None
    ignored: str = ""


@dataclass(slots=True)
class ExtractionContext:
    """Patient, end of the drop's day, drugs by pseudonym, whose specimens, and the scrubber of free text.

    ``last_active`` has, by pseudonym, the end of the last drop that called a pregnancy's entry active; those that this
    drop calls so go to ``active``.
    """

    end: Micros
    medications: Mapping[int, CodedConcept]
    pseudonym: Callable[[str, str], int]
    scrubber: Scrubber
    find_specimen: Callable[[str, str], str] = lambda specimen, patient: ""
    subject: int = 0
    patient: str = ""
    last_active: Mapping[int, Micros] = field(default_factory=dict)
    active: set[int] = field(default_factory=set)

    def find_medication(self, ident: str) -> CodedConcept | None:
        """The drug that a Medication of this or an earlier drop names."""
        return self.medications.get(self.pseudonym("Medication", ident))

    def mark_active(self, kind: str, resource: Resource) -> None:
        """Note that this drop calls a pregnancy's entry active."""
        self.active.add(self.pseudonym(kind, resource["id"]))

    def bound_end(self, kind: str, resource: Resource, start: Micros | None) -> tuple[Micros, float | None]:
        """The latest time of an end without a date, this drop's, and the days before it that are possible too.

        It lies after the last drop that called the entry active; where there was none, after ``start``.
        """
        seen = self.last_active.get(self.pseudonym(kind, resource["id"]))
        first = choose_latest(seen, start)
        return self.end, None if first is None else float(-(-(self.end - first) // MICROS_PER_DAY))

    def clean_concept(self, concept: CodedConcept) -> CodedConcept:
        """Scrub the text; replace a local code that identifies someone by its hash."""
        if concept.local and self.scrubber.has_identifier(concept.code, self.subject):
            concept = replace(concept, code=f"LOCAL//{self.pseudonym('code', concept.code):x}")
        text = self.scrubber.scrub_display(concept.text, self.subject, concept.local)
        return concept if text == concept.text else replace(concept, text=text)

    def read_unit(self, quantity: Resource) -> str | None:
        """A quantity's unit; None where it has none, or one that identifies someone."""
        unit = next(iter(list_units(quantity)), None)
        return None if unit is not None and self.scrubber.has_identifier(unit, self.subject) else unit

    def scrub_message(self, text: str) -> str:
        """A free text without identifiers."""
        return self.scrubber.scrub_message(text, self.subject)

    def check_past(self, at: Micros | None, name: str) -> Micros | None:
        """The time itself; ``ResourceError`` where it is after the drop's day."""
        if at is not None and at > self.end:
            raise ResourceError("future_date", f"{name} is after the drop's day")
        return at
