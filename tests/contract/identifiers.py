"""What would identify a person in a clinic's raw records, read plainly from the JSON and by none of PMLM's code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

PERSONS = ("Patient", "Practitioner", "RelatedPerson")
SHORTEST = 6  # characters; anything shorter would be found in any file by chance


@dataclass(frozen=True, slots=True)
class Person:
    """One Patient or Practitioner of the records. ``needles`` are what no output may hold."""

    kind: str
    ident: str
    given: tuple[str, ...]
    family: str
    needles: frozenset[str]


def resources(drops: Path, kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Every readable resource of these types in a folder of NDJSON drops, gzipped or not."""
    for file in sorted(drops.glob("*/*.ndjson*")):
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
            for line in lines:
                if any(f'"{kind}"' in line for kind in kinds):
                    yield from _parsed(line, kinds)


def _parsed(line: str, kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    try:
        resource = json.loads(line)
    except json.JSONDecodeError:
        return  # one of the lines that are broken on purpose
    if isinstance(resource, dict) and resource.get("resourceType") in kinds:
        yield resource


def persons(drops: Path) -> list[Person]:
    """Every person of the records, once."""
    found = {p.ident: p for r in resources(drops, PERSONS) if (p := _person(r)) is not None}
    return list(found.values())


def _person(resource: dict[str, Any]) -> Person | None:
    names = resource.get("name")
    if not isinstance(names, list) or not names or not isinstance(names[0], dict):
        return None
    given, family = tuple(names[0].get("given", ())), str(names[0].get("family", ""))
    needles = {str(resource["id"]), f"{given[0]} {family}", f"{family}, {given[0]}"} if given else {str(resource["id"])}
    needles |= {str(entry["value"]) for key in ("identifier", "telecom") for entry in resource.get(key, ())}
    needles |= {line for address in resource.get("address", ()) for line in address.get("line", ())}
    needles |= {"".join(c for c in entry["value"] if c.isdecimal()) for entry in resource.get("telecom", ())}
    needles |= _birth(resource.get("birthDate"))
    kept = frozenset(n for n in needles if len(n) >= SHORTEST)
    return Person(resource["resourceType"], str(resource["id"]), given, family, kept)


def _birth(text: Any) -> set[str]:
    """A date of birth as it may be written."""
    try:
        day = date.fromisoformat(text)
    except (TypeError, ValueError):
        return set()
    written = ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y")
    return {day.strftime(form) for form in written}
