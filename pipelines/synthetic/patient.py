"""Build one patient of the sample clinic, from Synthea's record to the drops' lines.

A patient depends on the seed and the index alone: a clinic of 300 begins with the same patients as a clinic of 64.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines import splits
from pipelines.night_dates import end_of_day
from pipelines.params import merge_params
from pipelines.synthetic import damage
from pipelines.synthetic.arrivals import (
    Arrival,
    build_injected_condition,
    change_phone,
    schedule_arrivals,
    withdraw_one,
)
from pipelines.synthetic.damage import DropLine
from pipelines.synthetic.portal.conversations import Asker, simulate_conversations
from pipelines.synthetic.records import (
    diagnoses,
    fhir,
    identity,
    likeness,
    pregnancies,
    problems,
    signals,
    synthea,
    traits,
    visits,
)
from pipelines.synthetic.records.calendar import Calendar, moment
from pipelines.synthetic.records.chart import build_version
from pipelines.synthetic.records.fhir import Resource
from pipelines.synthetic.records.options import HASH_KEY, SAMPLE_OPTIONS, ClinicOptions
from pmlm.settings import derive_pseudonym

#: Which patients' records contain text that tries to be an instruction: in a condition's name, in a question.
INJECTED_CONDITION, INJECTED_QUESTION = 5, 9


@dataclass(frozen=True, slots=True)
class SyntheticPatient:
    """``lines`` in the order they are written, and ``truths``: the facts behind each reply."""

    index: int
    lines: tuple[DropLine, ...]
    truths: tuple[dict[str, object], ...]


def build_patient(
    seed: int, index: int, calendar: Calendar, cache: Path | None = None, options: ClinicOptions = SAMPLE_OPTIONS
) -> SyntheticPatient | None:
    """Build patient ``index`` of clinic ``seed``; None if Synthea's patient died before the last drop."""
    recorded = synthea.read_record(seed, index, calendar, cache)
    if recorded is None:
        return None
    asker = _draw_asker(recorded, traits.draw_traits(seed, index), calendar, options)
    who = asker.identity
    resources = recorded + _add_records(recorded, asker, calendar)
    if index == INJECTED_CONDITION:
        resources.append(build_injected_condition(who.patient, calendar))
    rng = random.Random(f"arrivals/{who.patient}")
    arrived = schedule_arrivals(resources, calendar, rng)
    if index % 4 == 3:
        arrived += withdraw_one(arrived, calendar, rng)
    if index % 16 == 7:
        arrived += change_phone(arrived, calendar, rng)
    versions = [build_version(a.resource, a.drop, a.drop == calendar.history) for a in arrived]
    talks = list(simulate_conversations(versions, asker, calendar, injected=index == INJECTED_QUESTION))
    for talk in talks:
        arrived += schedule_arrivals(list(talk.resources), calendar, rng)
    return SyntheticPatient(index, tuple(_write_lines(arrived, rng)), tuple(talk.truth for talk in talks))


def _draw_asker(recorded: list[Resource], drawn: traits.Traits, calendar: Calendar, options: ClinicOptions) -> Asker:
    """Draw what the patient is like, her pregnancies, and who answers her."""
    who = identity.read_identity(recorded)
    shared = likeness.draw_likeness(drawn, (calendar.history - who.birth).days // 365, who.patient)
    if "local_practice" in options.mechanisms:
        who = replace(who, clinicians=shared.clinicians)
    drawn = likeness.apply_likeness(drawn, shared, options, who.patient)
    own = pregnancies.date_synthea_pregnancies(recorded, who.patient)
    extra = pregnancies.add_pregnancy(drawn, who.patient, who.birth, own, calendar, options.spread_pregnancies)
    return Asker(
        who,
        drawn,
        shared,
        options,
        second_writer=options.second_writer and _is_tested(who.patient),
        pregnancies=(*own, *([extra] if extra else [])),
    )


def _is_tested(patient: str) -> bool:
    """Whether the patient will be in the locked test split."""
    subject = derive_pseudonym(HASH_KEY.encode(), "Patient", patient)
    return splits.assign_patient(subject, merge_params({}).episodes.split) == splits.TEST


def _add_records(recorded: list[Resource], asker: Asker, calendar: Calendar) -> list[Resource]:
    """Build all that the clinic adds to Synthea's record, up to the last drop."""
    who, drawn, all_pregnancies = asker.identity, asker.traits, list(asker.pregnancies)
    planned = visits.plan_visits(recorded, all_pregnancies, who.patient, calendar)
    base = signals.estimate_baseline(recorded, drawn, who.patient, moment(calendar.portal_opens))
    measured = visits.record_visits(planned, base, drawn, all_pregnancies, who.patient)
    added = problems.record_problems(who.patient, who.birth, drawn.problems, drawn.allergies, calendar)
    added += [r for p in all_pregnancies for r in pregnancies.record_pregnancy(p, who.patient)]
    added += measured + diagnoses.record_diagnoses(measured, all_pregnancies, drawn, who.patient)
    if "local_practice" in asker.options.mechanisms:
        added += likeness.build_clinicians(asker.likeness.site)
    until = end_of_day(calendar.last)
    return [r for r in added if (written := fhir.written_time(r)) is None or written <= until]


def _write_lines(arrived: list[Arrival], rng: random.Random) -> list[DropLine]:
    lines: list[DropLine] = []
    for arrival in arrived:
        lines.append(damage.to_line(arrival))
        lines += damage.damage_copy(arrival, rng)
    return lines
