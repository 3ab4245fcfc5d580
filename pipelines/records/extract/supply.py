"""Read until when an order or a statement supplies a medicine.

    end = bounds of the dosage (the latest of all instructions)
        else start + supply · (1 + repeats), and no sooner than the validity period where repeats are not stated
        else the validity period

A month counts 30 days and a year 365, as the length of a supply. An end before the start states nothing.
"""

from __future__ import annotations

from typing import Any

from pipelines.records.read.fhir_time import MICROS_PER_DAY, Micros, choose_latest, parse_latest_time
from pipelines.records.read.raw_resource import Resource

_DAYS = {
    "s": 1 / 86_400, "min": 1 / 1440, "h": 1 / 24, "d": 1, "wk": 7, "mo": 30, "a": 365,
    "hour": 1 / 24, "hours": 1 / 24, "day": 1, "days": 1, "week": 7, "weeks": 7, "month": 30, "months": 30,
    "year": 365, "years": 365,
}  # fmt: skip


def read_order_end(resource: Resource, ordered: Micros | None) -> Micros | None:
    """When the supply of an order ends, or None where nothing says so."""
    bounds = _read_bounds(resource, "dosageInstruction", ordered)
    if bounds is not None:
        return bounds
    dispense = resource.get("dispenseRequest", {})
    repeats, validity = dispense.get("numberOfRepeatsAllowed"), read_end(dispense.get("validityPeriod"))
    days = read_days(dispense.get("expectedSupplyDuration"))
    supplied = add_days(ordered, None if days is None else days * (1 + (repeats or 0)))
    return supplied if supplied is not None and repeats is not None else choose_latest(supplied, validity)


def read_statement_end(resource: Resource, start: Micros | None) -> Micros | None:
    """When a patient stops taking a medicine by a statement, or None where nothing says so."""
    end = read_end(resource.get("effectivePeriod"))
    return end if end is not None else _read_bounds(resource, "dosage", start)


def count_supply_days(start: Micros | None, end: Micros | None) -> float | None:
    """Whole days from ``start`` to ``end``, rounded up; None where there are none."""
    if start is None or end is None or end <= start:
        return None
    return float(-((start - end) // MICROS_PER_DAY))


def read_days(duration: Resource | None) -> float | None:
    """The days of a Duration with a known unit, or None."""
    if not duration or "value" not in duration:
        return None
    unit = _DAYS.get(duration.get("code", ""), _DAYS.get(duration.get("unit", "").lower()))
    return None if unit is None else duration["value"] * unit


def read_end(period: Resource | None) -> Micros | None:
    """The last moment of a Period, or None."""
    return parse_latest_time(period["end"]) if period and "end" in period else None


def add_days(start: Micros | None, days: float | None) -> Micros | None:
    """The time so many days after ``start``; None where either is unknown."""
    return None if start is None or days is None else start + round(days * MICROS_PER_DAY)


def _read_bounds(resource: Resource, name: str, start: Micros | None) -> Micros | None:
    """The latest end of all dosages; None where one has none."""
    ends = [_read_bound(dosage.get("timing", {}).get("repeat", {}), start) for dosage in resource.get(name, [])]
    return max(end for end in ends if end is not None) if ends and None not in ends else None


def _read_bound(repeat: dict[str, Any], start: Micros | None) -> Micros | None:
    if "boundsPeriod" in repeat:
        return read_end(repeat["boundsPeriod"])
    duration = repeat.get("boundsDuration") or repeat.get("boundsRange", {}).get("high")
    return add_days(start, read_days(duration))
