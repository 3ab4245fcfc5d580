"""Compute features naively, slowly and obviously right, to compare the expressions with.

One patient and one moment at a time, plain Python over plain lists, sharing no code with the engine. It follows the
words of the docstrings in ``feature_repo``, feature by feature.
"""

from __future__ import annotations

import datetime as dt
import math
import struct
from collections import defaultdict
from fractions import Fraction
from typing import Any

from models.patient.pregnancy_statements import CONDITION_CODES, ENDED_CODES
from models.schema import DELETED
from models.vocabulary import SIGNALS, find_concept

Event = dict[str, Any]
DAY = dt.timedelta(days=1)
EDD, LMP = ("LOINC//11778-8", "LOINC//11779-6"), ("LOINC//8665-2",)
OUTCOME, CHILD = "LOINC//63893-2", "PMLM//CHILD_BORN"
STATED = (*EDD, *LMP, OUTCOME, CHILD, "LOINC//82810-3")


def state(events: list[Event], subject: int, moment: dt.datetime) -> list[Event]:
    """Find the facts of a patient that are valid as of a moment, oldest first."""
    versions: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        if event["known_at"].replace(microsecond=0) <= moment:
            versions[event["record"]].append(event)
    last = [max(v, key=lambda e: (e["known_at"], e["source"])) for v in versions.values()]
    facts = [
        dict(e, time=(e["time"] or e["known_at"]).replace(microsecond=0), undated=e["time"] is None)
        for e in last
        if e["code"] != DELETED
    ]
    facts = [e for e in facts if e["subject_id"] == subject and e["time"] <= moment]
    return sorted(facts, key=lambda e: (e["time"], e["record"]))


def features(events: list[Event], subject: int, moment: dt.datetime) -> dict[str, Any]:
    """Compute a patient's self features as of a moment, typed as in a row."""
    facts = state(events, subject, moment)
    row: dict[str, Any] = {"as_of": moment}
    for signal in SIGNALS:
        row |= _signal(signal.name, [e for e in facts if e["code"] in signal.codes and e["kind"] == "observation"])
    row |= _patient(facts) | _open_problems(facts) | _open_medicines(facts) | _allergies(facts) | _behaviour(facts)
    return row | _pregnancy(facts) | _ratings(facts)


def _thousandths(value: float) -> int:
    exact = Fraction(struct.unpack("f", struct.pack("f", value))[0]) * 1000
    return math.floor(exact + Fraction(1, 2))  # halves go up; the signals are never negative


def _signal(name: str, facts: list[Event]) -> dict[str, Any]:
    parts = ("latest", "time", "previous", "previous_time", "mean", "sd", "count", "slope", "source", "comparator")
    parts += ("shift", "shift_size", "shift_time", "shift_from")
    row: dict[str, Any] = {f"{name}_{part}": None for part in parts}
    if not facts:
        return row
    newest = facts[-1]
    row |= {
        f"{name}_latest": _thousandths(newest["numeric_value"]) / 1000,
        f"{name}_time": newest["time"],
        f"{name}_source": newest["source"],
        f"{name}_comparator": newest["text_value"],
    }
    exact = [e for e in facts if e["text_value"] is None]
    earlier = [e for e in exact if e["time"].date() < newest["time"].date()]
    if earlier:
        row[f"{name}_previous"] = _thousandths(earlier[-1]["numeric_value"]) / 1000
        row[f"{name}_previous_time"] = earlier[-1]["time"]
    band = [
        _thousandths(e["numeric_value"]) for e in exact if e is not newest and newest["time"] - e["time"] <= 730 * DAY
    ]
    row[f"{name}_count"] = len(band)
    if band:
        row[f"{name}_mean"] = float(Fraction(sum(band), len(band)) / 1000)
    if len(band) > 1:
        mean = Fraction(sum(band), len(band))
        row[f"{name}_sd"] = math.sqrt(sum((v - mean) ** 2 for v in band) / (len(band) - 1)) / 1000
    row |= _shift(name, [e for e in exact if newest["time"] - e["time"] <= 730 * DAY])
    row[f"{name}_slope"] = _slope([e for e in exact if newest["time"] - e["time"] <= 84 * DAY])
    return row


