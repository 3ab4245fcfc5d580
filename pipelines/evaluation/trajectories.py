"""The event log as the trajectory model reads it: each patient's days and what was recorded on each.

A measured signal is read by where it lies (low, usual, high on the fixed scales of ``models.peer_states``), a question
by the nearest of ``TOPICS`` centres found among the training patients' questions; everything else by its code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
import polars as pl
from sklearn.cluster import KMeans

from models.encoder import Encoder
from models.peer_states import SIGNAL_SCALES
from models.trajectory import Record
from models.vocabulary import SIGNAL_BY_CODE
from pipelines.records import log
from pipelines.settings import Settings

VISIT_KINDS = (
    "encounter", "encounter.missed", "encounter.emergency", "condition", "observation", "medicine", "procedure"
)  # fmt: skip
TOPICS = 24
QUESTION = "question|"


class Topics:
    """Kinds of question: centres of the training patients' questions under the sentence encoder."""

    def __init__(self, questions: Sequence[str], encoder: Encoder) -> None:
        self._encoder = encoder
        unique = sorted(set(questions))
        self._centres = (
            KMeans(min(TOPICS, len(unique)), n_init=4, random_state=0).fit(encoder.encode(unique)).cluster_centers_
            if unique
            else None
        )

    def codes(self, questions: Sequence[str]) -> list[str | None]:
        """The code of each question's nearest centre; None where there are no centres."""
        if self._centres is None or not questions:
            return [None] * len(questions)
        vectors = self._encoder.encode(list(questions))
        nearest = ((vectors[:, None] - self._centres[None]) ** 2).sum(-1).argmin(1)
        return [f"{QUESTION}{i:02d}" for i in nearest]


def events(settings: Settings, until: datetime) -> pl.DataFrame:
    """What is known at ``until`` of every patient that the trajectory reads, in order of patient and time."""
    known = log.as_of(log.scan(settings), until).filter(pl.col("time") <= until)
    wanted = known.filter(pl.col("kind").is_in([*VISIT_KINDS, "question"]) | (pl.col("code") == "MEDS_BIRTH"))
    return (
        wanted.select("subject_id", "time", "kind", "code", "numeric_value", "text_value")
        .sort("subject_id", "time", "code")
        .collect()
    )


def records(found: pl.DataFrame, topics: Topics) -> list[Record]:
    """One record a patient with a birth date and at least one day, in order of patient."""
    return [
        record
        for (subject,), rows in found.group_by("subject_id", maintain_order=True)
        if (record := _record(int(subject), rows, topics)) is not None
    ]


def _record(subject: int, rows: pl.DataFrame, topics: Topics) -> Record | None:
    births = rows.filter(pl.col("code") == "MEDS_BIRTH")["time"]
    if not len(births) or births[0] is None:
        return None
    rows = rows.filter(pl.col("code") != "MEDS_BIRTH")
    asked = topics.codes(rows.filter(pl.col("kind") == "question")["text_value"].fill_null("").to_list())
    days: dict[int, set[str]] = {}
    for time, code in zip(rows["time"].to_list(), _codes(rows, iter(asked)), strict=True):
        if code is not None:
            days.setdefault((time - births[0]).days, set()).add(code)
    ordered = sorted(days)
    if not ordered:
        return None
    return Record(subject, tuple(map(float, ordered)), tuple(frozenset(days[d]) for d in ordered))


def _codes(rows: pl.DataFrame, asked: Iterable[str | None]) -> list[str | None]:
    """The code of each event as the model reads it."""
    topic = iter(asked)
    out: list[str | None] = []
    for kind, code, value in zip(rows["kind"], rows["code"], rows["numeric_value"], strict=True):
        if kind == "question":
            out.append(next(topic))
        elif kind == "observation":
            out.append(f"{kind}|{_level(code, value)}")
        else:
            out.append(f"{kind}|{code}")
    return out


def _level(code: str, value: float | None) -> str:
    signal = SIGNAL_BY_CODE.get(code)
    if signal is None or value is None or signal.name not in SIGNAL_SCALES:
        return code
    centre, scale = SIGNAL_SCALES[signal.name]
    place = (value - centre) / scale
    return f"{signal.name}:{'low' if place < -1 else 'high' if place > 1 else 'usual'}"


def before(record: Record, day: float) -> Record:
    """The record up to, not including, ``day`` since birth."""
    kept = int(np.searchsorted(record.days, day))
    return Record(record.subject_id, record.days[:kept], record.codes[:kept])
