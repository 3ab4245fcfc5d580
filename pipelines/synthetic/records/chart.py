"""A clinician's reading of one record at one moment: the named facts that reply rules may use.

Deliberately naive and independent of the feature store: it walks the resources as the clinic had received them, newest
version first, and never looks at an event log. Each fact names the segment keys that carry it in a prompt.

    known by T:  the newest version of each resource with known_at ≤ T
    known_at:    end of the drop's day; in the first drop issued, recordedDate, authoredOn or sent, else the event's end
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from string import Formatter
from typing import Any

from models.vocabulary import CONCEPTS, DRUG_CLASSES, SIGNALS, SYSTEMS, Signal, concept_of, drug_class_of
from pipelines.night_dates import end_of_day
from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.fhir import Resource, event_time, field, parse

_TERM = timedelta(days=280)
_LONGEST = timedelta(days=308)
_OLDEST = timedelta(days=730)
_ENDS = frozenset({"386216000", "11466000", "177141003", "177184002", "714812005"})
_FIRST_KNOWN = ("issued", "recordedDate", "authoredOn", "sent", "period.end", "performedPeriod.end")
#: Drugs whose allergy a rule may ask for: fact suffix → words in the allergen's name.
ALLERGENS = {
    "penicillin": ("penicillin", "amoxicillin"),
    "nsaid": ("ibuprofen", "naproxen", "diclofenac"),
    "aspirin": ("aspirin",),
    "sulfa": ("sulfamethoxazole", "trimethoprim"),
    "codeine": ("codeine", "opioid"),
}
_PRESSURES = ("systolic", "diastolic")


def _key_of_signal(name: str, what: str) -> str:
    return f"{'blood_pressure' if name in _PRESSURES else name}.{what}"


def _fact_keys() -> dict[str, str]:
    """Every fact a rule may name → the segment key that carries it."""
    keys = {
        "age": "age",
        "smoker": "smoking",
        "ex_smoker": "smoking",
        "never_smoked": "smoking",
        "pregnant": "pregnancy",
        "weeks": "pregnancy",
        "postpartum_weeks": "pregnancy",
        "no_drug_allergy": "allergies",
        "no_medicines": "medicines.none",
        "missed_visits": "visits.missed",
        "emergency_visits": "visits.emergency",
        "pregnancies": "history.pregnancies",
        "miscarriages": "history.miscarriages",
    }
    keys |= {f"allergic_{name}": "allergies" for name in ALLERGENS}
    for signal in SIGNALS:
        keys[signal.name] = _key_of_signal(signal.name, "latest")
        keys[f"{signal.name}_rise"] = keys[f"{signal.name}_fall"] = _key_of_signal(signal.name, "change")
    keys |= {concept.name: f"condition.{concept.name}" for concept in CONCEPTS}
    keys |= {f"no_{concept.name}": f"no.{concept.name}" for concept in CONCEPTS if concept.negative}
    return keys | {f"takes_{name}": f"medicine.{name}" for name in DRUG_CLASSES}


FACT_KEYS: dict[str, str] = _fact_keys()
_SIGNAL = {s.name: s for s in SIGNALS}


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a resource and when the clinic knew it."""

    known_at: datetime
    resource: Resource


def version(resource: Resource, drop: date, first: bool) -> Version:
    """The version that ``drop`` brought; ``first`` for the drop that holds the clinic's history."""
    if first:
        stated = (field(resource, path) for path in _FIRST_KNOWN)
        known = next((parse(text) for text in stated if text), None) or event_time(resource)
        if known:
            return Version(min(known, end_of_day(drop)), resource)
    return Version(end_of_day(drop), resource)


