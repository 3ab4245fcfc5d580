"""Map a clinic's own codes to public ones, by its ConceptMaps and its ``codes.csv``.

The files lie beside ``clinic.yaml``. A mapped coding is added to its concept, which keeps its own; so everything after
reads the concept as if the clinic had coded it so. Only a target that means the same as the clinic's code, or more, is
taken: never one that claims a detail which the code does not.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.records.read.coding import look_up_system
from pipelines.records.read.raw_resource import RawResource, Resource, parse_json
from pmlm.errors import RecordsError

CSV = "codes.csv"
COLUMNS = ("system", "code", "target_system", "target_code")
#: In ``codes.csv`` the system of a concept that has a text and no code; its code is the text.
TEXT = "text"
#: Relations of a ConceptMap's target to its source, in R4 and in R5, in which the target is true of the source.
SOUND_RELATIONS = frozenset({"equivalent", "equal", "wider", "subsumes", "source-is-narrower-than-target"})
#: URIs by which a mapped coding names the systems that a file names in short.
_URIS = {
    "LOINC": "http://loinc.org",
    "SNOMED": "http://snomed.info/sct",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ICD10": "http://hl7.org/fhir/sid/icd-10-cm",
    "ATC": "http://www.whocc.no/atc",
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "CVX": "http://hl7.org/fhir/sid/cvx",
}

Key = tuple[str, str]
"""(system, code) of a coding; the system is "" for any system that PMLM does not know."""


@dataclass(frozen=True, slots=True)
class CodeMap:
    """Targets by source coding; ``digest`` changes with the clinic's files, and is empty without any."""

    targets: dict[Key, Key] = field(default_factory=dict)
    digest: str = ""

    def find_target(self, system: str, code: str) -> Key | None:
        """Find the public coding of a clinic's own, or None."""
        found = self.targets.get((system, code))
        return found or (self.targets.get(("", code)) if look_up_system(system) is None else None)


def load_code_map(folder: Path, translated: Mapping[Key, Key] | None = None) -> CodeMap:
    """Load the maps of a clinic's ``folder``, before what a terminology server has ``translated``.

    Raises ``RecordsError`` for a row that cannot be read: a map with a mistake is never taken in part.
    """
    targets, digest = dict(translated or {}), hashlib.sha256()
    for path in sorted(folder.glob("*.json")):
        value = parse_json(data := path.read_bytes())
        if isinstance(value, dict) and value.get("resourceType") == "ConceptMap":
            targets.update(_read_concept_map(value, path))
            digest.update(data)
    table = folder / CSV
    if table.exists():
        targets.update(_read_table(table))
        digest.update(table.read_bytes())
    return CodeMap(targets, digest.hexdigest() if digest.digest() != hashlib.sha256().digest() else "")


def map_codes(raws: Iterable[RawResource], codes: CodeMap) -> Iterator[RawResource]:
    """Add to every concept of the resources the coding that its own is mapped to."""
    for raw in raws:
        if codes.targets and raw.resource is not None:
            for concept in find_concepts(raw.resource):
                _add_target(concept, codes)
        yield raw


def find_concepts(resource: Resource) -> Iterator[Resource]:
    """Find every CodeableConcept of a resource, however deep."""
    waiting: list[Any] = [resource]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if isinstance(value.get("coding"), list) or set(value) == {"text"}:
                yield value
            waiting.extend(value.values())


def list_codings(concept: Resource) -> list[Key]:
    """List a concept's codings; its text stands for one where it has none."""
    codings = concept.get("coding") or []
    found = [
        (c["system"] if isinstance(c.get("system"), str) else "", c["code"].strip())
        for c in codings
        if isinstance(c, dict) and isinstance(c.get("code"), str)
    ]
    text = concept.get("text")
    return found or ([(TEXT, " ".join(text.casefold().split()))] if isinstance(text, str) else [])


def _add_target(concept: Resource, codes: CodeMap) -> None:
    own = list_codings(concept)
    target = next((t for key in own if (t := codes.find_target(*key))), None)
    if target is not None and target not in own:
        concept["coding"] = [*(concept.get("coding") or []), {"system": target[0], "code": target[1]}]


def _read_concept_map(value: dict[str, Any], path: Path) -> Iterator[tuple[Key, Key]]:
    try:
        for group in value.get("group", []):
            source, into = group.get("source", ""), group.get("target", "")
            for element in group.get("element", []):
                sound = [t for t in element.get("target", []) if _is_sound(t) and t.get("code")]
                if sound:
                    key = (source.partition("|")[0], element["code"])
                    yield key, (_read_system(into.partition("|")[0], str(path.name)), sound[0]["code"])
    except (AttributeError, KeyError, TypeError) as error:
        raise RecordsError(f"{path.name}: not a FHIR ConceptMap that can be read") from error


def _is_sound(target: dict[str, Any]) -> bool:
    relation = target.get("equivalence") or target.get("relationship")
    return relation is None or relation in SOUND_RELATIONS


def _read_table(path: Path) -> Iterator[tuple[Key, Key]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = [name.strip().lower().replace(" ", "_") for name in next(reader, [])]
        if not set(COLUMNS) <= set(header):
            raise RecordsError(f"{path.name}: its columns must be {', '.join(COLUMNS)}")
        for number, cells in enumerate(reader, start=2):
            row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            if not any(row.values()):
                continue
            system, code, into, target = (row.get(name, "") for name in COLUMNS)
            if not code or not target:
                raise RecordsError(f"{path.name} line {number}: code or target_code is missing")
            if system.lower() == TEXT:
                system, code = TEXT, " ".join(code.casefold().split())
            yield (system, code), (_read_system(into, f"{path.name} line {number}"), target)


def _read_system(name: str, place: str) -> str:
    """The URI of a target system, named by its URI or in short; ``RecordsError`` for one that PMLM does not read."""
    uri = _URIS.get(name.upper(), name)
    if look_up_system(uri) is None:
        raise RecordsError(f"{place}: {name or 'no target system'} is not a code system that PMLM reads")
    return uri
