"""Plant a drift in a day's records; each function changes the day in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmarks.fortnight.days import Day, change_values
from benchmarks.fortnight.plan import DriftPlant
from benchmarks.fortnight.sample import HEART_RATE, PRESSURE, WEIGHT, Resource, Sample, code_of

POUNDS_A_KILO = 2.2046226
YOUNGEST = 1 / 3  # of the patients, who alone come under another case mix
TREND_A_NIGHT = 0.012
#: Questions about something that this clinic is seldom asked.
OTHER_TOPIC = (
    "When is my next appointment, and whom do I call to move it?",
    "Can I move my appointment to next week?",
    "Whom do I call to change the time of my visit?",
    "Is the clinic open on Saturday, and how do I book an appointment?",
)


def choose_patients(sample: Sample, drifts: list[DriftPlant]) -> list[str]:
    """Who comes and asks: everybody, or under a changed case mix the youngest alone."""
    if not any(one.kind == "case_mix" for one in drifts):
        return sample.patients
    by_age = sorted(sample.patients, key=lambda patient: (sample.births[patient], patient))
    return sorted(by_age[-int(YOUNGEST * len(by_age)) :])


def shift_records(day: Day, drift: DriftPlant, known: Sequence[Resource]) -> None:
    """Plant a drift of measurements that is there in this night; ``known`` are all heart rates on record."""
    if drift.kind in IN_RECORDS:
        IN_RECORDS[drift.kind](day, drift, known)


def shift_questions(day: Day, drift: DriftPlant) -> None:
    """Plant a drift of questions that is there in this night."""
    if drift.kind in IN_QUESTIONS:
        IN_QUESTIONS[drift.kind](day)


def list_heart_rates(sample: Sample, days: Sequence[Day]) -> list[Resource]:
    """List the heart rates of the history and of these days."""
    return [*sample.list_history(HEART_RATE), *(one for day in days for one in _measurements(day, HEART_RATE))]


def _weigh_in_pounds(day: Day, drift: DriftPlant, known: Sequence[Resource]) -> None:
    """Pounds with kilograms written beside them, as after a change of the scales' interface."""
    for one in _measurements(day, WEIGHT):
        quantity = one["valueQuantity"]
        pounds = quantity["value"] * (1 if "lb" in quantity["code"] else POUNDS_A_KILO)
        one["valueQuantity"] = quantity | {"value": round(pounds, 1), "unit": "kg", "code": "kg"}


def _ask_of_other_topic(day: Day) -> None:
    for place, talk in enumerate(day.talks):
        _word(talk.question, OTHER_TOPIC[place % len(OTHER_TOPIC)])


def _shout(day: Day) -> None:
    """The same questions in capitals with many marks, as from another way of entering them."""
    for talk in day.talks:
        _word(talk.question, f"{talk.text.upper()}!!! ???")


def _withdraw_heart_rates(day: Day, drift: DriftPlant, known: Sequence[Resource]) -> None:
    """Every heart rate on record is withdrawn as entered in error, and none is measured: the feature goes null."""
    day.measurements = [one for one in day.measurements if code_of(one) != HEART_RATE]
    if day.night == drift.first:
        day.measurements += [one | {"status": "entered-in-error"} for one in known]


def _raise_pressures(day: Day, drift: DriftPlant, known: Sequence[Resource]) -> None:
    """A little more each night."""
    for one in _measurements(day, PRESSURE):
        change_values(one, 1 + TREND_A_NIGHT * (day.night - drift.first + 1))


IN_RECORDS: dict[str, Callable[[Day, DriftPlant, Sequence[Resource]], None]] = {
    "lab_unit": _weigh_in_pounds,
    "null_feature": _withdraw_heart_rates,
    "trend": _raise_pressures,
}
IN_QUESTIONS: dict[str, Callable[[Day], None]] = {"topic": _ask_of_other_topic, "wording": _shout}


def _measurements(day: Day, code: str) -> Iterator[Resource]:
    return (one for one in day.measurements if code_of(one) == code)


def _word(question: Resource, text: str) -> None:
    question["payload"] = [{"contentString": text}]