@dataclass(frozen=True, slots=True)
class Chart:
    """Facts by name (unknown ones absent), as of a moment."""

    as_of: datetime
    facts: Mapping[str, Any]

    @property
    def keys(self) -> frozenset[str]:
        """Segment keys of the facts that hold: known values, and what is true of her."""
        return frozenset(FACT_KEYS[n] for n, value in self.facts.items() if value is not None and value is not False)

    def fill(self, text: str) -> str | None:
        """``text`` with its placeholders written out, or None where one of them is unknown."""
        names = [name for _, name, _, _ in Formatter().parse(text) if name]
        if any(self.facts.get(name) is None for name in names):
            return None
        return text.format(**{name: self._shown(name) for name in names})

    def _shown(self, name: str) -> str:
        value = self.facts[name]
        signal = _SIGNAL.get(name.removesuffix("_rise").removesuffix("_fall"))
        return f"{value:.{signal.decimals}f}" if signal else str(value)


def read(versions: Iterable[Version], as_of: datetime) -> Chart:
    """The chart at ``as_of`` from all versions of one patient's resources."""
    newest: dict[tuple[str, str], Version] = {}
    for v in versions:
        key = (v.resource["resourceType"], v.resource["id"])
        if v.known_at <= as_of and (key not in newest or newest[key].known_at <= v.known_at):
            newest[key] = v
    resources: dict[str, list[Resource]] = {}
    for v in newest.values():
        happened = event_time(v.resource)
        if not _withdrawn(v.resource) and (happened is None or happened <= as_of):
            resources.setdefault(v.resource["resourceType"], []).append(v.resource)
    facts: dict[str, Any] = {}
    for family in (_person, _signals, _problems, _pregnancy, _medicines, _allergies, _visits):
        facts |= dict(family(resources, as_of))
    return Chart(as_of, facts)


Facts = Iterator[tuple[str, Any]]
ByType = Mapping[str, list[Resource]]


def _withdrawn(resource: Resource) -> bool:
    status = [code for _, code, _ in fhir.codes(resource.get("verificationStatus"))]
    return "entered-in-error" in (resource.get("status"), *status)


def _event_code(concept: Resource) -> str:
    system, code, _ = next(fhir.codes(concept), ("", "", ""))
    return f"{SYSTEMS.get(system, system)}//{code}"


def _person(resources: ByType, as_of: datetime) -> Facts:
    birth = date.fromisoformat(resources["Patient"][0]["birthDate"])
    yield "age", as_of.year - birth.year - ((as_of.month, as_of.day) < (birth.month, birth.day))
    statuses = [
        (event_time(r), next(fhir.codes(r.get("valueCodeableConcept")), ("", "", ""))[2].lower())
        for r in resources.get("Observation", ())
        if _event_code(r["code"]) == "LOINC//72166-2"
    ]
    if statuses:
        newest = max(statuses)[1]
        yield "never_smoked", "never" in newest
        yield "ex_smoker", "ex-smoker" in newest
        yield "smoker", "smokes" in newest


def _signals(resources: ByType, as_of: datetime) -> Facts:
    series: dict[str, list[tuple[datetime, float]]] = {}
    for r in resources.get("Observation", ()):
        when = event_time(r)
        for part in r.get("component", [r]):
            signal = next((s for s in SIGNALS if _event_code(part["code"]) in s.codes), None)
            amount = part.get("valueQuantity")
            value = measured(signal, amount) if signal and amount else None
            if signal and when and value is not None:
                series.setdefault(signal.name, []).append((when, value))
    for name, values in series.items():
        values.sort()
        when, latest = values[-1]
        if as_of - when > _OLDEST:
            continue
        yield name, latest
        earlier = [v for t, v in values if t.astimezone(UTC).date() < when.astimezone(UTC).date()]
        if earlier and abs(latest - earlier[-1]) >= _SIGNAL[name].step:
            yield f"{name}_{'rise' if latest > earlier[-1] else 'fall'}", abs(latest - earlier[-1])


def measured(signal: Signal, amount: Resource) -> float | None:
    """A quantity in the signal's unit; None in a unit that the clinic's intake does not know and quarantines."""
    return signal.canonical(amount["value"], amount.get("code") or amount["unit"])


