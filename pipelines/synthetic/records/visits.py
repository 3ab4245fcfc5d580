"""Plan antenatal, postnatal and gynaecology visits, and measure values at each.

Synthea records such visits without values. Values are attached to its own visits of its own pregnancies; visits of an
added pregnancy and gynaecology follow-ups are added. A missed visit is a cancelled Encounter without values.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from models.vocabulary import SIGNALS
from pipelines.night_dates import end_of_day
from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.calendar import Calendar, moment
from pipelines.synthetic.records.fhir import Resource, event_time
from pipelines.synthetic.records.pregnancies import Pregnancy
from pipelines.synthetic.records.signals import Baseline, simulate_value
from pipelines.synthetic.records.traits import Traits

VisitKind = Literal["antenatal", "postnatal", "gynaecology"]

TYPES: dict[VisitKind, tuple[str, str]] = {
    "antenatal": ("424619006", "Prenatal visit (regime/therapy)"),
    "postnatal": ("169762003", "Postnatal visit (regime/therapy)"),
    "gynaecology": ("390906007", "Follow-up encounter (procedure)"),
}
_OF_SYNTHEA: dict[str, VisitKind] = {"424441002": "antenatal", "424619006": "antenatal", "169762003": "postnatal"}
_ANTENATAL_WEEKS = (8, 12, 16, 20, 24, 28, 31, 34, 36, 38, 39, 40, 41)
_POSTNATAL_DAYS = (12, 42)
_LABS = frozenset({"haemoglobin", "glucose", "hba1c"})
_LAB_DELAY = timedelta(hours=20)
#: The interval after which a laboratory value is repeated, and which values are repeated at every visit.
_LAB_DUE: dict[str, tuple[timedelta, Callable[[float], bool]]] = {
    "haemoglobin": (timedelta(weeks=12), lambda value: value < 11.2),
    "glucose": (timedelta(weeks=13), lambda value: value > 118),
}
_SMOKING = {
    "never": ("266919005", "Never smoked tobacco (finding)"),
    "former": ("8517006", "Ex-smoker (finding)"),
    "current": ("449868002", "Smokes tobacco daily (finding)"),
}
#: Units that a minority of the clinic's devices report in: signal → unit.
_OTHER_UNITS = {"weight": "[lb_av]", "haemoglobin": "g/L", "glucose": "mmol/L"}
_SIGNAL = {s.name: s for s in SIGNALS}


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit; ``encounter`` is Synthea's Encounter id, or None for a visit of ours."""

    kind: VisitKind
    when: datetime
    encounter: str | None


def plan_visits(
    resources: list[Resource], pregnancies: list[Pregnancy], patient: str, calendar: Calendar
) -> list[Visit]:
    """Plan all visits with measurements up to the last drop, in time order."""
    rng = random.Random(f"visits/{patient}")
    visits = list(_synthea_visits(resources, pregnancies))
    for pregnancy in (p for p in pregnancies if p.added):
        weeks = [pregnancy.start + timedelta(weeks=w, days=rng.randint(-2, 4)) for w in _ANTENATAL_WEEKS]
        visits += [Visit("antenatal", _draw_hour(day, rng), None) for day in weeks if day >= pregnancy.onset.date()]
        if pregnancy.ended:
            after = [pregnancy.ended + timedelta(days=d + rng.randint(-2, 3)) for d in _POSTNATAL_DAYS]
            visits = [v for v in visits if v.encounter or v.when.date() < pregnancy.ended]
            visits += [Visit("postnatal", _draw_hour(day, rng), None) for day in after]
    day = calendar.portal_opens - timedelta(days=rng.randint(200, 400))
    while day <= calendar.last:
        if not any(_is_near(day, p) for p in pregnancies):
            visits.append(Visit("gynaecology", _draw_hour(day, rng), None))
        day += timedelta(days=rng.randint(70, 150))
    return sorted((v for v in visits if v.when <= end_of_day(calendar.last)), key=lambda v: v.when)


def _is_near(day: date, pregnancy: Pregnancy) -> bool:
    """Whether antenatal or postnatal visits replace gynaecology on ``day``."""
    return pregnancy.onset.date() - timedelta(days=20) <= day <= (pregnancy.ended or day) + timedelta(days=60)


def _draw_hour(day: date, rng: random.Random) -> datetime:
    return moment(day, rng.randrange(8, 16), rng.choice((0, 15, 30, 45)))


def _synthea_visits(resources: list[Resource], pregnancies: list[Pregnancy]) -> Iterator[Visit]:
    own = [p for p in pregnancies if not p.added]
    for r in resources:
        if r["resourceType"] != "Encounter":
            continue
        kind, when = _OF_SYNTHEA.get(next(fhir.read_codings(r["type"][0]))[1]), event_time(r)
        if kind and when and any(p.onset <= when <= (p.over or when) + timedelta(days=70) for p in own):
            yield Visit(kind, when.astimezone(UTC), r["id"])


