"""Write all fourteen drops of a plan before the first night, so that a clean count reads the same files."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path

from benchmarks.fortnight.conversations import Portal
from benchmarks.fortnight.days import DAYS_BEFORE, TALKED_BEFORE, Day, change_values, make_day
from benchmarks.fortnight.plan import NIGHTS, FortnightPlan, day_of, drifts_in
from benchmarks.fortnight.recipe import PARAMS
from benchmarks.fortnight.sample import Resource, Sample, Talk
from benchmarks.fortnight.shifts import choose_patients, list_heart_rates, shift_questions, shift_records
from pipelines import splits
from pipelines.params import merge_params
from pipelines.synthetic.records.options import HASH_KEY
from pmlm.settings import derive_pseudonym

#: Of a night whose records come late: the share that does, and how many of the others are corrected then.
LATE_SHARE, CORRECTED = 0.4, 6
CORRECTION = 1.1
FLIPPED = 0.2  # of the ratings of a poisoned night
FEWEST_TALKS = 3  # of the patient who is erased


def write_drops(sample: Sample, plan: FortnightPlan, folder: Path) -> list[Day]:
    """Write one folder a night below ``folder``; night 1 brings the history and the days before."""
    before = [make_day(sample, plan.seed, night, sample.patients) for night in range(2 - DAYS_BEFORE, 2)]
    days = make_days(sample, plan, before)
    hold_conversations(sample, plan, [*before, *days])
    _flip_ratings(plan, days)
    first = _to_lines(before)
    _write_lines(folder / day_of(1).isoformat(), {kind: sample.history[kind] + first[kind] for kind in sample.history})
    for day in days:
        _write_lines(folder / day_of(day.night).isoformat(), _to_lines([day]))
    return days


def _to_lines(days: list[Day]) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = defaultdict(list)
    for resource in (one for day in days for one in day.resources):
        lines[resource["resourceType"]].append(json.dumps(resource, ensure_ascii=False, separators=(",", ":")))
    return lines


def make_days(sample: Sample, plan: FortnightPlan, before: list[Day]) -> list[Day]:
    """Make nights 2 to 14 with all that is planted in their measurements."""
    days: list[Day] = []
    for night in range(2, NIGHTS + 1):
        drifts = drifts_in(plan, night)
        day = make_day(sample, plan.seed, night, choose_patients(sample, drifts))
        for drift in drifts:
            shift_records(day, drift, list_heart_rates(sample, before + days))
        days.append(day)
    _delay_records(plan, days)
    return days


def hold_conversations(sample: Sample, plan: FortnightPlan, days: list[Day]) -> None:
    """Add each night's conversations, in order, on what the drops before it have brought, with what is planted."""
    portal = Portal(sample, plan.seed)
    for day in days:
        drifts = drifts_in(plan, day.night)
        if day.night > 1 - TALKED_BEFORE:
            day.talks = portal.talk(day.night, choose_patients(sample, drifts))
        for drift in drifts:
            shift_questions(day, drift)
        portal.learn(day.night, [*day.visits, *day.measurements])


def choose_erased(sample: Sample, seed: int) -> str:
    """The patient who is erased: one from whom a training learns."""
    split = merge_params(PARAMS).episodes.split
    asked = [talk.patient for talk in sample.talks]
    able = [
        patient
        for patient in sample.patients
        if asked.count(patient) >= FEWEST_TALKS
        and splits.assign_patient(derive_pseudonym(HASH_KEY.encode(), "Patient", patient), split) == splits.TRAIN
    ]
    return random.Random(f"fortnight/{seed}/erased").choice(able)


def flip_rating(points: int) -> int:
    """The opposite of a rating from 1 to 5."""
    return 6 - points


def list_questions(sample: Sample) -> list[tuple[str, str]]:
    """Patient and words of each conversation, as asked: what the traffic asks too."""
    return [(f"Patient/{talk.patient}", talk.text) for talk in sample.talks]


def list_ratings(sample: Sample) -> list[int]:
    """The points of each rated conversation: the traffic rates in the same way."""
    return [int(talk.rating["valueInteger"]) for talk in sample.talks if talk.rating]


def _delay_records(plan: FortnightPlan, days: list[Day]) -> None:
    """Take measurements out of earlier nights and bring them, and corrections, in the late one."""
    rng = random.Random(f"fortnight/{plan.seed}/late")
    by_night = {day.night: day for day in days}
    late = by_night[plan.late.night]
    for night in plan.late.of:
        day = by_night[night]
        measured = [one for one in day.measurements if one["status"] == "final"]
        delayed = rng.sample(measured, int(LATE_SHARE * len(measured)))
        names = {one["id"] for one in delayed}
        day.measurements = [one for one in day.measurements if one["id"] not in names]
        left = [one for one in measured if one["id"] not in names]
        late.measurements += [*delayed, *map(_correct, rng.sample(left, min(CORRECTED, len(left))))]


def _correct(observation: Resource) -> Resource:
    corrected: Resource = json.loads(json.dumps(observation)) | {"status": "corrected"}
    change_values(corrected, CORRECTION)
    return corrected


def _flip_ratings(plan: FortnightPlan, days: list[Day]) -> None:
    rng = random.Random(f"fortnight/{plan.seed}/flips")
    rated: list[Talk] = [talk for day in days if day.night == plan.poisoned for talk in day.talks if talk.rating]
    for talk in rated:
        if talk.rating and rng.random() < FLIPPED:
            talk.rating = talk.rating | {"valueInteger": flip_rating(talk.rating["valueInteger"])}


def _write_lines(folder: Path, lines: dict[str, list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, found in sorted(lines.items()):
        (folder / f"{kind}.ndjson").write_text("".join(f"{line}\n" for line in found), encoding="utf-8")
