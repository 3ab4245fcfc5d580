"""Words for a value: below, in or above the limits that public guidelines use for adults.

A level is a word beside a number in a segment, so that a reader (and a small model) need not know the limits. It
decides nothing: triage has its own rules (models/safety/answer_check.py), change its own band
(models/patient/change_detection.py). The paper gives no limits; each row names where ours come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["low", "usual", "high"]


@dataclass(frozen=True, slots=True)
class Limits:
    """``low``: values below it are low; ``high``: values at or above it are high; None where no limit applies."""

    low: float | None
    high: float | None
    guideline: str


LIMITS: dict[str, Limits] = {
    "systolic": Limits(90.0, 140.0, "NICE NG133 and NG136"),
    "diastolic": Limits(60.0, 90.0, "NICE NG133 and NG136"),
    "haemoglobin": Limits(12.0, 16.0, "WHO 2024, haemoglobin cutoffs, women"),
    "haemoglobin.pregnant": Limits(11.0, 15.0, "WHO 2024, haemoglobin cutoffs, first and third trimester"),
    "glucose": Limits(70.0, 200.0, "ADA Standards of Care, hypoglycaemia and random glucose"),
    "hba1c": Limits(None, 6.5, "ADA Standards of Care, diagnosis of diabetes"),
    "bmi": Limits(18.5, 30.0, "WHO body mass index classes"),
    "temperature": Limits(35.0, 38.0, "NICE NG51 and CDC Hear Her (100.4 °F)"),
    "heart_rate": Limits(50.0, 110.0, "MEOWS, obstetric early warning limits"),
    "phq9": Limits(None, 10.0, "Kroenke 2001, moderate depression"),
    "phq2": Limits(None, 3.0, "Kroenke 2003, positive screen"),
    "gad7": Limits(None, 10.0, "Spitzer 2006, moderate anxiety"),
    "audit_c": Limits(None, 3.0, "Bradley 2003, women"),
    "pain": Limits(None, 7.0, "Numeric rating scale, severe"),
}


def level(signal: str, value: float, pregnant: bool = False) -> Level | None:
    """The word for ``value``, None for a signal without limits (weight)."""
    limits = LIMITS.get(f"{signal}.pregnant") if pregnant else None
    limits = limits or LIMITS.get(signal)
    if limits is None:
        return None
    if limits.low is not None and value < limits.low:
        return "low"
    return "high" if limits.high is not None and value >= limits.high else "usual"
