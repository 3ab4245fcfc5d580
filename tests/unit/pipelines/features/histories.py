"""Generated patient histories: every way in which a record can become known, in small.

Facts arrive in time, late, ahead of their time, twice, corrected (in value, code, day, even patient), deleted and
brought back. Codes, days and values come from small pools, so that ties and collisions happen all the time. Any
``random.Random`` will do: Hypothesis's shrinks, a seeded one makes thousands of histories at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa

from models.schema import DELETED, EVENT_SCHEMA
from models.vocabulary import (
    ANSWER_CODE,
    BIRTH_CODE,
    CONDITION_END_CODE,
    DEATH_CODE,
    EDD_CODE,
    LANGUAGE_CODE,
    LMP_CODE,
    MEDICATION_END_CODE,
    QUESTION_CODE,
    RATING_CODE,
    REPLY_CODE,
    SIGNALS,
    SMOKING_CODE,
    Signal,
)

Event = dict[str, Any]

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAYS = 12
"""Records become known on these days after START; what they tell may lie years back."""

CONDITIONS = ("SNOMED//72892002", "SNOMED//47200007", "ICD10//O14.1", "SNOMED//271737000", "SNOMED//19169002")
HISTORY_OF_LOSS = "SNOMED//161744009"
MEDICINES = ("RXNORM//1", "RXNORM//2")
PROCEDURES = ("SNOMED//386216000", "SNOMED//714812005", "SNOMED//5880005")
TEXTS = ("yes", "rest " * 44, "rest " * 45, "  two\n words ")


@dataclass(frozen=True, slots=True)
class _Told:
    """What a history has told so far: the signal it follows, and the records others can refer to."""

    signal: Signal
    records: dict[str, list[int]]


def history(random: Random, subjects: list[int], records: int) -> list[Event]:
    """The event log of some patients who share nothing but the clinic, in no particular order."""
    events: list[Event] = []
    told = _Told(random.choice(SIGNALS), {"condition": [], "medicine": [], "reply": []})
    for record in range(1, records + 1):
        record += 1000 * subjects[0]
        subject = random.choice(subjects)
        fact = random.choice(_FACTS)(random, told)
        if fact["kind"] in told.records:
            told.records[fact["kind"]].append(record)
        events += _versions(random, record, subject, subjects, fact)
    random.shuffle(events)
    return events


def _versions(random: Random, record: int, subject: int, subjects: list[int], fact: Event) -> list[Event]:
    """One to four versions of a fact: corrected, deleted, brought back, told twice, filed under somebody else."""
    out = []
    known = _known(random)
    for number in range(random.choice((1, 1, 2, 2, 3, 4))):
        version = dict(fact, record=record, subject_id=subject, known_at=known, source=f"{record}-{number}")
        change = random.randrange(8) if number else 7
        if change == 0:
            version |= {"code": DELETED, "kind": "deleted", "numeric_value": None, "text_value": None}
        elif change == 1 and fact["numeric_value"] is not None:
            version["numeric_value"] = fact["numeric_value"] + 1.5
        elif change == 2 and fact["time"] is not None:
            version["time"] = fact["time"] - dt.timedelta(days=random.choice((1, 100)))
        elif change == 3:
            version["subject_id"] = random.choice(subjects)
        elif change == 4 and fact["kind"] == "condition":
            version["code"] = random.choice(CONDITIONS)
        out.append(version)
        # sometimes the clinic hears twice within one second, in one drop or in one read of it
        known += random.choice((dt.timedelta(days=1), dt.timedelta(days=3), dt.timedelta(microseconds=1)))
    return out


def _known(random: Random) -> dt.datetime:
    day = START + dt.timedelta(days=random.randrange(DAYS))
    return day + random.choice((dt.timedelta(hours=23, minutes=59, seconds=59), dt.timedelta(hours=9, microseconds=7)))


def _time(random: Random) -> dt.datetime:
    """When something happened: mostly in these days, sometimes long before, sometimes still to come."""
    back = random.choice((0, 0, 0, 1, 40, 200, 400, 800))
    return START + dt.timedelta(days=random.randrange(DAYS + 2) - back, hours=random.choice((0, 7, 7, 23)))


def _event(code: str, kind: str, time: dt.datetime | None, **more: Any) -> Event:
    blank = {"numeric_value": None, "text_value": None, "unit": None, "encounter_id": None, "parent": None}
    return {"code": code, "kind": kind, "time": time, **blank, **more}


def _signal(random: Random, told: _Told) -> Event:
    signal = random.choice((told.signal, told.signal, told.signal, random.choice(SIGNALS)))
    value = random.choice((60.0, 60.05, 61.7, 99.9995, 140.0))
    return _event(random.choice(signal.codes), "observation", _time(random), numeric_value=value, unit=signal.unit)


def _date(random: Random, _: _Told) -> Event:
    said = random.choice(("2026-06-30", "2026-02-30", "2025-12-01T08:00:00Z", "soon"))
    return _event(random.choice((EDD_CODE, LMP_CODE)), "observation", _time(random), text_value=said)


def _smoking(random: Random, _: _Told) -> Event:
    said = random.choice(("Never smoker", "Smokes tobacco daily"))
    return _event(SMOKING_CODE, "observation", _time(random), text_value=said)


def _condition(random: Random, _: _Told) -> Event:
    code = random.choice((*CONDITIONS, CONDITIONS[0], HISTORY_OF_LOSS))
    return _event(code, "condition", _time(random), text_value=random.choice(("named", None)))


def _condition_end(random: Random, told: _Told) -> Event:
    parent = random.choice(told.records["condition"] or [None])
    return _event(CONDITION_END_CODE, "condition.end", _time(random), parent=parent)


def _medicine(random: Random, _: _Told) -> Event:
    return _event(random.choice(MEDICINES), "medicine", _time(random), text_value="tablet")


def _medicine_end(random: Random, told: _Told) -> Event:
    parent = random.choice(told.records["medicine"] or [None])
    return _event(MEDICATION_END_CODE, "medicine.end", _time(random), parent=parent)


def _allergy(random: Random, _: _Told) -> Event:
    kind = random.choice(("medication", "food", "environment", "other"))
    return _event(
        random.choice(("RXNORM//7980", "SNOMED//91934008")), f"allergy.{kind}", _time(random), text_value="it"
    )


def _procedure(random: Random, _: _Told) -> Event:
    return _event(random.choice(PROCEDURES), "procedure", _time(random), text_value="procedure")


def _encounter(random: Random, _: _Told) -> Event:
    kind = random.choice(("encounter", "encounter", "encounter.missed", "encounter.emergency"))
    return _event("ENCOUNTER//AMB", kind, _time(random), text_value="visit")


def _question(random: Random, _: _Told) -> Event:
    return _event(QUESTION_CODE, "question", _time(random), text_value="how?")


def _reply(random: Random, _: _Told) -> Event:
    if random.random() < 0.3:  # a language model's answer: its words are counted, not kept
        return _event(ANSWER_CODE, "reply", _time(random), numeric_value=random.choice((12.0, 44.0, 45.0, None)))
    return _event(REPLY_CODE, "reply", _time(random), text_value=random.choice(TEXTS))


def _rating(random: Random, told: _Told) -> Event:
    parent = random.choice(told.records["reply"] or [None])
    return _event(RATING_CODE, "rating", _time(random), numeric_value=float(random.randint(1, 5)), parent=parent)


def _person(random: Random, _: _Told) -> Event:
    if random.random() < 0.5:
        return _event(LANGUAGE_CODE, "patient", None, text_value=random.choice(("en", "zh")))
    if random.random() < 0.2:
        return _event(DEATH_CODE, "patient", _time(random))
    return _event(BIRTH_CODE, "patient", START - dt.timedelta(days=random.choice((9000, 11000))))


_FACTS: tuple[Callable[[Random, _Told], Event], ...] = (
    *(_signal,) * 6,
    _date,
    _smoking,
    *(_condition,) * 4,
    *(_condition_end,) * 2,
    _medicine,
    _medicine_end,
    _allergy,
    _procedure,
    _encounter,
    _question,
    _reply,
    _reply,
    _rating,
    _rating,
    _person,
)


def log_of(events: list[Event]) -> pa.Table:
    """Events as a table in the log's schema."""
    return pa.Table.from_pylist(events, schema=EVENT_SCHEMA)


def day_ends(count: int = DAYS + 6) -> list[dt.datetime]:
    """The end of every day on which anything can become known or come true, and of the day before."""
    return [START + dt.timedelta(days=d, seconds=-1) for d in range(count)]
