"""Add broken lines, about two in a hundred, each broken in one named way.

A broken line is a damaged copy of a good one under its own id, so that quarantining it loses nothing of the history and
a test can ask that exactly these lines are quarantined.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from models.vocabulary import SIGNAL_BY_CODE
from pipelines.night_dates import end_of_day
from pipelines.synthetic.arrivals import Arrival
from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.fhir import Resource

#: Share of good lines that get a damaged copy; one kind of six makes two lines, so 2 % of all lines are broken.
SHARE = 0.0175


@dataclass(frozen=True, slots=True)
class DropLine:
    """One line of a drop's file; ``damage`` names how it is broken."""

    drop: date
    resource_type: str
    text: str
    damage: str | None = None


def to_line(arrival: Arrival) -> DropLine:
    return DropLine(arrival.drop, arrival.resource["resourceType"], _to_json(arrival.resource))


def _to_json(resource: Resource) -> str:
    return json.dumps(resource, separators=(",", ":"), ensure_ascii=False)


def damage_copy(arrival: Arrival, rng: random.Random) -> list[DropLine]:
    """Make a damaged copy of some arrivals; empty for most, and for every Patient resource."""
    resource = arrival.resource
    if resource["resourceType"] not in _DAMAGEABLE or rng.random() >= SHARE:
        return []
    kinds = [kind for kind, (applies, _) in _KINDS.items() if applies(resource)]
    weights = [3 if kind == "impossible_value" else 1 for kind in kinds]  # few lines have a value
    kind = rng.choices(kinds, weights)[0]
    copy = json.loads(json.dumps(resource)) | {"id": fhir.derive_id("damaged", kind, resource["id"], arrival.drop)}
    texts = _KINDS[kind][1](copy, arrival.drop, rng)
    return [DropLine(arrival.drop, resource["resourceType"], text, kind) for text in texts]


_EVENT = {
    "Encounter": "period",
    "Condition": "onsetDateTime",
    "Observation": "effectiveDateTime",
    "MedicationRequest": "authoredOn",
    "Procedure": "performedDateTime",
    "Communication": "sent",
}
_DAMAGEABLE = frozenset(_EVENT)


def _has_signal_value(resource: Resource) -> bool:
    code = next(fhir.read_codings(resource.get("code")), ("", "", ""))[1]
    return "valueQuantity" in resource and f"LOINC//{code}" in SIGNAL_BY_CODE


def _truncate(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    text = _to_json(resource)
    return [text[: rng.randrange(len(text) // 3, len(text) - 2)]]


def _change_type(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    """Put a number where a text belongs, or a text where an object belongs."""
    if "valueQuantity" in resource and rng.random() < 0.5:
        resource["valueQuantity"]["value"] = "normal"
    else:
        name = _EVENT[resource["resourceType"]]
        resource[name] = "last week" if name == "period" else 20260531
    return [_to_json(resource)]


def _set_impossible_value(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    resource["valueQuantity"]["value"] = rng.choice((-7.0, 99999.0))
    return [_to_json(resource)]


def _set_unknown_patient(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    stranger = fhir.derive_id("stranger", resource["id"])
    if resource["resourceType"] == "Communication" and "inResponseTo" not in resource:
        resource["sender"] = fhir.build_reference("Patient", stranger)
    return [_to_json(resource | {"subject": fhir.build_reference("Patient", stranger)})]


def _set_future_date(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    when = fhir.format_instant(end_of_day(drop + timedelta(days=rng.randrange(60, 700))))
    name = _EVENT[resource["resourceType"]]
    resource[name] = {"start": when, "end": when} if name == "period" else when
    return [_to_json({k: v for k, v in resource.items() if k not in ("issued", "abatementDateTime")})]


def _duplicate_with_conflict(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    """Give the same id twice in one drop with different content."""
    other = json.loads(json.dumps(resource))
    if "valueQuantity" in other:
        other["valueQuantity"]["value"] += 1
    else:
        name = _EVENT[resource["resourceType"]]
        stated = fhir.get_path(other, "period.start" if name == "period" else name)
        moment = fhir.format_instant(fhir.parse_time(stated) - timedelta(days=1))
        other[name] = {"start": moment, "end": moment} if name == "period" else moment
    return [_to_json(resource), _to_json(other)]


def _has_date(resource: Resource) -> bool:
    return _EVENT[resource["resourceType"]] in resource


def _is_anything(resource: Resource) -> bool:
    return True


_KINDS: dict[str, tuple[Callable[[Resource], bool], Callable[[Resource, date, random.Random], list[str]]]] = {
    "truncated_json": (_is_anything, _truncate),
    "wrong_type": (_has_date, _change_type),
    "impossible_value": (_has_signal_value, _set_impossible_value),
    "unknown_patient": (_is_anything, _set_unknown_patient),
    "future_date": (_has_date, _set_future_date),
    "duplicate_conflict": (_has_date, _duplicate_with_conflict),
}
