"""Make a day's records: visits with measurements around the patient's last ones; conversations come later.

Every night is drawn in the same way, so that without a plant no night differs from another but by chance.
"""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from benchmarks.fortnight.plan import day_of
from benchmarks.fortnight.sample import GLUCOSE, HAEMOGLOBIN, HEART_RATE, PRESSURE, WEIGHT, Resource, Sample, Talk
from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.calendar import moment

VISITS = 36
#: So many days before the first night are like those after it: a slope over a month needs as many to be what it is in
#: a steady clinic. The last of them have conversations too: they are what the first nights are compared with, so they
#: are as many as the window of a drift's reference (``recipe``).
DAYS_BEFORE, TALKED_BEFORE = 36, 13
#: How often a visit measures what, and by how much a value differs from the last.
SHARES = {WEIGHT: 0.95, PRESSURE: 0.95, HAEMOGLOBIN: 0.6, GLUCOSE: 0.6, HEART_RATE: 0.9}
NOISE = 0.03
CHECK_UP = ("185349003", "Encounter for check up (procedure)")


@dataclass(slots=True)
class Day:
    """What one night's drop brings."""

    night: int
    visits: list[Resource] = field(default_factory=list)
    measurements: list[Resource] = field(default_factory=list)
    talks: list[Talk] = field(default_factory=list)

    @property
    def resources(self) -> list[Resource]:
        messages = [r for talk in self.talks for r in (talk.question, talk.reply, talk.rating) if r]
        return [*self.visits, *self.measurements, *messages]


def make_day(sample: Sample, seed: int, night: int, patients: list[str]) -> Day:
    """Make the visits of night ``night`` of these patients."""
    day = Day(night)
    rng = random.Random(f"fortnight/{seed}/visits/{night}")
    for patient in sorted(rng.sample(patients, min(VISITS, len(patients)))):
        start = moment(day_of(night), 9) + timedelta(minutes=rng.randrange(300))
        _visit(day, sample, seed, patient, start, rng)
    return day


def _visit(day: Day, sample: Sample, seed: int, patient: str, start: datetime, rng: random.Random) -> None:
    encounter = fhir.derive_id("fortnight", seed, day.night, patient, "visit")
    end = start + timedelta(minutes=20)
    day.visits.append(fhir.build_encounter(encounter, patient, CHECK_UP, start, end))
    for code, last in sorted(sample.measured[patient].items()):
        if rng.random() < SHARES[code]:
            made = deepcopy(last) | {"id": fhir.derive_id("fortnight", seed, day.night, patient, code)}
            made["effectiveDateTime"] = fhir.format_instant(start)
            made["encounter"] = fhir.build_reference("Encounter", encounter)
            if "issued" in made:
                made["issued"] = fhir.format_instant(end)
            change_values(made, 1 + rng.gauss(0, NOISE))
            day.measurements.append(made)


def change_values(observation: Resource, factor: float) -> None:
    """Multiply every value of an observation, with one decimal."""
    for part in observation.get("component", [observation]):
        part["valueQuantity"]["value"] = round(part["valueQuantity"]["value"] * factor, 1)