def _active(resources: ByType, as_of: datetime) -> Iterator[tuple[Resource, str]]:
    for r in resources.get("Condition", ()):
        over = r.get("abatementDateTime")
        concept = concept_of(_event_code(r["code"]))
        if concept and (over is None or parse(over) > as_of):
            yield r, concept.name


def _problems(resources: ByType, as_of: datetime) -> Facts:
    present = {name for _, name in _active(resources, as_of)}
    losses = sum(
        (concept := concept_of(_event_code(r["code"]))) is not None and concept.name == "miscarriage"
        for r in resources.get("Condition", ())
    )
    for concept in CONCEPTS:
        yield concept.name, concept.name in present
        if concept.negative:
            absent = concept.name not in present
            yield f"no_{concept.name}", absent and not (concept.name == "miscarriage" and losses)
    if losses:
        yield "miscarriages", losses


def _pregnancy(resources: ByType, as_of: datetime) -> Facts:
    current = [event_time(r) for r, name in _active(resources, as_of) if name == "pregnancy"]
    ended = max(_ended(resources, as_of), default=None)
    since = max((t for t in current if t and (ended is None or t > ended)), default=None)
    yield "pregnant", since is not None and as_of - since <= _LONGEST
    if since is None:
        if ended and as_of - ended <= timedelta(weeks=52):
            yield "postpartum_weeks", (as_of - ended).days // 7
        return
    for code, term in (("LOINC//11778-8", _TERM), ("LOINC//8665-2", timedelta())):
        dates = [(event_time(r), r["valueDateTime"]) for r in resources.get("Observation", ())
                 if _event_code(r["code"]) == code and "valueDateTime" in r]  # fmt: skip
        if dates:
            start = parse(max(dates)[1]) - term
            if timedelta() <= as_of - start <= _LONGEST and (ended is None or start > ended):
                yield "weeks", (as_of - start).days // 7
                return


def _ended(resources: ByType, as_of: datetime) -> Iterator[datetime]:
    """When pregnancies ended: births, terminations, and abatements of pregnancy conditions."""
    for r in resources.get("Procedure", ()):
        if (when := event_time(r)) and next(fhir.codes(r["code"]))[1] in _ENDS:
            yield when
    for r in resources.get("Condition", ()):
        concept, over = concept_of(_event_code(r["code"])), r.get("abatementDateTime")
        if concept and concept.name == "pregnancy" and over and parse(over) <= as_of:
            yield parse(over)


def _medicines(resources: ByType, as_of: datetime) -> Facts:
    active = [r for r in resources.get("MedicationRequest", ()) if r["status"] == "active"]
    names = [next(fhir.codes(r["medicationCodeableConcept"]))[2] for r in active]
    classes = {drug_class_of(name) for name in names}
    for drug_class in DRUG_CLASSES:
        yield f"takes_{drug_class}", drug_class in classes
    yield "no_medicines", not names


def _allergies(resources: ByType, as_of: datetime) -> Facts:
    names = [
        next(fhir.codes(r["code"]))[2].lower()
        for r in resources.get("AllergyIntolerance", ())
        if "medication" in r.get("category", ())
    ]
    for fact, words in ALLERGENS.items():
        yield f"allergic_{fact}", any(word in name for word in words for name in names)
    yield "no_drug_allergy", not names


def _visits(resources: ByType, as_of: datetime) -> Facts:
    past = [(r, t) for r in resources.get("Encounter", ()) if (t := event_time(r)) and as_of - t <= timedelta(days=365)]
    yield "missed_visits", sum(r["status"] == "cancelled" for r, _ in past)
    yield "emergency_visits", sum(r["class"]["code"] == "EMER" for r, _ in past)
    births = [t for r in resources.get("Condition", ()) if next(fhir.codes(r["code"]))[1] == "72892002"
              if (t := event_time(r))]  # fmt: skip
    yield "pregnancies", len(births)
