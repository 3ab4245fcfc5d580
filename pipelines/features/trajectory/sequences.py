"""The event log as the trajectory model reads it: each patient's days and what was recorded on each.

A measured signal is read by where it lies (low, usual, high on the fixed scales of
``models.peers.patient_embedding``), a question by the nearest of ``TOPICS`` centres found among the training
patients' questions; everything else by its code. The night's training, the feature build and ``pmlm evaluate`` all
read through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from models.encoder import Encoder
from models.patient.forecaster import QUESTION_PREFIX
from models.patient.trajectory import PatientDays
from models.peers.patient_embedding import DAY, SIGNAL_SCALES
from models.vocabulary import BIRTH_CODE, SIGNAL_BY_CODE
from pipelines import splits
from pipelines.records.log import event_log
from pmlm.settings import Settings

VISIT_KINDS = (
    "encounter", "encounter.missed", "encounter.emergency", "condition", "observation", "medicine", "procedure"
)  # fmt: skip
TOPICS = 24


def find_centres(questions: Sequence[str], encoder: Encoder) -> NDArray[np.float32] | None:
    """Kinds of question: ``TOPICS`` centres [n, 384] of these questions; None where there are none."""
    unique = sorted(set(questions))
    if not unique:
        return None
    found = KMeans(min(TOPICS, len(unique)), n_init=4, random_state=0).fit(encoder.encode(unique)).cluster_centers_
    return np.asarray(found, dtype=np.float32)


def assign_topics(questions: Sequence[str], of: NDArray[np.float32] | None, encoder: Encoder) -> list[str | None]:
    """The code of each question's nearest centre; None where there are no centres."""
    if of is None or not questions:
        return [None] * len(questions)
    vectors = encoder.encode(list(questions))
    nearest = ((vectors[:, None] - of[None]) ** 2).sum(-1).argmin(1)
    return [f"{QUESTION_PREFIX}{i:02d}" for i in nearest]


def read_events(settings: Settings, until: datetime) -> pl.DataFrame:
    """What is known at ``until`` of every patient that the trajectory reads, in order of patient and time.

    A fact without a time of its own happened when it became known, as everywhere in the features.
    """
    known = event_log.select_as_of(event_log.scan_events(settings), until).with_columns(
        pl.coalesce("time", "known_at").dt.truncate("1s").alias("time")
    )
    wanted = known.filter(
        pl.col("time") <= until, pl.col("kind").is_in([*VISIT_KINDS, "question"]) | (pl.col("code") == BIRTH_CODE)
    )
    return (
        wanted.select("subject_id", "time", "kind", "code", "numeric_value", "text_value")
        .sort("subject_id", "time", "code")
        .collect()
    )


def build_records(found: pl.DataFrame, of: NDArray[np.float32] | None, encoder: Encoder) -> list[PatientDays]:
    """One record a patient with a birth date and at least one day, in order of patient."""
    read = found.with_columns(read=pl.Series(encode_events(found, of, encoder), dtype=pl.String))
    out = []
    for (subject,), rows in read.group_by("subject_id", maintain_order=True):
        seconds = rows["time"].dt.epoch("s").to_numpy()
        births = seconds[(rows["code"] == BIRTH_CODE).to_numpy()]
        if len(births) and (record := build_record(int(subject), int(births[0]), seconds, rows["read"].to_list())):
            out.append(record)
    return out


def build_record(
    subject: int, birth: int, seconds: NDArray[np.int64], read: Sequence[str | None]
) -> PatientDays | None:
    """Her days since ``birth`` (seconds since 1970, as ``seconds`` are) and their codes; None without any."""
    days: dict[int, set[str]] = {}
    for day, code in zip(((seconds - birth) // DAY).tolist(), read, strict=True):
        if code is not None:
            days.setdefault(day, set()).add(code)
    ordered = sorted(days)
    if not ordered:
        return None
    return PatientDays(subject, tuple(map(float, ordered)), tuple(frozenset(days[d]) for d in ordered))


def encode_events(rows: pl.DataFrame, of: NDArray[np.float32] | None, encoder: Encoder) -> list[str | None]:
    """The code of each event as the model reads it; None for what it does not read."""
    questions = rows.filter(pl.col("kind") == "question")["text_value"].fill_null("").to_list()
    return _encode_events(rows, assign_topics(questions, of, encoder))


def _encode_events(rows: pl.DataFrame, asked: Iterable[str | None]) -> list[str | None]:
    topic = iter(asked)
    out: list[str | None] = []
    for kind, code, value in zip(rows["kind"], rows["code"], rows["numeric_value"], strict=True):
        if kind == "question":
            out.append(next(topic))
        elif code == BIRTH_CODE:
            out.append(None)
        elif kind == "observation":
            out.append(f"{kind}|{_grade_value(code, value)}")
        else:
            out.append(f"{kind}|{code}")
    return out


def _grade_value(code: str, value: float | None) -> str:
    signal = SIGNAL_BY_CODE.get(code)
    if signal is None or value is None or signal.name not in SIGNAL_SCALES:
        return code
    centre, scale = SIGNAL_SCALES[signal.name]
    place = (value - centre) / scale
    return f"{signal.name}:{'low' if place < -1 else 'high' if place > 1 else 'usual'}"


def cut_record(record: PatientDays, day: float) -> PatientDays:
    """The record up to, not including, ``day`` since birth."""
    kept = int(np.searchsorted(record.days, day))
    return PatientDays(record.subject_id, record.days[:kept], record.codes[:kept])


@dataclass(frozen=True, slots=True)
class TrainingRecords:
    """Everybody's records, and what may be learnt from.

    ``train`` are the training patients' days before the cut in time, ``start`` the cut in days since each one's birth,
    ``find_centres`` the topics of their questions before it.
    """

    everybody: list[PatientDays]
    train: list[PatientDays]
    start: dict[int, float]
    centres: NDArray[np.float32] | None


def select_training_records(
    found: pl.DataFrame, shares: splits.SplitParams, encoder: Encoder
) -> TrainingRecords | None:
    """Who and what a trajectory model may learn from, of ``read_events``; None where there is nothing at all."""
    asked = found.filter(pl.col("kind") == "question")
    times = (asked if len(asked) else found)["time"].drop_nulls().to_list()
    if not times:
        return None
    cut = splits.cut(times, shares.time_quantile)
    births = dict(found.filter(pl.col("code") == BIRTH_CODE).select("subject_id", "time").iter_rows())
    learners = {s for s in births if splits.of_patient(s, shares) == splits.TRAIN}
    early = asked.filter(pl.col("subject_id").is_in(list(learners)), pl.col("time") < cut)
    of = find_centres(early["text_value"].drop_nulls().to_list(), encoder)
    everybody = build_records(found, of, encoder)
    start = {r.subject_id: float((cut - births[r.subject_id]).days) for r in everybody}
    train = [cut_record(r, start[r.subject_id]) for r in everybody if r.subject_id in learners]
    return TrainingRecords(everybody, [r for r in train if r.days], start, of)
