"""Broken lines, about two in a hundred, each broken in one named way and written down in a sidecar.

A broken line is a damaged copy of a good one under an id of its own, so that quarantining it loses nothing of the
history, and a test can ask that exactly these lines are quarantined and no other.
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

#: Share of good lines that get a damaged copy; one kind in six makes two lines, so 2 % of all lines are broken.
SHARE = 0.0175


@dataclass(frozen=True, slots=True)
class Line:
    """One line of one file of a drop; ``damage`` names how it is broken, None where it is good."""

    drop: date
    resource_type: str
    text: str
    damage: str | None = None


def line(arrival: Arrival) -> Line:
    return Line(arrival.drop, arrival.resource["resourceType"], _written(arrival.resource))


def _written(resource: Resource) -> str:
    return json.dumps(resource, separators=(",", ":"), ensure_ascii=False)


def damaged(arrival: Arrival, rng: random.Random) -> list[Line]:
    """A damaged copy of the arrival, now and then; empty for most, and for a Patient, on whom too much hangs."""
    resource = arrival.resource
    if resource["resourceType"] not in _DAMAGEABLE or rng.random() >= SHARE:
        return []
    kinds = [kind for kind, (applies, _) in _KINDS.items() if applies(resource)]
    likely = [3 if kind == "impossible_value" else 1 for kind in kinds]  # few lines have a value, so it is often that
    kind = rng.choices(kinds, likely)[0]
    copy = json.loads(json.dumps(resource)) | {"id": fhir.identifier("damaged", kind, resource["id"], arrival.drop)}
    texts = _KINDS[kind][1](copy, arrival.drop, rng)
    return [Line(arrival.drop, resource["resourceType"], text, kind) for text in texts]


_EVENT = {
    "Encounter": "period",
    "Condition": "onsetDateTime",
    "Observation": "effectiveDateTime",
    "MedicationRequest": "authoredOn",
    "Procedure": "performedDateTime",
    "Communication": "sent",
}
_DAMAGEABLE = frozenset(_EVENT)


def _signal(resource: Resource) -> bool:
    code = next(fhir.codes(resource.get("code")), ("", "", ""))[1]
    return "valueQuantity" in resource and f"LOINC//{code}" in SIGNAL_BY_CODE


def _truncated(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    text = _written(resource)
    return [text[: rng.randrange(len(text) // 3, len(text) - 2)]]


def _wrong_type(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    """A number where a text belongs, a text where an object belongs."""
    if "valueQuantity" in resource and rng.random() < 0.5:
        resource["valueQuantity"]["value"] = "normal"
    else:
        name = _EVENT[resource["resourceType"]]
        resource[name] = "last week" if name == "period" else 20260531
    return [_written(resource)]


def _impossible(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    resource["valueQuantity"]["value"] = rng.choice((-7.0, 99999.0))
    return [_written(resource)]


def _unknown_patient(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    stranger = fhir.identifier("stranger", resource["id"])
    if resource["resourceType"] == "Communication" and "inResponseTo" not in resource:
        resource["sender"] = fhir.reference("Patient", stranger)
    return [_written(resource | {"subject": fhir.reference("Patient", stranger)})]


def _future(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    when = fhir.at(end_of_day(drop + timedelta(days=rng.randrange(60, 700))))
    name = _EVENT[resource["resourceType"]]
    resource[name] = {"start": when, "end": when} if name == "period" else when
    return [_written({k: v for k, v in resource.items() if k not in ("issued", "abatementDateTime")})]


def _conflict(resource: Resource, drop: date, rng: random.Random) -> list[str]:
    """The same id twice in one drop with different content: nobody can tell which is meant."""
    other = json.loads(json.dumps(resource))
    if "valueQuantity" in other:
        other["valueQuantity"]["value"] += 1
    else:
        name = _EVENT[resource["resourceType"]]
        stated = fhir.field(other, "period.start" if name == "period" else name)
        moment = fhir.at(fhir.parse(stated) - timedelta(days=1))
        other[name] = {"start": moment, "end": moment} if name == "period" else moment
    return [_written(resource), _written(other)]


def _dated(resource: Resource) -> bool:
    return _EVENT[resource["resourceType"]] in resource


def _any(resource: Resource) -> bool:
    return True


_KINDS: dict[str, tuple[Callable[[Resource], bool], Callable[[Resource, date, random.Random], list[str]]]] = {
    "truncated_json": (_any, _truncated),
    "wrong_type": (_dated, _wrong_type),
    "impossible_value": (_signal, _impossible),
    "unknown_patient": (_any, _unknown_patient),
    "future_date": (_dated, _future),
    "duplicate_conflict": (_dated, _conflict),
}
