"""Simulate a patient's signals over time from baseline, traits, week of pregnancy and noise.

    value(t) = baseline + effect of gestation(t; traits) + effect of time since birth + noise

The baseline of weight and blood pressure is what Synthea measured in adulthood, so added values continue Synthea's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.fhir import Resource, event_time
from pipelines.synthetic.records.pregnancies import Pregnancy
from pipelines.synthetic.records.traits import Traits

_TYPICAL = {"29463-7": 68.0, "8480-6": 113.0, "8462-4": 73.0}


@dataclass(frozen=True, slots=True)
class Baseline:
    """Usual values outside pregnancy: kg, mm[Hg], mm[Hg], g/dL, mg/dL."""

    weight: float
    systolic: float
    diastolic: float
    haemoglobin: float
    glucose: float


def estimate_baseline(resources: list[Resource], traits: Traits, patient: str, before: datetime) -> Baseline:
    """Average Synthea's last three values before ``before``; typical values where it has none."""
    rng = random.Random(f"base/{patient}")
    values: dict[str, list[tuple[datetime, float]]] = {code: [] for code in _TYPICAL}
    for r in resources:
        if r["resourceType"] == "Observation" and "valueQuantity" in r:
            code, happened = next(fhir.read_codings(r["code"]))[1], event_time(r)
            if code in values and happened and happened < before:
                values[code].append((happened, r["valueQuantity"]["value"]))
    usual = {c: fmean(v for _, v in sorted(found)[-3:]) if found else _TYPICAL[c] for c, found in values.items()}
    chronic = 24.0 if "hypertension" in traits.problems else 0.0
    return Baseline(
        weight=min(max(usual["29463-7"], 45.0), 120.0),
        systolic=min(usual["8480-6"], 124.0) + chronic,
        diastolic=min(usual["8462-4"], 78.0) + chronic / 2,
        haemoglobin=rng.gauss(13.2, 0.5),
        glucose=rng.gauss(86.0, 5.0) + (48.0 if "diabetes" in traits.problems else 0.0),
    )


def _weight_gain(weeks: float, traits: Traits) -> float:
    usual = 0.12 * min(weeks, 12) + 0.42 * max(weeks - 12, 0)
    swelling = 3.4 if traits.swells and weeks >= 32 else 0.0
    return usual * traits.gain + swelling


def _weeks_since_birth(pregnancies: list[Pregnancy], when: datetime) -> float | None:
    """Weeks since the latest birth; None where there was none within a year."""
    weeks = [(when.date() - p.ended).days / 7 for p in pregnancies if p.ended and p.birth and p.ended <= when.date()]
    return min(weeks) if weeks and min(weeks) <= 52 else None


def simulate_value(
    signal: str, when: datetime, base: Baseline, traits: Traits, pregnancies: list[Pregnancy], rng: random.Random
) -> float:
    """Simulate ``weight``, ``systolic``, ``diastolic``, ``haemoglobin`` or ``glucose`` at ``when``."""
    current = next((p for p in pregnancies if p.is_ongoing(when)), None)
    weeks = current.days(when) / 7 if current else None
    after = _weeks_since_birth(pregnancies, when)
    match signal:
        case "weight":
            added = _weight_gain(weeks, traits) if weeks is not None else 0.0
            left = 0.0 if after is None or weeks is not None else max(0.0, 6.5 * traits.gain - 0.35 * after)
            return base.weight + added + left + rng.gauss(0, 0.4)
        case "systolic" | "diastolic":
            late = 0.0 if weeks is None else min(max((weeks - 22) / 14, 0.0), 1.15)
            lingering = 0.0 if after is None or weeks is not None else max(0.0, 0.8 - after / 12)
            dip = 4.0 if weeks is not None and 12 <= weeks <= 26 else 0.0
            rise = traits.hypertensive * max(late, lingering) - dip
            share = 1.0 if signal == "systolic" else 0.6
            return getattr(base, signal) + share * rise + rng.gauss(0, 3.5 * share)
        case "haemoglobin":
            if weeks is None:
                return base.haemoglobin - traits.heavy_periods + rng.gauss(0, 0.3)
            dilution = 1.1 * min(max((weeks - 8) / 18, 0.0), 1.0)
            lost = traits.anaemic * min(max((weeks - 6) / 16, 0.0), 1.0)
            return base.haemoglobin - dilution - lost + rng.gauss(0, 0.25)
        case "glucose":
            late = 0.0 if weeks is None else min(max((weeks - 18) / 8, 0.0), 1.0)
            return base.glucose + traits.sugar * late + rng.gauss(0, 5.0)
    raise ValueError(f"no course for signal {signal}")
