"""Add diagnoses and medicines that follow from measured values: anaemia, diabetes, hypertension.

Each diagnosis follows a public threshold, so an outcome has its cause in the same patient's record.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from models.vocabulary import SIGNAL_BY_CODE
from pipelines.synthetic.records import chart, fhir
from pipelines.synthetic.records.calendar import moment
from pipelines.synthetic.records.fhir import Resource, event_time
from pipelines.synthetic.records.pregnancies import Pregnancy
from pipelines.synthetic.records.problems import ASPIRIN, IRON, LABETALOL, METFORMIN
from pipelines.synthetic.records.traits import Traits

ANAEMIA = ("87522002", "Iron deficiency anemia (disorder)")
GESTATIONAL_DIABETES = ("11687002", "Gestational diabetes mellitus (disorder)")
GESTATIONAL_HYPERTENSION = ("48194001", "Pregnancy-induced hypertension (disorder)")
PREECLAMPSIA = ("398254007", "Pre-eclampsia (disorder)")

SignalValues = list[tuple[datetime, str, float]]
"""When, signal, canonical value; in order of time."""


def extract_values(measured: list[Resource]) -> SignalValues:
    """Extract the numeric values of Observations and panel components, in canonical units."""
    found: SignalValues = []
    for r in measured:
        when = event_time(r)
        for part in r.get("component", [r]) if r["resourceType"] == "Observation" else []:
            signal = SIGNAL_BY_CODE.get(f"LOINC//{next(fhir.read_codings(part['code']))[1]}")
            value = (
                chart.convert_quantity(signal, part["valueQuantity"]) if signal and "valueQuantity" in part else None
            )
            if signal and when and value is not None:
                found.append((when, signal.name, value))
    return sorted(found)


def record_diagnoses(
    measured: list[Resource], pregnancies: list[Pregnancy], traits: Traits, patient: str
) -> list[Resource]:
    """Build conditions and medicines: once per pregnancy, and anaemia once outside."""
    rng = random.Random(f"diagnoses/{patient}")
    found = extract_values(measured)
    resources: list[Resource] = []
    for pregnancy in pregnancies:
        resources += _diagnose_in_pregnancy(found, pregnancy, traits, patient, rng)
    outside = [(t, v) for t, s, v in found if s == "haemoglobin" and not any(p.is_ongoing(t) for p in pregnancies)]
    low = next((t for t, v in outside if v < 11.5), None)
    if low:
        resources += _build_diagnosis(
            "anaemia", ANAEMIA, low + timedelta(days=1), None, patient, IRON, rng.random() < 0.5
        )
    return resources


def _diagnose_in_pregnancy(
    found: SignalValues, pregnancy: Pregnancy, traits: Traits, patient: str, rng: random.Random
) -> Iterator[Resource]:
    during = [(t, s, v) for t, s, v in found if pregnancy.is_ongoing(t)]
    ended = moment(pregnancy.ended, 12) if pregnancy.ended else None
    recovered = ended + timedelta(weeks=6) if ended else None

    def first(signal: str, threshold: float, weeks: int, below: bool = False) -> datetime | None:
        reached = (t for t, s, v in during if s == signal and (v < threshold if below else v >= threshold)
                   and pregnancy.days(t) >= 7 * weeks)  # fmt: skip
        return next(reached, None)

    name = pregnancy.start.isoformat()
    iron, metformin, aspirin = (rng.random() < share for share in (0.7, 0.4, 0.6))
    # WHO: haemoglobin under 11 g/dL; a little lower here, since 10.5 is the second trimester's limit
    if when := first("haemoglobin", 10.5, 0, below=True):
        yield from _build_diagnosis(
            f"anaemia {name}", ANAEMIA, when + timedelta(days=1), recovered, patient, IRON, iron
        )
    # ACOG PB 190: two-step screening from 24 weeks; a random 120 mg/dL stands for a failed test here
    if "diabetes" not in traits.problems and (when := first("glucose", 120, 22)):
        later = when + timedelta(days=2)
        yield from _build_diagnosis(f"gdm {name}", GESTATIONAL_DIABETES, later, ended, patient, METFORMIN, metformin)
    # NICE NG133: 140/90 after 20 weeks
    if when := first("systolic", 150, 20):
        yield from _build_diagnosis(
            f"pre {name}", PREECLAMPSIA, when + timedelta(hours=2), recovered, patient, LABETALOL, True
        )
    elif "hypertension" not in traits.problems and (when := first("systolic", 138, 20)):
        later = when + timedelta(hours=2)
        yield from _build_diagnosis(
            f"pih {name}", GESTATIONAL_HYPERTENSION, later, recovered, patient, LABETALOL, False
        )
    # ACOG CO 743: low-dose aspirin from 12 weeks at high risk
    if "hypertension" in traits.problems and aspirin and (when := first("systolic", 0, 11)):
        identity = fhir.derive_id("aspirin", patient, name)
        yield fhir.build_medication(identity, patient, ASPIRIN, when + timedelta(minutes=15))


def _build_diagnosis(
    name: str,
    code: tuple[str, str],
    onset: datetime,
    over: datetime | None,
    patient: str,
    medicine: tuple[str, str],
    treated: bool,
) -> list[Resource]:
    concept = fhir.build_concept(fhir.SNOMED, *code)
    resources = [fhir.build_condition(fhir.derive_id("diagnosis", name, patient), patient, concept, onset, over)]
    if treated:
        identity = fhir.derive_id("treatment", name, patient)
        resources.append(fhir.build_medication(identity, patient, medicine, onset + timedelta(minutes=10)))
    return resources
