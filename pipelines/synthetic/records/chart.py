"""Read from one record, as of a time, the named facts for reply rules.

Deliberately naive and independent of the feature store: it walks the resources as the clinic had received them, newest
version first, and never reads an event log. Each fact names the segment key that carries it in a prompt.

    known by T:  the newest version of each resource with known_at ≤ T
    known_at:    end of the drop's day; in the first drop issued, recordedDate, authoredOn or sent, else the event's end
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from string import Formatter
from typing import Any

from models.patient.gestational_age import LONGEST, TERM
from models.vocabulary import CONCEPTS, DRUG_CLASSES, SIGNALS, SYSTEMS, Signal, find_concept, find_drug_class
from pipelines.night_dates import end_of_day
from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.fhir import Resource, event_time, get_path, parse_time

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


@dataclass(frozen=True)
class ResourceVersion:
    """One version of a resource and when the clinic knew it; read once for all of a patient's charts."""

    known_at: datetime
    resource: Resource

    @cached_property
    def happened(self) -> datetime | None:
        return event_time(self.resource)

    @cached_property
    def withdrawn(self) -> bool:
        """Whether it was entered in error."""
        status = [code for _, code, _ in fhir.read_codings(self.resource.get("verificationStatus"))]
        return "entered-in-error" in (self.resource.get("status"), *status)

    @cached_property
    def values(self) -> tuple[tuple[str, float], ...]:
        """The name and canonical value of each signal that an Observation measures."""
        return tuple(_read_values(self.resource))


def build_version(resource: Resource, drop: date, first: bool) -> ResourceVersion:
    """Build the version that ``drop`` brought; ``first`` for the drop with the clinic's history."""
    if first:
        stated = (get_path(resource, path) for path in _FIRST_KNOWN)
        known = next((parse_time(text) for text in stated if text), None) or event_time(resource)
        if known:
            return ResourceVersion(min(known, end_of_day(drop)), resource)
    return ResourceVersion(end_of_day(drop), resource)


@dataclass(frozen=True, slots=True)
class Chart:
    """Facts by name as of a time; unknown facts are absent."""

    as_of: datetime
    facts: Mapping[str, Any]

    @property
    def keys(self) -> frozenset[str]:
        """Segment keys of the facts that are known and not false."""
        return frozenset(FACT_KEYS[n] for n, value in self.facts.items() if value is not None and value is not False)

    def fill(self, text: str) -> str | None:
        """Fill the placeholders of ``text``; None where one of them is unknown."""
        names = [name for _, name, _, _ in Formatter().parse(text) if name]
        if any(self.facts.get(name) is None for name in names):
            return None
        return text.format(**{name: self._format(name) for name in names})

    def _format(self, name: str) -> str:
        value = self.facts[name]
        signal = _SIGNAL.get(name.removesuffix("_rise").removesuffix("_fall"))
        return f"{value:.{signal.decimals}f}" if signal else str(value)


def read_chart(versions: Iterable[ResourceVersion], as_of: datetime) -> Chart:
    """Read the chart at ``as_of`` from all versions of one patient's resources."""
    newest: dict[tuple[str, str], ResourceVersion] = {}
    for v in versions:
        key = (v.resource["resourceType"], v.resource["id"])
        if v.known_at <= as_of and (key not in newest or newest[key].known_at <= v.known_at):
            newest[key] = v
    known: dict[str, list[ResourceVersion]] = {}
    for v in newest.values():
        if not v.withdrawn and (v.happened is None or v.happened <= as_of):
            known.setdefault(v.resource["resourceType"], []).append(v)
    resources = {kind: [v.resource for v in versions] for kind, versions in known.items()}
    facts: dict[str, Any] = {}
    for family in (
        _person_facts,
        _problem_facts,
        _pregnancy_facts,
        _medicine_facts,
        _allergy_facts,
        _visit_facts,
    ):
        facts |= dict(family(resources, as_of))
    facts |= dict(_signal_facts(known.get("Observation", ()), as_of))
    return Chart(as_of, facts)


FactPairs = Iterator[tuple[str, Any]]
ByType = Mapping[str, list[Resource]]


def _event_code(concept: Resource) -> str:
    system, code, _ = next(fhir.read_codings(concept), ("", "", ""))
    return f"{SYSTEMS.get(system, system)}//{code}"


def _person_facts(resources: ByType, as_of: datetime) -> FactPairs:
    birth = date.fromisoformat(resources["Patient"][0]["birthDate"])
    yield "age", as_of.year - birth.year - ((as_of.month, as_of.day) < (birth.month, birth.day))
    statuses = [
        (event_time(r), next(fhir.read_codings(r.get("valueCodeableConcept")), ("", "", ""))[2].lower())
        for r in resources.get("Observation", ())
        if _event_code(r["code"]) == "LOINC//72166-2"
    ]
    if statuses:
        newest = max(statuses)[1]
        yield "never_smoked", "never" in newest
        yield "ex_smoker", "ex-smoker" in newest
        yield "smoker", "smokes" in newest


def _read_values(observation: Resource) -> FactPairs:
    for part in observation.get("component", [observation]):
        code = _event_code(part["code"])
        signal = next((s for s in SIGNALS if code in s.codes), None)
        amount = part.get("valueQuantity")
        value = convert_quantity(signal, amount) if signal and amount else None
        if signal and value is not None:
            yield signal.name, value


