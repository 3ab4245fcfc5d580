"""SMART on FHIR scopes, versions 1 and 2: what a token may read.

    system/Patient.rs   user/*.read   patient/Observation.rs?category=laboratory

``<level>/<resource or *>.<interactions>``; the interactions are letters of ``cruds`` (version 2) or ``read``, ``write``
and ``*`` (version 1). Scopes add up within their level alone: what ``user`` and ``system`` cover is open for the whole
clinic, what ``patient`` covers for the patient in context. Source: HL7 SMART App Launch 2.2, "Scopes for requesting
FHIR resources". A scope with a search restriction (``?…``) opens less than the resource, so it opens nothing here: no
answer of ours is restricted so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SCOPE = re.compile(r"(patient|user|system)/([A-Z][A-Za-z]+|\*)\.(read|write|\*|c?r?u?d?s?)")
PATIENT = "patient"  # the level of the patient in context
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}


@dataclass(frozen=True, slots=True)
class ScopeNeed:
    """One FHIR resource and the interactions with it that a route amounts to."""

    resource: str
    interactions: str

    def __str__(self) -> str:
        return f"system/{self.resource}.{self.interactions}"


def find_levels(scopes: Iterable[str], need: ScopeNeed) -> frozenset[str]:
    """The levels whose scopes allow every interaction of ``need``; what is no SMART scope allows nothing."""
    allowed: dict[str, set[str]] = {}
    for scope in scopes:
        if (found := _SCOPE.fullmatch(scope)) and found[2] in ("*", need.resource):
            allowed.setdefault(found[1], set()).update(_VERSION_1.get(found[3], found[3]))
    return frozenset(level for level, interactions in allowed.items() if set(need.interactions) <= interactions)


def only_patient_level(scopes: Iterable[str]) -> bool:
    """Whether every SMART scope is of the level ``patient``, which opens one patient's record only."""
    levels = {found[1] for scope in scopes if (found := _SCOPE.fullmatch(scope))}
    return levels == {PATIENT}
