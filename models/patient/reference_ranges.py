"""Name a value low, normal or high by public guidelines for adults.

A level is a word next to a number in a segment, so that a reader (and a small model) need not know the limits. It
decides nothing: triage has its own rules (models/safety/triage), change its own band
(models/patient/change_detection.py). The paper gives no limits; each row names where ours come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.patient.bounds import is_surely_at_least, is_surely_below

Level = Literal["low", "usual", "high"]


@dataclass(frozen=True, slots=True)
class ReferenceRange:
    """Values below ``low`` are low, at or above ``high`` high; None is no limit."""

    low: float | None
    high: float | None
    guideline: str


REFERENCE_RANGES: dict[str, ReferenceRange] = {
    "systolic": ReferenceRange(90.0, 140.0, "NICE NG133 and NG136"),
    "diastolic": ReferenceRange(60.0, 90.0, "NICE NG133 and NG136"),
    "haemoglobin": ReferenceRange(12.0, 16.0, "WHO 2024, haemoglobin cutoffs, women"),
    "haemoglobin.pregnant": ReferenceRange(11.0, 15.0, "WHO 2024, haemoglobin cutoffs, first and third trimester"),
    "glucose": ReferenceRange(70.0, 200.0, "ADA Standards of Care, hypoglycaemia and random glucose"),
    "hba1c": ReferenceRange(None, 6.5, "ADA Standards of Care, diagnosis of diabetes"),
    "bmi": ReferenceRange(18.5, 30.0, "WHO body mass index classes"),
    "temperature": ReferenceRange(35.0, 38.0, "NICE NG51 and CDC Hear Her (100.4 °F)"),
    "heart_rate": ReferenceRange(50.0, 110.0, "MEOWS, obstetric early warning limits"),
    "phq9": ReferenceRange(None, 10.0, "Kroenke 2001, moderate depression"),
    "phq2": ReferenceRange(None, 3.0, "Kroenke 2003, positive screen"),
    "gad7": ReferenceRange(None, 10.0, "Spitzer 2006, moderate anxiety"),
    "audit_c": ReferenceRange(None, 3.0, "Bradley 2003, women"),
    "pain": ReferenceRange(None, 7.0, "Numeric rating scale, severe"),
}


def classify_level(signal: str, value: float, pregnant: bool = False, comparator: str | None = None) -> Level | None:
    """The word for ``value``; None for a signal without limits (weight), or a bound that leaves it open."""
    limits = REFERENCE_RANGES.get(f"{signal}.pregnant") if pregnant else None
    limits = limits or REFERENCE_RANGES.get(signal)
    if limits is None:
        return None
    if limits.low is not None and is_surely_below(value, comparator, limits.low):
        return "low"
    if limits.high is not None and is_surely_at_least(value, comparator, limits.high):
        return "high"
    return None if comparator else "usual"