def _signal_facts(observations: Iterable[ResourceVersion], as_of: datetime) -> FactPairs:
    series: dict[str, list[tuple[datetime, float]]] = {}
    for v in observations:
        for name, value in v.values:
            if v.happened:
                series.setdefault(name, []).append((v.happened, value))
    for name, values in series.items():
        values.sort()
        when, latest = values[-1]
        if as_of - when > _OLDEST:
            continue
        yield name, latest
        earlier = [v for t, v in values if t.astimezone(UTC).date() < when.astimezone(UTC).date()]
        if earlier and abs(latest - earlier[-1]) >= _SIGNAL[name].step:
            yield f"{name}_{'rise' if latest > earlier[-1] else 'fall'}", abs(latest - earlier[-1])


def convert_quantity(signal: Signal, amount: Resource) -> float | None:
    """Convert a quantity to the signal's unit; None in a unit that the intake quarantines."""
    return signal.to_canonical(amount["value"], amount.get("code") or amount["unit"])


def _active_conditions(resources: ByType, as_of: datetime) -> Iterator[tuple[Resource, str]]:
    for r in resources.get("Condition", ()):
        over = r.get("abatementDateTime")
        concept = find_concept(_event_code(r["code"]))
        if concept and (over is None or parse_time(over) > as_of):
            yield r, concept.name


def _problem_facts(resources: ByType, as_of: datetime) -> FactPairs:
    present = {name for _, name in _active_conditions(resources, as_of)}
    losses = sum(
        (concept := find_concept(_event_code(r["code"]))) is not None and concept.name == "miscarriage"
        for r in resources.get("Condition", ())
    )
    for concept in CONCEPTS:
        yield concept.name, concept.name in present
        if concept.negative:
            absent = concept.name not in present
            yield f"no_{concept.name}", absent and not (concept.name == "miscarriage" and losses)
    if losses:
        yield "miscarriages", losses


def _pregnancy_facts(resources: ByType, as_of: datetime) -> FactPairs:
    current = [event_time(r) for r, name in _active_conditions(resources, as_of) if name == "pregnancy"]
    ended = max(_pregnancy_ends(resources, as_of), default=None)
    since = max((t for t in current if t and (ended is None or t > ended)), default=None)
    yield "pregnant", since is not None and as_of - since <= LONGEST
    if since is None:
        if ended and as_of - ended <= timedelta(weeks=52):
            yield "postpartum_weeks", (as_of - ended).days // 7
        return
    for code, term in (("LOINC//11778-8", TERM), ("LOINC//8665-2", timedelta())):
        dates = [(event_time(r), r["valueDateTime"]) for r in resources.get("Observation", ())
                 if _event_code(r["code"]) == code and "valueDateTime" in r]  # fmt: skip
        if dates:
            start = parse_time(max(dates)[1]) - term
            if timedelta() <= as_of - start <= LONGEST and (ended is None or start > ended):
                yield "weeks", (as_of - start).days // 7
                return


def _pregnancy_ends(resources: ByType, as_of: datetime) -> Iterator[datetime]:
    """Yield when pregnancies ended: births, terminations, and abated pregnancy conditions."""
    for r in resources.get("Procedure", ()):
        if (when := event_time(r)) and next(fhir.read_codings(r["code"]))[1] in _ENDS:
            yield when
    for r in resources.get("Condition", ()):
        concept, over = find_concept(_event_code(r["code"])), r.get("abatementDateTime")
        if concept and concept.name == "pregnancy" and over and parse_time(over) <= as_of:
            yield parse_time(over)


def _medicine_facts(resources: ByType, as_of: datetime) -> FactPairs:
    active = [r for r in resources.get("MedicationRequest", ()) if r["status"] == "active"]
    names = [next(fhir.read_codings(r["medicationCodeableConcept"]))[2] for r in active]
    classes = {find_drug_class(name) for name in names}
    for drug_class in DRUG_CLASSES:
        yield f"takes_{drug_class}", drug_class in classes
    yield "no_medicines", not names


def _allergy_facts(resources: ByType, as_of: datetime) -> FactPairs:
    names = [
        next(fhir.read_codings(r["code"]))[2].lower()
        for r in resources.get("AllergyIntolerance", ())
        if "medication" in r.get("category", ())
    ]
    for fact, words in ALLERGENS.items():
        yield f"allergic_{fact}", any(word in name for word in words for name in names)
    yield "no_drug_allergy", not names


def _visit_facts(resources: ByType, as_of: datetime) -> FactPairs:
    past = [(r, t) for r in resources.get("Encounter", ()) if (t := event_time(r)) and as_of - t <= timedelta(days=365)]
    yield "missed_visits", sum(r["status"] == "cancelled" for r, _ in past)
    yield "emergency_visits", sum(r["class"]["code"] == "EMER" for r, _ in past)
    births = [t for r in resources.get("Condition", ()) if next(fhir.read_codings(r["code"]))[1] == "72892002"
              if (t := event_time(r))]  # fmt: skip
    yield "pregnancies", len(births)
