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
"""Records become known on these days after START; what they say may be years old."""

CONDITIONS = ("SNOMED//72892002", "SNOMED//47200007", "ICD10//O14.1", "SNOMED//271737000", "SNOMED//19169002")
HISTORY_OF_LOSS = "SNOMED//161744009"
MEDICINES = ("RXNORM//1", "RXNORM//2")
PROCEDURES = ("SNOMED//386216000", "SNOMED//714812005", "SNOMED//5880005")
TEXTS = ("yes", "rest " * 44, "rest " * 45, "  two\n words ")


@dataclass(frozen=True, slots=True)
class HistoryState:
    """The state of a history: its signal, and the records to refer to."""

    signal: Signal
    records: dict[str, list[int]]


def history(random: Random, subjects: list[int], records: int) -> list[Event]:
    """Generate the events of patients among whom facts may be refiled, in any order."""
    events: list[Event] = []
    state = HistoryState(random.choice(SIGNALS), {"condition": [], "medicine": [], "reply": [], "episode": []})
    for record in range(1, records + 1):
        record += 1000 * subjects[0]
        subject = random.choice(subjects)
        fact = random.choice(_FACTS)(random, state)
        if fact["kind"] in state.records:
            state.records[fact["kind"]].append(record)
        events += _versions(random, record, subject, subjects, fact)
    random.shuffle(events)
    return events


def _versions(random: Random, record: int, subject: int, subjects: list[int], fact: Event) -> list[Event]:
    """Make one to four versions of a fact: corrected, deleted, restored, repeated, refiled."""
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


def _signal(random: Random, state: HistoryState) -> Event:
    signal = random.choice((state.signal, state.signal, state.signal, random.choice(SIGNALS)))
    value = random.choice((60.0, 60.05, 61.7, 99.9995, 140.0))
    bound = random.choice((*[None] * 10, ">", "<="))
    event = _event(random.choice(signal.codes), "observation", _time(random), numeric_value=value, unit=signal.unit)
    return event | {"text_value": bound}


def _date(random: Random, _: HistoryState) -> Event:
    text = random.choice(("2026-06-30", "2026-02-30", "2025-12-01T08:00:00Z", "soon"))
    return _event(random.choice((EDD_CODE, LMP_CODE)), "observation", _time(random), text_value=text)


def _statement(random: Random, _: HistoryState) -> Event:
    code, text = random.choice(
        (
            ("LOINC//82810-3", "Pregnant"),
            ("LOINC//11779-6", "2026-09"),
            ("LOINC//11779-6", "2026-09-02"),
            ("LOINC//63893-2", "ended"),
            ("LOINC//63893-2", "unknown"),
            ("PMLM//CHILD_BORN", "born"),
        )
    )
    return _event(code, "observation", _time(random), text_value=text)


def _episode(random: Random, _: HistoryState) -> Event:
    return _event("PMLM//MATERNITY_EPISODE", "episode", _time(random), text_value="maternity care")


def _episode_end(random: Random, state: HistoryState) -> Event:
    parent = random.choice(state.records["episode"] or [None])
    span = random.choice((None, 0.0, 9.0))
    return _event(CONDITION_END_CODE, "episode.end", _time(random), parent=parent, numeric_value=span)


def _smoking(random: Random, _: HistoryState) -> Event:
    text = random.choice(("Never smoker", "Smokes tobacco daily"))
    return _event(SMOKING_CODE, "observation", _time(random), text_value=text)


def _condition(random: Random, _: HistoryState) -> Event:
    code = random.choice((*CONDITIONS, CONDITIONS[0], HISTORY_OF_LOSS))
    kind = random.choice(("condition", "condition", "condition", "condition.suspected"))
    return _event(code, kind, _time(random), text_value=random.choice(("named", None)))


def _condition_end(random: Random, state: HistoryState) -> Event:
    parent = random.choice(state.records["condition"] or [None])
    span = random.choice((None, None, 12.0))
    return _event(CONDITION_END_CODE, "condition.end", _time(random), parent=parent, numeric_value=span)


def _medicine(random: Random, state: HistoryState) -> Event:
    """An order, or a supply of one, with or without a stated number of days."""
    parent = random.choice([None, None, *state.records["medicine"]])
    days = random.choice([None, 1.0, 30.0, 90.0])
    return _event(
        random.choice(MEDICINES), "medicine", _time(random), text_value="tablet", numeric_value=days, parent=parent
    )


def _medicine_end(random: Random, state: HistoryState) -> Event:
    parent = random.choice(state.records["medicine"] or [None])
    return _event(MEDICATION_END_CODE, "medicine.end", _time(random), parent=parent)


def _allergy(random: Random, _: HistoryState) -> Event:
    kind = random.choice(("medication", "food", "environment", "other", "unconfirmed.medication", "unread"))
    return _event(
        random.choice(("RXNORM//7980", "SNOMED//91934008")), f"allergy.{kind}", _time(random), text_value="it"
    )


def _procedure(random: Random, _: HistoryState) -> Event:
    span = random.choice((None, None, 30.0))
    return _event(random.choice(PROCEDURES), "procedure", _time(random), text_value="procedure", numeric_value=span)


def _encounter(random: Random, _: HistoryState) -> Event:
    kind = random.choice(("encounter", "encounter", "encounter.missed", "encounter.emergency"))
    return _event("ENCOUNTER//AMB", kind, _time(random), text_value="visit")


def _question(random: Random, _: HistoryState) -> Event:
    return _event(QUESTION_CODE, "question", _time(random), text_value="how?")


def _reply(random: Random, _: HistoryState) -> Event:
    if random.random() < 0.3:  # a language model's answer: the log has its number of words, not its text
        return _event(ANSWER_CODE, "reply", _time(random), numeric_value=random.choice((12.0, 44.0, 45.0, None)))
    return _event(REPLY_CODE, "reply", _time(random), text_value=random.choice(TEXTS))


def _rating(random: Random, state: HistoryState) -> Event:
    parent = random.choice(state.records["reply"] or [None])
    return _event(RATING_CODE, "rating", _time(random), numeric_value=float(random.randint(1, 5)), parent=parent)


def _person(random: Random, _: HistoryState) -> Event:
    if random.random() < 0.5:
        return _event(LANGUAGE_CODE, "patient", None, text_value=random.choice(("en", "zh")))
    if random.random() < 0.2:
        return _event(DEATH_CODE, "patient", _time(random))
    return _event(BIRTH_CODE, "patient", START - dt.timedelta(days=random.choice((9000, 11000))))


_FACTS: tuple[Callable[[Random, HistoryState], Event], ...] = (
    *(_signal,) * 6,
    _date,
    _statement,
    _episode,
    _episode_end,
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
    """List the ends of the days on which anything changes, and one before."""
    return [START + dt.timedelta(days=d, seconds=-1) for d in range(count)]