def _shift(name: str, points: list[Event]) -> dict[str, Any]:
    step = next(s.step for s in SIGNALS if s.name == name)
    values = [Fraction(_thousandths(e["numeric_value"]), 1000) for e in points]
    best: tuple[Fraction, int] | None = None
    for j in range(1, min(5, len(values) - 1) + 1):
        parts = values[:-j], values[-j:]
        means = [sum(part) / len(part) for part in parts]
        within = sum((v - mean) ** 2 for part, mean in zip(parts, means, strict=True) for v in part)
        noise = (within + 16 * Fraction(str(step)) ** 2) / (len(values) + 14)
        square = Fraction(len(parts[0]) * j, len(values)) * (means[1] - means[0]) ** 2 / noise
        if best is None or square > best[0]:
            best = square, j
    if best is None:
        return {}
    square, j = best
    size = sum(values[-j:]) / j - sum(values[:-j]) / (len(values) - j)
    before = [int(e["time"].timestamp()) for e in points[:-j]]
    return {
        f"{name}_shift": math.copysign(math.sqrt(square), size),
        f"{name}_shift_size": float(size),
        f"{name}_shift_time": points[-j]["time"],
        f"{name}_shift_from": dt.datetime.fromtimestamp(sum(before) // len(before), dt.UTC),
    }


def _slope(points: list[Event]) -> float | None:
    if len(points) < 3:
        return None
    x = [Fraction(int(e["time"].timestamp()), 7 * 86_400) for e in points]
    y = [Fraction(_thousandths(e["numeric_value"]), 1000) for e in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    return float(sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread) if spread else None


def _last(facts: list[Event], code: str, kind: str) -> Event | None:
    return next((e for e in reversed(facts) if e["code"] == code and e["kind"] == kind), None)


def _patient(facts: list[Event]) -> dict[str, Any]:
    birth, death = _last(facts, "MEDS_BIRTH", "patient"), _last(facts, "MEDS_DEATH", "patient")
    language = _last(facts, "PMLM//LANGUAGE", "patient")
    return {
        "birth": birth and birth["time"],
        "died": death and death["time"],
        "language": language and language["text_value"],
    }


def _one_a_code(facts: list[Event]) -> list[Event]:
    """The newest of each code, newest first, those without a date last, at most 40."""
    facts = sorted(facts, key=_place)
    chosen = sorted({e["code"]: e for e in facts}.values(), key=_place, reverse=True)[:40]
    return [dict(e, time=None if e["undated"] else e["time"]) for e in chosen]


def _place(event: Event) -> tuple[dt.datetime, int]:
    return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) if event["undated"] else event["time"]), event["record"]


def _not_ended(facts: list[Event], kind: str) -> list[Event]:
    ended = {e["parent"] for e in facts if e["kind"] == f"{kind}.end"}
    return [e for e in facts if e["kind"] == kind and e["record"] not in ended]


def _arrays(name: str, chosen: list[Event]) -> dict[str, Any]:
    return {
        f"{name}_codes": [e["code"] for e in chosen],
        f"{name}_texts": [e["text_value"] or e["code"] for e in chosen],
        f"{name}_sources": [e["source"] for e in chosen],
    }


def _open_problems(facts: list[Event]) -> dict[str, Any]:
    chosen = _one_a_code(_not_ended(facts, "condition"))
    unproven = _one_a_code([e for e in facts if e["kind"] == "condition.suspected"])
    suspected = _arrays("suspected", unproven) | {"suspected_times": [e["time"] for e in unproven]}
    return _arrays("condition", chosen) | {"condition_times": [e["time"] for e in chosen]} | suspected


def _open_medicines(facts: list[Event]) -> dict[str, Any]:
    ended = {e["parent"] for e in facts if e["kind"] == "medicine.end" and e["parent"]}
    open_ = [e for e in _not_ended(facts, "medicine") if e["parent"] not in ended]
    chosen = _one_a_code(open_)
    dated = [e for e in open_ if not e["undated"]]
    ends = [
        max((e["time"] + (e["numeric_value"] or 0) * DAY for e in dated if e["code"] == c["code"]), default=None)
        for c in chosen
    ]
    return _arrays("medicine", chosen) | {"medicine_times": [e["time"] for e in chosen], "medicine_ends": ends}


def _allergies(facts: list[Event]) -> dict[str, Any]:
    chosen = _one_a_code([dict(e, undated=False) for e in facts if e["kind"].startswith("allergy.")])
    return _arrays("allergy", chosen) | {"allergy_kinds": [e["kind"].removeprefix("allergy.") for e in chosen]}


def _behaviour(facts: list[Event]) -> dict[str, Any]:
    def times(limit: int, *kinds: str) -> list[dt.datetime]:
        return [e["time"] for e in reversed(facts) if e["kind"] in kinds][:limit]

    smoking = _last(facts, "LOINC//72166-2", "observation")
    return {
        "visit_times": times(20, "encounter", "encounter.emergency"),
        "missed_visit_times": times(10, "encounter.missed"),
        "emergency_visit_times": times(10, "encounter.emergency"),
        "question_times": times(10, "question"),
        "smoking": smoking and smoking["text_value"],
        "smoking_time": smoking and smoking["time"],
        "smoking_source": smoking and smoking["source"],
    }