def record_visits(
    visits: list[Visit], base: Baseline, traits: Traits, pregnancies: list[Pregnancy], patient: str
) -> list[Resource]:
    """Build the Encounters and Observations of the visits, in time order."""
    rng = random.Random(f"measured/{patient}")
    other_units = frozenset(name for name in _OTHER_UNITS if rng.random() < 0.2)
    resources: list[Resource] = []
    last: dict[str, tuple[datetime, float]] = {}
    for visit in visits:
        identity = visit.encounter or fhir.derive_id("visit", patient, fhir.format_instant(visit.when))
        missed = visit.encounter is None and rng.random() < traits.misses
        if visit.encounter is None:
            status, end = "cancelled" if missed else "finished", visit.when + timedelta(minutes=25)
            resources.append(fhir.build_encounter(identity, patient, TYPES[visit.kind], visit.when, end, status))
        if missed:
            continue
        values = _measure(visit, base, traits, pregnancies, last, rng)
        resources += _build_observations(visit.when, identity, patient, values, other_units)
        if visit.kind != "postnatal" and rng.random() < 0.5:
            resources.append(_build_smoking_status(visit.when, identity, patient, traits))
    return resources


def _measure(
    visit: Visit,
    base: Baseline,
    traits: Traits,
    pregnancies: list[Pregnancy],
    last: dict[str, tuple[datetime, float]],
    rng: random.Random,
) -> dict[str, float]:
    """Measure canonical values by signal at one visit; ``last`` has each laboratory value's last time."""
    wanted = ["weight", "systolic", "diastolic"]
    for name, (every, worrying) in _LAB_DUE.items():
        if name not in last or visit.when - last[name][0] >= every or worrying(last[name][1]):
            wanted.append(name)
    values = {
        n: round(simulate_value(n, visit.when, base, traits, pregnancies, rng), _SIGNAL[n].decimals) for n in wanted
    }
    for name in _LAB_DUE:
        if name in values:
            last[name] = (visit.when, values[name])
    if visit.kind != "antenatal" or "haemoglobin" in values:
        low = 2 if visit.kind == "postnatal" else 0
        values["phq9"] = float(min(max(round(traits.mood + low + rng.gauss(0, 1.4)), 0), 27))
    if visit.kind != "antenatal":
        values["pain"] = float(min(max(round(traits.pain + rng.gauss(0, 0.8)), 0), 10))
    if "diabetes" in traits.problems and "glucose" in values:
        values["hba1c"] = round(rng.gauss(6.9, 0.4), 1)
    return values


_NAMES = {
    "weight": ("29463-7", "Body Weight"),
    "haemoglobin": ("718-7", "Hemoglobin [Mass/volume] in Blood"),
    "glucose": ("2345-7", "Glucose [Mass/volume] in Serum or Plasma"),
    "hba1c": ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
    "phq9": ("44261-6", "Patient Health Questionnaire 9 item (PHQ-9) total score [Reported]"),
    "pain": ("72514-3", "Pain severity - 0-10 verbal numeric rating [Score] - Reported"),
}


def _build_observations(
    when: datetime, encounter: str, patient: str, values: dict[str, float], other_units: frozenset[str]
) -> Iterator[Resource]:
    def identity(name: str) -> str:
        return fhir.derive_id("observation", name, patient, fhir.format_instant(when))

    parts = [
        {
            "code": fhir.build_concept(fhir.LOINC, code, display),
            "valueQuantity": fhir.build_quantity(values[name], "mm[Hg]"),
        }
        for name, code, display in (
            ("systolic", "8480-6", "Systolic blood pressure"),
            ("diastolic", "8462-4", "Diastolic blood pressure"),
        )
    ]
    panel = fhir.build_concept(fhir.LOINC, "85354-9", "Blood pressure panel with all children optional")
    yield fhir.build_observation(identity("pressure"), patient, panel, when, encounter, component=parts)
    for name, (code, display) in _NAMES.items():
        if name in values:
            unit = _OTHER_UNITS[name] if name in other_units else _SIGNAL[name].unit
            reported = round(values[name] / _SIGNAL[name].units[unit], 2 if name in other_units else 1)
            result = {"issued": fhir.format_instant(when + _LAB_DELAY)} if name in _LABS else {}
            concept = fhir.build_concept(fhir.LOINC, code, display)
            yield fhir.build_observation(
                identity(name),
                patient,
                concept,
                when,
                encounter,
                valueQuantity=fhir.build_quantity(reported, unit),
                **result,
            )


def _build_smoking_status(when: datetime, encounter: str, patient: str, traits: Traits) -> Resource:
    concept = fhir.build_concept(fhir.LOINC, "72166-2", "Tobacco smoking status")
    status = fhir.build_concept(fhir.SNOMED, *_SMOKING[traits.smoking])
    identity = fhir.derive_id("smoking", patient, fhir.format_instant(when))
    return fhir.build_observation(identity, patient, concept, when, encounter, valueCodeableConcept=status)
