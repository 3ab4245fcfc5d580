"""Read the medicine orders of a draft bundle, and count what could not be read.

Every entry is read, whatever its place; the request's size alone bounds them. An order is known by its type or by its
medicine, so that one within a ``RequestGroup`` or of a type we do not know is checked too. Source: CDS Hooks,
order-sign and order-select (``draftOrders``, ``selections``); FHIR R4 and R5, MedicationRequest and Medication.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from models.safety.triage.text_normalization import normalize_text
from models.templates import sanitize_record_text

MEDICINES = frozenset({"MedicationRequest", "MedicationOrder", "MedicationPrescription"})
_MEDICINE_FIELDS = ("medication", "medicationCodeableConcept", "medicationReference")
#: Medicine orders that are checked: about a second of work, which is as long as a client waits.
MOST = 500
_DEEPEST = 8  # a Medication names ingredients by reference, and those others
_SOUND_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_SOUND_TYPE = re.compile(r"[A-Za-z]{1,64}")


@dataclass(frozen=True, slots=True)
class DraftOrder:
    """A draft order: ``Type/id`` if it has an id, safe names to show, and the words to check."""

    reference: str | None
    names: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class DraftOrders:
    """The medicine orders of a bundle, and how much of it could not be read.

    ``beyond``: orders beyond :data:`MOST`; ``unreadable``: entries without a resource; ``missing``: selections that
    name nothing in the bundle.
    """

    orders: tuple[DraftOrder, ...]
    beyond: int = 0
    unreadable: int = 0
    missing: int = 0

    @property
    def unnamed(self) -> int:
        """Orders whose medicine has no name in words."""
        return sum(not order.names for order in self.orders)


def read_orders(bundle: dict[str, Any], selections: list[str] | None) -> DraftOrders:
    """The (selected) medicine orders of a Bundle, and what of it could not be read."""
    entries = _list(bundle.get("entry"))
    pairs = ((entry.get("fullUrl"), _dict(entry.get("resource"))) for entry in map(_dict, entries))
    resources = [(url, resource) for url, resource in pairs if _is_resource(resource)]
    present = {key: r for url, r in resources for key in _list_keys(url, r)}
    chosen = None if selections is None else {str(s).rpartition("/")[2] for s in selections}
    listed = [
        one
        for url, resource in resources
        if chosen is None or chosen & {key.rpartition("/")[2] for key in _list_keys(url, resource)}
        for one in _walk_medicines(resource, _list_contained(resource))
    ]
    ids = {key.rpartition("/")[2] for key in present}
    return DraftOrders(
        orders=tuple(_read_order(resource, contained, present) for resource, contained in listed[:MOST]),
        beyond=max(0, len(listed) - MOST),
        unreadable=len(entries) - len(resources) + ("entry" in bundle and not isinstance(bundle["entry"], list)),
        missing=len((chosen or set()) - ids),
    )


_Contained = dict[str, dict[str, Any]]


def _walk_medicines(resource: dict[str, Any], contained: _Contained) -> Iterator[tuple[dict[str, Any], _Contained]]:
    """The resource, and those within it, that order a medicine."""
    if resource["resourceType"] in MEDICINES or any(name in resource for name in _MEDICINE_FIELDS):
        yield resource, contained
        return
    for inner in contained.values():
        if inner["resourceType"] in MEDICINES or any(name in inner for name in _MEDICINE_FIELDS):
            yield inner, contained


def _read_order(resource: dict[str, Any], contained: _Contained, present: dict[str, dict[str, Any]]) -> DraftOrder:
    kind, ident = resource["resourceType"], resource.get("id")
    sound = isinstance(ident, str) and _SOUND_ID.fullmatch(ident) and _SOUND_TYPE.fullmatch(kind)
    words = list(dict.fromkeys(_list_medicine_words(resource, contained, present, _DEEPEST)))
    names = dict.fromkeys(name for name in map(sanitize_record_text, words) if name)
    return DraftOrder(f"{kind}/{ident}" if sound else None, tuple(names), normalize_text(" ".join(words)))


def _list_medicine_words(
    holder: dict[str, Any], contained: _Contained, present: dict[str, dict[str, Any]], depth: int
) -> Iterator[str]:
    """The names of a medicine: a concept's text and displays, directly or through a reference."""
    for prefix in ("medication", "item"):  # of an order, and of a Medication's ingredient
        plain = holder.get(prefix)  # R5: a CodeableReference
        yield from _list_concept_words(holder.get(f"{prefix}CodeableConcept"))
        yield from _list_concept_words(_dict(plain).get("concept"))
        for reference in (holder.get(f"{prefix}Reference"), _dict(plain).get("reference")):
            yield from _list_reference_words(_dict(reference), contained, present, depth)


def _list_reference_words(
    reference: dict[str, Any], contained: _Contained, present: dict[str, dict[str, Any]], depth: int
) -> Iterator[str]:
    if isinstance(display := reference.get("display"), str):
        yield display
    target = reference.get("reference")
    if not isinstance(target, str) or not depth:
        return
    found = contained.get(target[1:]) if target.startswith("#") else present.get(_key_of(target))
    if found is None:
        return
    yield from _list_concept_words(found.get("code"))
    inside = _list_contained(found) or contained
    for ingredient in _list(found.get("ingredient")):
        yield from _list_medicine_words(_dict(ingredient), inside, present, depth - 1)


def _list_concept_words(concept: Any) -> Iterator[str]:
    concept = _dict(concept)
    for text in (concept.get("text"), *(_dict(c).get("display") for c in _list(concept.get("coding")))):
        if isinstance(text, str) and text.strip():
            yield text


def _list_contained(resource: dict[str, Any]) -> _Contained:
    inside = (r for r in _list(resource.get("contained")) if _is_resource(r))
    return {str(r.get("id", number)).removeprefix("#"): r for number, r in enumerate(inside)}


def _list_keys(url: Any, resource: dict[str, Any]) -> Iterable[str]:
    """By what a reference may name an entry: ``Type/id``, its address, its ``urn:uuid:``."""
    if isinstance(resource.get("id"), str):
        yield f"{resource['resourceType']}/{resource['id']}"
    if isinstance(url, str) and url:
        yield _key_of(url)


def _key_of(target: str) -> str:
    """A reference without its server and version: ``Type/id``, or a ``urn:`` as it is."""
    return target if target.startswith("urn:") else "/".join(target.partition("/_history/")[0].split("/")[-2:])


def _is_resource(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("resourceType"), str)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
