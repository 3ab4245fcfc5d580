"""One woman of the sample clinic, from Synthea's record to the lines that the drops hold of her.

She depends on the seed and her index alone: a clinic of 300 begins with the same women as a clinic of 64.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from pipelines.night_dates import end_of_day
from pipelines.synthetic import damage
from pipelines.synthetic.arrivals import Arrival, arrivals, injected_condition, moved_house, withdrawn
from pipelines.synthetic.damage import Line
from pipelines.synthetic.portal.conversations import conversations
from pipelines.synthetic.records import (
    diagnoses,
    fhir,
    identity,
    pregnancies,
    problems,
    signals,
    synthea,
    traits,
    visits,
)
from pipelines.synthetic.records.calendar import Calendar, moment
from pipelines.synthetic.records.chart import version
from pipelines.synthetic.records.fhir import Resource

#: Which women carry text that tries to be an instruction: in a condition's name, in a question.
INJECTED_CONDITION, INJECTED_QUESTION = 5, 9


@dataclass(frozen=True, slots=True)
class Woman:
    """``lines`` in the order they are written, and ``truths``: the facts behind each of her replies."""

    index: int
    lines: tuple[Line, ...]
    truths: tuple[dict[str, object], ...]


def woman(seed: int, index: int, calendar: Calendar) -> Woman | None:
    """Woman ``index`` of clinic ``seed``, or None if Synthea's woman did not live to the last drop."""
    recorded = synthea.record(seed, index, calendar)
    if recorded is None:
        return None
    who, hers = identity.of(recorded), traits.draw(seed, index)
    resources = recorded + _added(recorded, who, hers, calendar)
    if index == INJECTED_CONDITION:
        resources.append(injected_condition(who.patient, calendar))
    rng = random.Random(f"arrivals/{who.patient}")
    arrived = arrivals(resources, calendar, rng)
    if index % 4 == 3:
        arrived += withdrawn(arrived, calendar, rng)
    if index % 16 == 7:
        arrived += moved_house(arrived, calendar, rng)
    versions = [version(a.resource, a.drop, a.drop == calendar.history) for a in arrived]
    talks = list(conversations(versions, who, hers, calendar, injected=index == INJECTED_QUESTION))
    for talk in talks:
        arrived += arrivals(list(talk.resources), calendar, rng)
    return Woman(index, tuple(_lines(arrived, rng)), tuple(talk.truth for talk in talks))


def _added(recorded: list[Resource], who: identity.Identity, hers: traits.Traits, calendar: Calendar) -> list[Resource]:
    """Everything the clinic adds to Synthea's record, up to the last drop."""
    own = pregnancies.of_synthea(recorded, who.patient)
    extra = pregnancies.add(hers, who.patient, who.birth, own, calendar)
    all_pregnancies = own + ([extra] if extra else [])
    planned = visits.planned(recorded, all_pregnancies, who.patient, calendar)
    base = signals.base_of(recorded, hers, who.patient, moment(calendar.portal_opens))
    measured = visits.record(planned, base, hers, all_pregnancies, who.patient)
    added = problems.record(who.patient, who.birth, hers.problems, hers.allergies, calendar)
    added += [r for p in all_pregnancies for r in pregnancies.record(p, who.patient)]
    added += measured + diagnoses.record(measured, all_pregnancies, hers, who.patient)
    until = end_of_day(calendar.last)
    return [r for r in added if (written := fhir.written_time(r)) is None or written <= until]


def _lines(arrived: list[Arrival], rng: random.Random) -> list[Line]:
    lines: list[Line] = []
    for arrival in arrived:
        lines.append(damage.line(arrival))
        lines += damage.damaged(arrival, rng)
    return lines