def _stated_date(facts: list[Event], codes: tuple[str, ...]) -> tuple[dt.datetime | None, str | None]:
    for event in reversed(facts):
        if event["code"] in codes and event["kind"] == "observation" and len(event["text_value"]) >= 10:
            try:
                day = dt.date.fromisoformat(event["text_value"][:10])
            except ValueError:
                continue
            return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC), event["source"]
    return None, None


def _is(event: Event, concept: str) -> bool:
    found = find_concept(event["code"])
    return event["kind"] == "condition" and found is not None and found.name == concept


def _pregnancy(facts: list[Event]) -> dict[str, Any]:
    edd, edd_source = _stated_date(facts, EDD)
    lmp, lmp_source = _stated_date(facts, LMP)
    conditions = [e for e in facts if _is(e, "pregnancy")]
    ends: dict[int, dt.datetime] = {}
    for e in facts:
        if e["kind"] == "condition.end" and e["parent"] is not None:
            ends[e["parent"]] = e["time"]  # facts are oldest first: the latest end stays
    going_on = [e for e in conditions if e["record"] not in ends]
    endings = [e["time"] for e in facts if _ends_pregnancy(e)]
    for e in conditions:
        end = ends.get(e["record"])
        if end and not any(o["time"] <= end and o["time"] >= e["time"] - 308 * DAY for o in going_on):
            endings.append(end)
    lost = [e for e in facts if _is(e, "miscarriage")]
    histories = [e for e in lost if e["code"] == "SNOMED//161744009"]
    days = {e["time"].date() for e in lost if e not in histories}
    return _statements(facts) | {
        "edd": edd,
        "edd_source": edd_source,
        "lmp": lmp,
        "lmp_source": lmp_source,
        "pregnancy_since": going_on[-1]["time"] if going_on else None,
        "pregnancy_source": going_on[-1]["source"] if going_on else None,
        "pregnancy_ended": max(endings, default=None),
        "pregnancies": _distinct(conditions, ends),
        "miscarriages": (max(len(days), int(bool(histories)))) if lost else None,
    }


def _statements(facts: list[Event]) -> dict[str, Any]:
    """The newest 64 statements about pregnancy, newest first."""
    found = [(e, value) for e in facts if (value := _statement(e, facts)) is not None][::-1][:64]
    return {
        "pregnancy_codes": [e["code"] for e, _ in found],
        "pregnancy_values": [value + ("; undated" if e["undated"] else "") for e, value in found],
        "pregnancy_times": [e["time"] for e, _ in found],
        "pregnancy_sources": [e["source"] for e, _ in found],
    }


def _statement(event: Event, facts: list[Event]) -> str | None:
    """What an event states beyond its code; None where it states nothing about pregnancy."""
    if event["kind"] == "observation":
        return (event["text_value"] or "").lower() if event["code"] in STATED else None
    if event["kind"] not in ("condition", "procedure", "episode") or (
        event["kind"] != "episode" and event["code"] not in CONDITION_CODES
    ):
        return None
    kind = "episode.end" if event["kind"] == "episode" else "condition.end"
    ends = [e for e in facts if e["kind"] == kind and e["parent"] == event["record"]]
    if ends:
        return f"ended {ends[-1]['time'].date()}/{int(ends[-1]['numeric_value'] or 0)}"
    return "" if event["numeric_value"] is None else f"within {int(event['numeric_value'])} d"


def _ends_pregnancy(event: Event) -> bool:
    if event["undated"]:
        return False
    if event["kind"] == "observation":
        return event["code"] == CHILD or (event["code"] == OUTCOME and event["text_value"] == "ended")
    return event["code"] in ENDED_CODES and event["kind"] in ("procedure", "condition")


def _distinct(conditions: list[Event], ends: dict[int, dt.datetime]) -> int | None:
    """List pregnancies: conditions that did not begin within another open one (≤ 308 days)."""
    count = 0
    for i, e in enumerate(conditions):
        before = conditions[:i]
        inside = any(
            ends.get(o["record"], e["time"]) >= e["time"] and o["time"] >= e["time"] - 308 * DAY for o in before
        )
        count += not inside
    return count or None


def _ratings(facts: list[Event]) -> dict[str, Any]:
    replies = [e for e in facts if e["kind"] == "reply"]
    words = {e["record"]: len(e["text_value"].split()) if e["text_value"] else e["numeric_value"] for e in replies}
    ratings = [(e["numeric_value"], words.get(e["parent"])) for e in facts if e["kind"] == "rating"]
    brief = [r for r, n in ratings if n is not None and n < 45]
    detailed = [r for r, n in ratings if n is not None and n >= 45]

    def mean(values: list[float]) -> float | None:
        return sum(values) / len(values) if values else None

    return {
        "ratings": len(ratings),
        "rating_mean": mean([r for r, _ in ratings]),
        "rating_brief_count": len(brief),
        "rating_brief_mean": mean(brief),
        "rating_detailed_count": len(detailed),
        "rating_detailed_mean": mean(detailed),
    }
